package diff

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Style decorates the text form. A nil function leaves a text as it is. Colour
// carries no meaning of its own: the columns say all.
type Style struct {
	Heading, Path, Recorded, Replayed, Dim func(string) string
}

// longest is how many characters of a value are shown.
const longest = 60

// Text writes a result for people: a verdict, the differences in aligned
// columns, what was volatile, and the notes. Control characters of the bodies
// are escaped.
func Text(w io.Writer, r Result, style Style) error {
	var b strings.Builder
	b.WriteString(paint(style.Heading, verdict(r)) + "\n")
	if len(r.Differences) > 0 {
		rows := [][]string{{"kind", "path", "recorded", "replayed"}}
		for _, d := range r.Differences {
			rows = append(rows, []string{d.Kind, visible(d.Path), show(d, d.Recorded), show(d, d.Replayed)})
		}
		table(&b, rows, []func(string) string{nil, style.Path, style.Recorded, style.Replayed}, style.Dim)
	}
	if len(r.Volatile) > 0 {
		rows := [][]string{{"volatile", "class", "why"}}
		for _, v := range r.Volatile {
			rows = append(rows, []string{visible(v.Path), v.Class, visible(v.Why)})
		}
		b.WriteString("\n")
		table(&b, rows, []func(string) string{style.Path, nil, style.Dim}, style.Dim)
	}
	for _, note := range r.Notes {
		b.WriteString("\nnote: " + visible(note) + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the comparison: %w", err)
	}
	return nil
}

func verdict(r Result) string {
	text := "different: " + plural(len(r.Differences), "difference")
	switch {
	case r.Same:
		text = "same"
	case len(r.Differences) == 0:
		text = "not compared"
	}
	if n := len(r.Volatile); n > 0 {
		text += ", leaving out " + plural(n, "volatile place")
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// table writes rows with aligned columns; the first row is the head. Text is
// painted after it is measured.
func table(b *strings.Builder, rows [][]string, paints []func(string) string, head func(string) string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			color := paints[i]
			if n == 0 {
				color = head
			}
			b.WriteString("  " + paint(color, cell))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			}
		}
		b.WriteString("\n")
	}
}

func paint(color func(string) string, s string) string {
	if color == nil || s == "" {
		return s
	}
	return color(s)
}

// show is a value in a cell.
func show(d Difference, v any) string {
	if v == nil && d.Kind != KindValue && d.Kind != KindType {
		return "-"
	}
	text, isText := v.(string)
	if !isText || d.Kind == KindValue || d.Kind == KindType {
		text = compact(v)
	}
	return shorten(visible(text))
}

// compact is a value as JSON on one line.
func compact(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	runes := []rune(s)
	return string(runes[:longest-3]) + "..."
}

// visible escapes what a terminal would act on.
func visible(s string) string {
	clean := true
	for _, r := range s {
		if !strconv.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
