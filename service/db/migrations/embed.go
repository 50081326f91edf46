// Package migrations carries the service's schema, in golang-migrate's form, so
// that a binary and a test apply the same files.
package migrations

import "embed"

// Files holds every migration: NNNNNN_name.up.sql and its .down.sql.
//
//go:embed *.sql
var Files embed.FS
