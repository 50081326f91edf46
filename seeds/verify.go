package seeds

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Verification tells whether a database holds exactly what a profile makes.
type Verification struct {
	Want, Got string // digests; equal when the data is as it should be
	Tables    []TableVerification
	// Differs is the first table that is not as it should be, nil when all are.
	Differs  *TableVerification
	Duration time.Duration
}

// TableVerification is one table of a Verification.
type TableVerification struct {
	Name       string
	Want, Got  int    // rows
	Missing    int    // rows that should be there and are not, or are changed
	Unexpected int    // rows that should not be there, or are changed
	Example    string // the first missing row, as column=value, shortened
}

// OK says whether the data is as it should be.
func (v Verification) OK() bool { return v.Want == v.Got }

// Verify compares what is in the profile's tables with what Apply would put
// there. Only the profile's columns count. The database is not changed.
func (p *Profile) Verify(ctx context.Context, conn *pgx.Conn, opts Options) (Verification, error) {
	began := time.Now()
	var v Verification
	want, err := p.expected(opts.Scale)
	if err != nil {
		return v, err
	}
	wantAll, gotAll := newProfileSum(), newProfileSum()
	consistent := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, conn, consistent, func(tx pgx.Tx) error {
		// The shortest digits that give the same number again, whatever the
		// session or the server is set to.
		if _, err := tx.Exec(ctx, "SET LOCAL extra_float_digits = 1"); err != nil {
			return err
		}
		for i, t := range p.tables {
			got, err := p.read(ctx, tx, t)
			if err != nil {
				return err
			}
			made := slices.Clone(want[i].rows) // in the order of the rows
			wantAll.add(t, want[i])
			gotAll.add(t, got)
			missing, unexpected := compare(want[i].rows, got.rows)
			v.Tables = append(v.Tables, TableVerification{Name: t.name, Want: len(made), Got: len(got.rows),
				Missing: len(missing), Unexpected: len(unexpected)})
			if len(missing) > 0 {
				v.Tables[i].Example = p.example(i, opts.Scale, first(made, missing))
			}
		}
		return nil
	})
	if err != nil {
		return Verification{}, fmt.Errorf("verify profile %s: %w", p.Name, explain(err))
	}
	v.Want, v.Got = wantAll.hex(), gotAll.hex()
	for i := range v.Tables {
		if v.Tables[i].Missing+v.Tables[i].Unexpected > 0 {
			v.Differs = &v.Tables[i]
			break
		}
	}
	v.Duration = time.Since(began)
	return v, nil
}

// read digests the rows of a table in the database.
func (p *Profile) read(ctx context.Context, tx pgx.Tx, t *table) (*tableSum, error) {
	types, err := p.types(ctx, tx.Conn(), t)
	if err != nil {
		return nil, err
	}
	columns := t.written()
	expressions := make([]string, len(columns))
	for i, c := range columns {
		expressions[i] = fmt.Sprintf(types[c.name].expect, pgx.Identifier{c.name}.Sanitize())
	}
	rows, err := tx.Query(ctx, "SELECT "+strings.Join(expressions, ", ")+" FROM "+identifier(t.name).Sanitize())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sum := &tableSum{}
	for rows.Next() {
		for i, raw := range rows.RawValues() {
			sum.add(types[columns[i].name].normal(string(raw)), raw != nil)
		}
		sum.end()
	}
	return sum, rows.Err()
}

// compare walks two sorted lists and gives what only one of them has.
func compare(want, got []rowSum) (missing, unexpected []rowSum) {
	for len(want) > 0 && len(got) > 0 {
		switch c := bytes.Compare(want[0][:], got[0][:]); {
		case c == 0:
			want, got = want[1:], got[1:]
		case c < 0:
			missing, want = append(missing, want[0]), want[1:]
		default:
			unexpected, got = append(unexpected, got[0]), got[1:]
		}
	}
	return append(missing, want...), append(unexpected, got...)
}

// first is the number of the first row made that is among the missing.
func first(made, missing []rowSum) int {
	set := make(map[rowSum]bool, len(missing))
	for _, sum := range missing {
		set[sum] = true
	}
	return slices.IndexFunc(made, func(sum rowSum) bool { return set[sum] })
}

// longestValue of an example, in characters.
const longestValue = 40

// example makes row number n of a table again and shows it.
func (p *Profile) example(tableIndex, scale, n int) string {
	counts, err := p.counts(scale)
	if err != nil {
		return ""
	}
	parents := references{}
	for i, t := range p.tables[:tableIndex+1] {
		r := p.open(t, counts[t.name], parents)
		for {
			row, ok := r.next()
			if !ok {
				break
			}
			if i < tableIndex || r.at <= n {
				continue
			}
			var parts []string
			for at, c := range t.columns {
				if text, ok := canonical(row[at]); ok && !c.hidden {
					parts = append(parts, c.name+"="+shorten(text))
				}
			}
			return strings.Join(parts, " ")
		}
	}
	return ""
}

func shorten(text string) string {
	if runes := []rune(text); len(runes) > longestValue {
		return string(runes[:longestValue]) + "…"
	}
	return text
}
