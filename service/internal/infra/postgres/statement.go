package postgres

import (
	"context"
	"strings"

	"github.com/exaring/otelpgx"
)

// statementName names the span of a statement: as sqlc's first line has it
// ("-- name: GetNote :one" is GetNote), else by its operation.
func statementName(ctx context.Context, sql string) string {
	if rest, ok := strings.CutPrefix(sql, "-- name: "); ok {
		if name, _, ok := strings.Cut(rest, " "); ok {
			return name
		}
	}
	return otelpgx.SQLOperationName(ctx, sql)
}
