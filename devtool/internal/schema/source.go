// Package schema gives databases their schema and their data: it runs
// golang-migrate's files, and keeps a template database from which the live one
// is made anew in a moment.
package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"example.com/goldenpath/devtool/internal/console"
)

// Source is a folder of migrations as golang-migrate names them:
// 000001_notes.up.sql and 000001_notes.down.sql.
type Source struct {
	Dir string
}

// Digest changes when any up migration does: its name, its text, its being
// there. Down migrations do not count, they have no part in a schema.
func (s Source) Digest() (string, error) {
	files, err := s.ups()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, m := range files {
		f, err := os.Open(filepath.Join(s.Dir, m.Raw))
		if err != nil {
			return "", fmt.Errorf("read migration: %w", err)
		}
		content := sha256.New()
		_, err = io.Copy(content, f)
		f.Close()
		if err != nil {
			return "", fmt.Errorf("read migration %s: %w", m.Raw, err)
		}
		fmt.Fprintf(sum, "%s %x\n", m.Raw, content.Sum(nil))
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// ups lists the up migrations in the order of their file names. golang-migrate
// passes over files that it cannot make sense of; here that is an error, since
// nobody writes an SQL file to have it ignored.
func (s Source) ups() ([]source.Migration, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var list []source.Migration
	taken := map[uint]string{}
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || !strings.HasSuffix(name, ".sql") {
			continue
		}
		m, err := source.Parse(name)
		if err != nil || m.Version > math.MaxInt64 {
			return nil, &console.Failure{Exit: console.ExitFailed, Text: fmt.Sprintf("read migrations: %s has no name of a migration", filepath.Join(s.Dir, name)),
				Hint: "name it as in 000002_add_tags.up.sql"}
		}
		if m.Direction != source.Up {
			continue
		}
		if other, ok := taken[m.Version]; ok {
			return nil, &console.Failure{Exit: console.ExitFailed, Text: fmt.Sprintf("read migrations: %s and %s both have version %d", other, name, m.Version),
				Hint: "give the later one the next free number"}
		}
		taken[m.Version] = name
		list = append(list, *m)
	}
	return list, nil
}

// driver reads the folder for golang-migrate.
func (s Source) driver() (source.Driver, error) {
	return iofs.New(sourceFS{os.DirFS(s.Dir)}, ".")
}

// sourceFS shows golang-migrate the SQL files alone, so that an editor's
// 000001_notes.up.sql~ is not a second migration of that version.
type sourceFS struct{ fs.FS }

func (f sourceFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(f.FS, name)
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".sql") {
			kept = append(kept, entry)
		}
	}
	return kept, nil
}
