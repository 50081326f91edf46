package seeds

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options says how much data.
type Options struct {
	// Scale multiplies the rows of each table that is not fixed; 0 means 1.
	Scale int
}

// Report tells what Apply did.
type Report struct {
	Tables   []TableReport // in the order in which they were filled
	Digest   string        // equal to that of Digest
	Duration time.Duration
}

// TableReport is one table of a Report.
type TableReport struct {
	Name string
	Rows int
}

// lockTimeout bounds the wait for sessions that use the tables.
const lockTimeout = "5s"

// Apply makes the profile's tables hold its data and nothing else, in one
// transaction: it empties all of them (TRUNCATE, identities from the start), and
// fills them through COPY in an order in which each comes after those that its
// columns refer to. Identity and serial columns go on after the highest number
// of a sequence. When it fails the tables are as before.
func (p *Profile) Apply(ctx context.Context, conn *pgx.Conn, opts Options) (Report, error) {
	began := time.Now()
	counts, err := p.counts(opts.Scale)
	if err != nil {
		return Report{}, err
	}
	var report Report
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := p.truncate(ctx, tx); err != nil {
			return err
		}
		all := newProfileSum()
		parents := references{}
		for _, t := range p.tables {
			sum, err := p.fill(ctx, tx, t, counts[t.name], parents)
			if err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
			all.add(t, sum)
			report.Tables = append(report.Tables, TableReport{Name: t.name, Rows: counts[t.name]})
		}
		report.Digest = all.hex()
		return nil
	})
	if err != nil {
		return Report{}, fmt.Errorf("apply profile %s: %w", p.Name, explain(err))
	}
	report.Duration = time.Since(began)
	return report, nil
}

func (p *Profile) truncate(ctx context.Context, tx pgx.Tx) error {
	if len(p.tables) == 0 {
		return nil
	}
	names := make([]string, len(p.tables))
	for i, t := range p.tables {
		names[i] = identifier(t.name).Sanitize()
	}
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'"); err != nil {
		return err
	}
	for _, t := range p.tables {
		// A better message than TRUNCATE's for what is missing.
		if _, err := p.types(ctx, tx.Conn(), t); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "TRUNCATE "+strings.Join(names, ", ")+" RESTART IDENTITY")
	return err
}

func (p *Profile) fill(ctx context.Context, tx pgx.Tx, t *table, count int, parents references) (*tableSum, error) {
	types, err := p.types(ctx, tx.Conn(), t)
	if err != nil {
		return nil, err
	}
	columns := t.written()
	names := make([]string, len(columns))
	source := &copySource{rows: p.open(t, count, parents), sum: &tableSum{rows: make([]rowSum, 0, count)}}
	source.written = source.rows.positions(columns)
	source.out = make([]any, len(columns))
	for i, c := range columns {
		names[i] = c.name
		source.types = append(source.types, types[c.name])
	}
	if _, err := tx.CopyFrom(ctx, identifier(t.name), names, source); err != nil {
		return nil, err
	}
	for _, c := range columns {
		if _, ok := c.make.(*sequenceColumn); ok && count > 0 {
			if err := advance(ctx, tx, t.name, c.name); err != nil {
				return nil, err
			}
		}
	}
	// Plans are made for the data that is there from the first query on, not
	// from whenever autovacuum comes by.
	_, err = tx.Exec(ctx, "ANALYZE "+identifier(t.name).Sanitize())
	return source.sum, err
}

// advance sets the sequence behind an identity or serial column, if there is
// one, so that the next row that the service inserts gets a free number.
func advance(ctx context.Context, tx pgx.Tx, table, column string) error {
	id := identifier(table).Sanitize()
	_, err := tx.Exec(ctx, fmt.Sprintf(`SELECT setval(s, m) FROM (SELECT pg_get_serial_sequence($1, $2) AS s,
		(SELECT max(%s) FROM %s) AS m) AS x WHERE s IS NOT NULL AND m > 0`, pgx.Identifier{column}.Sanitize(), id), id, column)
	return err
}

// copySource gives rows to COPY as they are made, and keeps their digests.
type copySource struct {
	rows    *rows
	sum     *tableSum
	written []int
	types   []columnType
	out     []any
}

func (s *copySource) Next() bool {
	row, ok := s.rows.next()
	if !ok {
		return false
	}
	for i, at := range s.written {
		s.out[i] = s.types[i].encode(row[at])
	}
	s.rows.hashRow(s.sum, s.written)
	return true
}

func (s *copySource) Values() ([]any, error) { return s.out, nil }

func (s *copySource) Err() error { return nil }
