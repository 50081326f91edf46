package seeds

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// file, tableSpec and columnSpec are what stands in the YAML.
type file struct {
	Description string      `yaml:"description"`
	Clock       string      `yaml:"clock"`
	Seed        uint64      `yaml:"seed"`
	Tables      []tableSpec `yaml:"tables"`
}

type tableSpec struct {
	Table   string       `yaml:"table"`
	Rows    int          `yaml:"rows"`
	Fixed   bool         `yaml:"fixed"`
	Columns []columnSpec `yaml:"columns"`
	node    ast.Node
}

// UnmarshalYAML keeps the place for errors.
func (t *tableSpec) UnmarshalYAML(node ast.Node) error {
	type plain tableSpec
	if err := yaml.NodeToValue(node, (*plain)(t), yaml.Strict()); err != nil {
		return err
	}
	t.node = node
	return nil
}

// common is the part that all columns have. Generators embed it, since they
// refuse settings that they do not know.
type common struct {
	Name     string  `yaml:"name"`
	Generate string  `yaml:"generate"`
	Hidden   bool    `yaml:"hidden"`
	Nulls    float64 `yaml:"nulls"`
}

type columnSpec struct {
	common
	node ast.Node
}

// UnmarshalYAML keeps the node for the generator.
func (c *columnSpec) UnmarshalYAML(node ast.Node) error {
	if err := yaml.NodeToValue(node, &c.common); err != nil {
		return err
	}
	c.node = node
	return nil
}

// table and column are what a profile compiles to.
type table struct {
	name    string
	rows    int
	fixed   bool
	columns []*column // in the order of the file
	order   []int     // in which values are made: what others need comes first
}

type column struct {
	name   string
	hidden bool
	null   float64
	make   generator
}

func (p *Profile) parse(content []byte) (err error) {
	// The YAML library panics on some malformed input, such as a sequence in
	// whose place there is a tag alone.
	defer func() {
		if r := recover(); r != nil {
			err = &Error{File: p.path, Text: fmt.Sprintf("this is not YAML that can be read: %v", r)}
		}
	}()
	var spec file
	if err := yaml.UnmarshalWithOptions(content, &spec, yaml.Strict()); err != nil {
		return p.syntax(err)
	}
	clock, err := time.Parse(time.RFC3339Nano, spec.Clock)
	if err != nil {
		return &Error{File: p.path, Text: fmt.Sprintf("clock %q is not a time", spec.Clock),
			Hint: "give a fixed time, as in clock: 2026-01-15T09:00:00Z"}
	}
	p.Description, p.Clock, p.seed = spec.Description, clock.UTC().Truncate(time.Microsecond), spec.Seed
	for i := range spec.Tables {
		t, err := p.table(&spec.Tables[i])
		if err != nil {
			return err
		}
		p.tables = append(p.tables, t)
	}
	return p.link(spec.Tables)
}

// syntax turns the YAML library's error into ours.
func (p *Profile) syntax(err error) error {
	var fault yaml.Error
	if !errors.As(err, &fault) {
		return &Error{File: p.path, Text: err.Error()}
	}
	e := &Error{File: p.path, Text: fault.GetMessage()}
	if token := fault.GetToken(); token != nil && token.Position != nil {
		e.Line, e.Column = token.Position.Line, token.Position.Column
	}
	return e
}

// at is an error at a place in the file.
func (p *Profile) at(node ast.Node, hint, text string, args ...any) error {
	e := &Error{File: p.path, Text: fmt.Sprintf(text, args...), Hint: hint}
	if node != nil && node.GetToken() != nil && node.GetToken().Position != nil {
		e.Line, e.Column = node.GetToken().Position.Line, node.GetToken().Position.Column
	}
	return e
}

func (p *Profile) table(spec *tableSpec) (*table, error) {
	switch {
	case spec.Table == "":
		return nil, p.at(spec.node, "", "a table has no name")
	case spec.Rows < 0 || spec.Rows > mostRows:
		return nil, p.at(spec.node, "", "table %s: rows is from 0 to %d, not %d", spec.Table, mostRows, spec.Rows)
	case len(spec.Columns) == 0:
		return nil, p.at(spec.node, "", "table %s has no columns", spec.Table)
	}
	t := &table{name: spec.Table, rows: spec.Rows, fixed: spec.Fixed}
	written := 0
	for i := range spec.Columns {
		c, err := p.column(&spec.Columns[i])
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(t.columns, func(other *column) bool { return other.name == c.name }) {
			return nil, p.at(spec.Columns[i].node, "", "table %s has two columns %s", t.name, c.name)
		}
		if !c.hidden {
			written++
		}
		t.columns = append(t.columns, c)
	}
	if written == 0 {
		return nil, p.at(spec.node, "", "all columns of table %s are hidden", t.name)
	}
	return t, p.orderColumns(t, spec)
}

