package seeds

import (
	"fmt"
	"time"
)

// values is one row: nil, int64, float64, bool, string, time.Time or uuid, in
// the order of the table's columns.
type values []any

type uuid [16]byte

// rows makes the rows of one table, one after another.
type rows struct {
	profile *Profile
	table   *table
	count   int
	at      int // rows made so far
	row     values
	draws   []*stream // of each column
	nulls   []*stream
	index   map[string]int
	parents references
	keep    []int // columns that other tables refer to
}

// references holds the values of columns that others refer to, by table and
// column.
type references map[[2]string][]any

// open starts the rows of t. Tables must be opened and read to their end in the
// profile's order, with one references for all.
func (p *Profile) open(t *table, count int, parents references) *rows {
	r := &rows{profile: p, table: t, count: count, parents: parents,
		row: make(values, len(t.columns)), index: make(map[string]int, len(t.columns))}
	for i, c := range t.columns {
		r.index[c.name] = i
		r.draws = append(r.draws, newStream(format, p.Name, p.seed, t.name, c.name))
		r.nulls = append(r.nulls, newStream(format, p.Name, p.seed, t.name, c.name, "null"))
		key := [2]string{t.name, c.name}
		if p.isReferred(key) {
			r.keep = append(r.keep, i)
			parents[key] = make([]any, 0, count)
		}
	}
	return r
}

func (p *Profile) isReferred(key [2]string) bool {
	for _, t := range p.tables {
		for _, c := range t.columns {
			if ref, ok := c.make.(*refColumn); ok && ref.Table == key[0] && ref.Column == key[1] {
				return true
			}
		}
	}
	return false
}

// next makes the next row, which is good until the call after. false at the end.
func (r *rows) next() (values, bool) {
	if r.at >= r.count {
		return nil, false
	}
	for _, i := range r.table.order {
		c := r.table.columns[i]
		// Drawn in any case, so that the share of nulls changes no value.
		value := c.make.next(r, r.draws[i])
		if c.null > 0 && r.nulls[i].chance(c.null) {
			value = nil
		}
		r.row[i] = value
	}
	for _, i := range r.keep {
		key := [2]string{r.table.name, r.table.columns[i].name}
		r.parents[key] = append(r.parents[key], r.row[i])
	}
	r.at++
	return r.row, true
}

// value is that of another column of the row being made.
func (r *rows) value(column string) any { return r.row[r.index[column]] }

// generator makes the values of a column. Its fields are the settings in YAML.
type generator interface {
	// check says what is wrong with the settings.
	check() error
	// needs lists the columns of the same row that must be made before.
	needs() []string
	// next makes a value. It draws the same amount from s whatever the values of
	// other columns are.
	next(r *rows, s *stream) any
}

// generatorNames lists what generatorFor knows.
func generatorNames() []string {
	return []string{"choice", "constant", "count_words", "int", "paragraph", "ref",
		"sentence", "sequence", "template", "timestamp", "uuid", "words"}
}

// generatorFor gives a generator with its default settings.
func generatorFor(name string) (generator, bool) {
	switch name {
	case "choice":
		return &choiceColumn{}, true
	case "constant":
		return &constantColumn{}, true
	case "count_words":
		return &countColumn{}, true
	case "int":
		return &intColumn{}, true
	case "paragraph":
		return &textColumn{Min: 3, Max: 6, unit: paragraph}, true
	case "ref":
		return &refColumn{}, true
	case "sentence":
		return &textColumn{Min: 6, Max: 14, unit: sentence}, true
	case "sequence":
		return &sequenceColumn{Start: 1, Step: 1}, true
	case "template":
		return &templateColumn{}, true
	case "timestamp":
		return &timestampColumn{}, true
	case "uuid":
		return &uuidColumn{Version: 4}, true
	case "words":
		return &textColumn{Min: 2, Max: 5, unit: words}, true
	}
	return nil, false
}

// alone is embedded by generators that look at no other column.
type alone struct{}

func (alone) needs() []string { return nil }

// scalar takes what YAML can write and turns it into a value.
func scalar(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, float64, int64:
		return v, nil
	case int:
		return int64(v), nil
	case uint64:
		if v > 1<<63-1 {
			return nil, fmt.Errorf("%d is too large", v)
		}
		return int64(v), nil
	case time.Time:
		return v.UTC().Truncate(time.Microsecond), nil
	}
	return nil, fmt.Errorf("%v is neither text, number, true, false nor null", v)
}
