// Package seeds fills a PostgreSQL database with data that is the same on every
// machine. A profile is a YAML file that says which tables get how many rows and
// how each column is made up; clock and randomness are part of it. Nothing here
// knows the tables of any one service.
//
//	profile, err := seeds.Load("seeds/data", "dev")
//	report, err := profile.Apply(ctx, conn, seeds.Options{Scale: 10})
//
// docs of the format: see Profile.
package seeds

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// format is part of every key and digest. It changes when the same file begins
// to mean other rows.
const format = "seeds/1"

// Limits of a profile.
const (
	largestFile = 1 << 20
	mostRows    = 50_000_000
)

// Profile is a data set: a YAML file such as
//
//	description: a handful of notes
//	clock: 2026-01-15T09:00:00Z        # what "now" is in this data
//	seed: 1                            # another number gives other data
//	tables:
//	  - table: notes
//	    rows: 50                       # times the scale; `fixed: true` never scales
//	    columns:
//	      - {name: id, generate: uuid, version: 7, time: created_at}
//	      - {name: verb, generate: choice, values: [Call, Visit], hidden: true}
//	      - {name: title, generate: template, text: "{verb} the dentist"}
//	      - {name: body, generate: paragraph, min: 2, max: 5, nulls: 0.1}
//	      - {name: word_count, generate: count_words, of: body}
//	      - {name: created_at, generate: timestamp, step: 3h, jitter: 2h}
//
// Every column draws from a random stream of its own, named by profile, seed,
// table and column. So a column can be added, removed or moved without changing
// the others, and a larger scale only adds rows at the end. A hidden column is
// not written; others refer to it. nulls is the share of rows without a value.
//
// The generators and their settings:
//
//	uuid         version: 4 (default) or 7; time: a timestamp column for version 7
//	sequence     start (1), step (1)
//	int          min, max
//	choice       values; weights, whole numbers, one for each value
//	constant     value
//	words        min, max: how many; from: a list of words of your own
//	sentence     min, max: how many words
//	paragraph    min, max: how many sentences
//	timestamp    step and jitter: row n is at the clock less n steps, less up to a jitter;
//	             or after and within: up to that long after another column, not beyond the clock
//	template     text, with {column} and, for the number of the row from 1, {n}
//	count_words  of: a text column
//	ref          table, column; pick: random (default) or each, for one after another
type Profile struct {
	Name        string
	Description string
	Clock       time.Time

	path    string
	content [sha256.Size]byte // digest of the file
	seed    uint64
	tables  []*table // in the order in which they are filled
}

// Info is what one sees of a profile in a list.
type Info struct {
	Name        string
	Description string
	Rows        int // at scale 1
}

// Load reads <dir>/<profile>.yaml. An unknown profile is an *Error that lists
// those that exist; a fault in the file is one with file, line and column.
func Load(dir, profile string) (*Profile, error) {
	path := filepath.Join(dir, profile+".yaml")
	if profile == "" || filepath.Base(profile) != profile {
		return nil, unknown(dir, profile)
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, unknown(dir, profile)
	}
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", profile, err)
	}
	if info.Size() > largestFile {
		return nil, &Error{File: path, Text: fmt.Sprintf("a profile has at most %d bytes, this one has %d", largestFile, info.Size())}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read profile %s: %w", profile, err)
	}
	p := &Profile{Name: profile, path: path, content: sha256.Sum256(content)}
	if err := p.parse(content); err != nil {
		return nil, err
	}
	return p, nil
}

// Profiles lists the data sets in a folder by name. One that has a fault is an
// error: a list must not pass over it.
func Profiles(dir string) ([]Info, error) {
	names, err := names(dir)
	if err != nil {
		return nil, err
	}
	list := make([]Info, 0, len(names))
	for _, name := range names {
		p, err := Load(dir, name)
		if err != nil {
			return nil, err
		}
		info := Info{Name: p.Name, Description: p.Description}
		for _, t := range p.tables {
			info.Rows += t.rows
		}
		list = append(list, info)
	}
	return list, nil
}

func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	var list []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".yaml"); ok && !entry.IsDir() && name != "" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list, nil
}

func unknown(dir, profile string) error {
	text := fmt.Sprintf("there is no profile %q in %s", profile, dir)
	have, err := names(dir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", text, err)
	case len(have) == 0:
		return &Error{Text: text, Hint: "write one: " + filepath.Join(dir, "dev.yaml")}
	}
	hint := "profiles: " + strings.Join(have, ", ")
	if near, ok := nearest(profile, have); ok {
		hint = fmt.Sprintf("did you mean %s? %s", near, hint)
	}
	return &Error{Text: text, Hint: hint}
}

// Key names the data that the profile makes at a scale, without making it. Equal
// keys mean equal data; it changes with every change of the file, a comment's
// too.
func (p *Profile) Key(scale int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %x %d", format, p.Name, p.content, max(scale, 1)))
	return hex.EncodeToString(sum[:])
}

// counts gives the rows of each table at a scale.
func (p *Profile) counts(scale int) (map[string]int, error) {
	if scale < 0 {
		return nil, &Error{Text: fmt.Sprintf("a scale of %d is below 1", scale)}
	}
	scale = max(scale, 1)
	counts := make(map[string]int, len(p.tables))
	total := 0
	for _, t := range p.tables {
		rows := t.rows
		if !t.fixed {
			if rows > 0 && scale > math.MaxInt/rows {
				rows = math.MaxInt
			} else {
				rows *= scale
			}
		}
		if rows > mostRows-total {
			return nil, &Error{Text: fmt.Sprintf("profile %s at scale %d has more than %d rows", p.Name, scale, mostRows)}
		}
		total += rows
		counts[t.name] = rows
	}
	return counts, nil
}