func (p *Profile) column(spec *columnSpec) (*column, error) {
	if spec.Name == "" {
		return nil, p.at(spec.node, "", "a column has no name")
	}
	if !(spec.Nulls >= 0 && spec.Nulls <= 1) {
		return nil, p.at(spec.node, "", "column %s: nulls is a share from 0 to 1, not %v", spec.Name, spec.Nulls)
	}
	kind, ok := generatorFor(spec.Generate)
	if !ok {
		hint := "generators: " + strings.Join(generatorNames(), ", ")
		if near, ok := nearest(spec.Generate, generatorNames()); ok {
			hint = fmt.Sprintf("did you mean %s? %s", near, hint)
		}
		return nil, p.at(spec.node, hint, "column %s: there is no generator %q", spec.Name, spec.Generate)
	}
	if err := yaml.NodeToValue(spec.node, kind, yaml.Strict()); err != nil {
		var placed yaml.Error
		if !errors.As(err, &placed) { // a duration that is none comes without its place
			return nil, p.at(spec.node, "", "column %s: %v", spec.Name, err)
		}
		return nil, p.syntax(err)
	}
	if err := kind.check(); err != nil {
		return nil, p.at(spec.node, "", "column %s: %v", spec.Name, err)
	}
	return &column{name: spec.Name, hidden: spec.Hidden, null: spec.Nulls, make: kind}, nil
}

// orderColumns finds an order in which each column comes after those that it
// needs.
func (p *Profile) orderColumns(t *table, spec *tableSpec) error {
	index := make(map[string]int, len(t.columns))
	all := make([]string, len(t.columns))
	for i, c := range t.columns {
		index[c.name], all[i] = i, c.name
	}
	for i, c := range t.columns {
		for _, need := range c.make.needs() {
			if _, ok := index[need]; ok {
				continue
			}
			hint := ""
			if near, ok := nearest(need, all); ok {
				hint = "did you mean " + near + "?"
			}
			return p.at(spec.Columns[i].node, hint, "column %s refers to %s, and table %s has no such column", c.name, need, t.name)
		}
	}
	order, stuck := sortByNeed(len(t.columns), func(i int) []int {
		var needs []int
		for _, need := range t.columns[i].make.needs() {
			needs = append(needs, index[need])
		}
		return needs
	})
	if stuck >= 0 {
		return p.at(spec.Columns[stuck].node, "", "column %s refers, over others, to itself", t.columns[stuck].name)
	}
	t.order = order
	return nil
}

// link checks references between tables and puts the tables into an order in
// which each comes after those that it refers to.
func (p *Profile) link(specs []tableSpec) error {
	index := map[string]int{}
	for i, t := range p.tables {
		if _, ok := index[t.name]; ok {
			return p.at(specs[i].node, "", "there are two tables %s", t.name)
		}
		index[t.name] = i
	}
	for i, t := range p.tables {
		for j, c := range t.columns {
			ref, ok := c.make.(*refColumn)
			if !ok {
				continue
			}
			node := specs[i].Columns[j].node
			to, ok := index[ref.Table]
			if !ok {
				return p.at(node, "", "column %s refers to table %s, which is not in this profile", c.name, ref.Table)
			}
			if !slices.ContainsFunc(p.tables[to].columns, func(o *column) bool { return o.name == ref.Column }) {
				return p.at(node, "", "column %s refers to %s.%s, and there is no such column", c.name, ref.Table, ref.Column)
			}
		}
	}
	order, stuck := sortByNeed(len(p.tables), func(i int) []int {
		var needs []int
		for _, c := range p.tables[i].columns {
			if ref, ok := c.make.(*refColumn); ok {
				needs = append(needs, index[ref.Table])
			}
		}
		return needs
	})
	if stuck >= 0 {
		return p.at(specs[stuck].node, "", "table %s refers, over others, to itself", p.tables[stuck].name)
	}
	tables := make([]*table, len(order))
	for i, from := range order {
		tables[i] = p.tables[from]
	}
	p.tables = tables
	return nil
}

// sortByNeed orders 0…n-1 so that what each needs comes before it, and keeps
// their order otherwise. stuck is one of a circle, -1 when there is none.
func sortByNeed(n int, needs func(int) []int) (order []int, stuck int) {
	const visiting, done = 1, 2
	state := make([]int, n)
	stuck = -1
	var visit func(int) bool
	visit = func(i int) bool {
		switch state[i] {
		case visiting:
			stuck = i
			return false
		case done:
			return true
		}
		state[i] = visiting
		for _, need := range needs(i) {
			if !visit(need) {
				return false
			}
		}
		state[i] = done
		order = append(order, i)
		return true
	}
	for i := range n {
		if !visit(i) {
			return nil, stuck
		}
	}
	return order, -1
}
