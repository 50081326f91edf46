package seeds

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// uuidColumn makes UUIDs of RFC 9562, version 4 or 7.
type uuidColumn struct {
	Common  common `yaml:",inline"`
	Version int    `yaml:"version"`
	Time    string `yaml:"time"`
}

func (c *uuidColumn) check() error {
	if c.Version != 4 && c.Version != 7 {
		return fmt.Errorf("a uuid has version 4 or 7, not %d", c.Version)
	}
	if c.Time != "" && c.Version != 7 {
		return errors.New("only a uuid of version 7 has a time")
	}
	return nil
}

func (c *uuidColumn) needs() []string {
	if c.Time == "" {
		return nil
	}
	return []string{c.Time}
}

func (c *uuidColumn) next(r *rows, s *stream) any {
	var id uuid
	binary.BigEndian.PutUint64(id[:8], s.source.Uint64())
	binary.BigEndian.PutUint64(id[8:], s.source.Uint64())
	if c.Version == 7 {
		at := r.profile.Clock.Add(time.Duration(r.at) * time.Millisecond)
		if c.Time != "" {
			if t, ok := r.value(c.Time).(time.Time); ok {
				at = t
			}
		}
		var ms [8]byte
		binary.BigEndian.PutUint64(ms[:], uint64(at.UnixMilli()))
		copy(id[:6], ms[2:])
	}
	id[6] = id[6]&0x0f | byte(c.Version)<<4
	id[8] = id[8]&0x3f | 0x80
	return id
}

func (id uuid) String() string {
	var text [36]byte
	hex.Encode(text[:], id[:4])
	text[8] = '-'
	hex.Encode(text[9:], id[4:6])
	text[13] = '-'
	hex.Encode(text[14:], id[6:8])
	text[18] = '-'
	hex.Encode(text[19:], id[8:10])
	text[23] = '-'
	hex.Encode(text[24:], id[10:])
	return string(text[:])
}

type sequenceColumn struct {
	Common common `yaml:",inline"`
	alone  `yaml:"-"`
	Start  int64 `yaml:"start"`
	Step   int64 `yaml:"step"`
}

func (c *sequenceColumn) check() error { return nil }

func (c *sequenceColumn) next(r *rows, _ *stream) any { return c.Start + int64(r.at)*c.Step }

type intColumn struct {
	Common common `yaml:",inline"`
	alone  `yaml:"-"`
	Min    *int64 `yaml:"min"`
	Max    *int64 `yaml:"max"`
}

func (c *intColumn) check() error {
	if c.Min == nil || c.Max == nil {
		return errors.New("int needs min and max")
	}
	if *c.Min > *c.Max {
		return fmt.Errorf("min %d is above max %d", *c.Min, *c.Max)
	}
	return nil
}

func (c *intColumn) next(_ *rows, s *stream) any { return s.between(*c.Min, *c.Max) }

type choiceColumn struct {
	Common  common `yaml:",inline"`
	alone   `yaml:"-"`
	Values  []any    `yaml:"values"`
	Weights []uint32 `yaml:"weights"`
	total   uint64
}

func (c *choiceColumn) check() error {
	if len(c.Values) == 0 {
		return errors.New("choice needs values")
	}
	if c.Weights != nil && len(c.Weights) != len(c.Values) {
		return fmt.Errorf("there are %d values and %d weights", len(c.Values), len(c.Weights))
	}
	for i, v := range c.Values {
		value, err := scalar(v)
		if err != nil {
			return err
		}
		c.Values[i] = value
	}
	for _, w := range c.Weights {
		c.total += uint64(w)
	}
	if c.Weights != nil && c.total == 0 {
		return errors.New("all weights are 0")
	}
	return nil
}

func (c *choiceColumn) next(_ *rows, s *stream) any {
	if c.Weights == nil {
		return c.Values[s.below(uint64(len(c.Values)))]
	}
	n := s.below(c.total)
	for i, w := range c.Weights {
		if n < uint64(w) {
			return c.Values[i]
		}
		n -= uint64(w)
	}
	return nil
}

type constantColumn struct {
	Common common `yaml:",inline"`
	alone  `yaml:"-"`
	Value  any `yaml:"value"`
}

func (c *constantColumn) check() (err error) {
	c.Value, err = scalar(c.Value)
	return err
}

func (c *constantColumn) next(*rows, *stream) any { return c.Value }

