package seeds

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"time"
)

// The digest of a data set is SHA-256 over, for each table in the order in which
// they are filled: its name, the names of its columns in order, and the sorted
// SHA-256 of its rows. A row is its values in the order of the column names,
// each a byte 0 for null, or a byte 1, the length in four bytes, and the value's
// text in the canonical form below. So the digest depends on neither the order
// of the rows, nor the types of the columns, nor the settings of the server.

// timeText is a timestamp's canonical form, in UTC.
const timeText = "2006-01-02T15:04:05.000000Z"

// canonical is a value's text; ok is false for null.
func canonical(v any) (text string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	case time.Time:
		return v.UTC().Format(timeText), true
	case uuid:
		return v.String(), true
	}
	return fmt.Sprint(v), true
}

type rowSum [sha256.Size]byte

// tableSum collects the rows of one table.
type tableSum struct {
	rows []rowSum
	buf  []byte
}

// add takes the next value of the row; null when ok is false.
func (t *tableSum) add(text string, ok bool) {
	if !ok {
		t.buf = append(t.buf, 0)
		return
	}
	t.buf = append(t.buf, 1)
	t.buf = binary.BigEndian.AppendUint32(t.buf, uint32(len(text)))
	t.buf = append(t.buf, text...)
}

// end completes the row.
func (t *tableSum) end() {
	t.rows = append(t.rows, sha256.Sum256(t.buf))
	t.buf = t.buf[:0]
}

func (t *tableSum) sort() {
	slices.SortFunc(t.rows, func(a, b rowSum) int { return bytes.Compare(a[:], b[:]) })
}

// written lists the columns of a table that are in the database, by name.
func (t *table) written() []*column {
	var list []*column
	for _, c := range t.columns {
		if !c.hidden {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *column) int { return bytes.Compare([]byte(a.name), []byte(b.name)) })
	return list
}

// profileSum puts the tables together.
type profileSum struct{ sum hash.Hash }

func newProfileSum() profileSum {
	s := profileSum{sha256.New()}
	s.text(format)
	return s
}

func (s profileSum) text(text string) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(text)))
	s.sum.Write(length[:])
	_, _ = io.WriteString(s.sum, text) // a hash never fails
}

// add takes the next table, whose rows it sorts.
func (s profileSum) add(t *table, rows *tableSum) {
	s.text(t.name)
	for _, c := range t.written() {
		s.text(c.name)
	}
	rows.sort()
	for i := range rows.rows {
		s.sum.Write(rows.rows[i][:])
	}
}

func (s profileSum) hex() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// hashRow adds a generated row to sum.
func (r *rows) hashRow(sum *tableSum, written []int) {
	for _, i := range written {
		sum.add(canonical(r.row[i]))
	}
	sum.end()
}

// positions are the places of columns in a generated row.
func (r *rows) positions(columns []*column) []int {
	list := make([]int, len(columns))
	for i, c := range columns {
		list[i] = r.index[c.name]
	}
	return list
}

// Digest is the digest of the data that the profile makes at a scale, found
// without a database.
func (p *Profile) Digest(scale int) (string, error) {
	sums, err := p.expected(scale)
	if err != nil {
		return "", err
	}
	all := newProfileSum()
	for i, t := range p.tables {
		all.add(t, sums[i])
	}
	return all.hex(), nil
}

// expected makes all rows and keeps their digests, unsorted: row n of the table
// is at n.
func (p *Profile) expected(scale int) ([]*tableSum, error) {
	counts, err := p.counts(scale)
	if err != nil {
		return nil, err
	}
	parents := references{}
	sums := make([]*tableSum, len(p.tables))
	for i, t := range p.tables {
		sums[i] = &tableSum{rows: make([]rowSum, 0, counts[t.name])}
		r := p.open(t, counts[t.name], parents)
		written := r.positions(t.written())
		for {
			if _, ok := r.next(); !ok {
				break
			}
			r.hashRow(sums[i], written)
		}
	}
	return sums, nil
}