// timestampColumn counts down from the clock, or up from another column.
type timestampColumn struct {
	Common common        `yaml:",inline"`
	Step   time.Duration `yaml:"step"`
	Jitter time.Duration `yaml:"jitter"`
	After  string        `yaml:"after"`
	Within time.Duration `yaml:"within"`
}

func (c *timestampColumn) check() error {
	switch {
	case c.Step < 0 || c.Jitter < 0 || c.Within < 0:
		return errors.New("step, jitter and within are not below 0")
	case c.After == "" && c.Within != 0:
		return errors.New("within goes with after")
	case c.After != "" && (c.Step != 0 || c.Jitter != 0):
		return errors.New("step and jitter do not go with after")
	}
	return nil
}

func (c *timestampColumn) needs() []string {
	if c.After == "" {
		return nil
	}
	return []string{c.After}
}

func (c *timestampColumn) next(r *rows, s *stream) any {
	// Whole microseconds, which is what PostgreSQL keeps.
	if c.After == "" {
		back := c.Step.Microseconds()*int64(r.at) + s.between(0, c.Jitter.Microseconds())
		return time.UnixMicro(r.profile.Clock.UnixMicro() - back).UTC()
	}
	later := s.between(0, c.Within.Microseconds())
	from, ok := r.value(c.After).(time.Time)
	if !ok {
		return nil
	}
	at := from.UnixMicro() + later
	return time.UnixMicro(max(from.UnixMicro(), min(at, r.profile.Clock.UnixMicro()))).UTC()
}

// templateColumn joins other columns of the row with text.
type templateColumn struct {
	Common common `yaml:",inline"`
	Text   string `yaml:"text"`
	parts  []templatePart
}

// templatePart is text, or the name of a column.
type templatePart struct{ text, column string }

// rowNumber is what {n} stands for.
const rowNumber = "n"

func (c *templateColumn) check() error {
	rest := c.Text
	for rest != "" {
		text, after, found := strings.Cut(rest, "{")
		if strings.Contains(text, "}") {
			return errors.New("a } without a {")
		}
		if text != "" {
			c.parts = append(c.parts, templatePart{text: text})
		}
		if !found {
			break
		}
		name, after, found := strings.Cut(after, "}")
		if !found || name == "" {
			return errors.New("a { without the name of a column and a }")
		}
		c.parts = append(c.parts, templatePart{column: name})
		rest = after
	}
	if c.Text == "" {
		return errors.New("template needs text")
	}
	return nil
}

func (c *templateColumn) needs() []string {
	var names []string
	for _, part := range c.parts {
		if part.column != "" && part.column != rowNumber {
			names = append(names, part.column)
		}
	}
	return names
}

func (c *templateColumn) next(r *rows, _ *stream) any {
	var b strings.Builder
	for _, part := range c.parts {
		switch part.column {
		case "":
			b.WriteString(part.text)
		case rowNumber:
			b.WriteString(strconv.Itoa(r.at + 1))
		default:
			text, _ := canonical(r.value(part.column)) // no value: no text
			b.WriteString(text)
		}
	}
	return b.String()
}

// countColumn counts words as strings.Fields finds them.
type countColumn struct {
	Common common `yaml:",inline"`
	Of     string `yaml:"of"`
}

func (c *countColumn) check() error {
	if c.Of == "" {
		return errors.New("count_words needs of")
	}
	return nil
}

func (c *countColumn) needs() []string { return []string{c.Of} }

func (c *countColumn) next(r *rows, _ *stream) any {
	text, ok := r.value(c.Of).(string)
	if !ok {
		return nil
	}
	return int64(len(strings.Fields(text)))
}

// refColumn takes values of a column of another table.
type refColumn struct {
	Common common `yaml:",inline"`
	alone  `yaml:"-"`
	Table  string `yaml:"table"`
	Column string `yaml:"column"`
	Pick   string `yaml:"pick"`
}

func (c *refColumn) check() error {
	if c.Table == "" || c.Column == "" {
		return errors.New("ref needs table and column")
	}
	if c.Pick != "" && c.Pick != "random" && c.Pick != "each" {
		return fmt.Errorf("pick is random or each, not %q", c.Pick)
	}
	return nil
}

func (c *refColumn) next(r *rows, s *stream) any {
	parents := r.parents[[2]string{c.Table, c.Column}]
	if len(parents) == 0 {
		return nil
	}
	if c.Pick == "each" {
		return parents[r.at%len(parents)]
	}
	return parents[s.below(uint64(len(parents)))]
}
