// Package console is how devtool talks to a person or a script: streams,
// colour, progress, errors with hints, exit codes.
package console

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Streams are the three standard streams and what is known of them.
type Streams struct {
	In       io.Reader
	Out      io.Writer
	Err      io.Writer
	Terminal bool // Err is a terminal that a person looks at
	Color    bool // Err takes colours
	OutColor bool // Out takes colours
}

// System returns the streams of this process. NO_COLOR (no-color.org), TERM=dumb
// and CI are honoured.
func System() *Streams {
	plain := os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || os.Getenv("CI") != ""
	errTerm := term.IsTerminal(int(os.Stderr.Fd()))
	outTerm := term.IsTerminal(int(os.Stdout.Fd()))
	return &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Terminal: errTerm && os.Getenv("CI") == "" && os.Getenv("TERM") != "dumb",
		Color:    errTerm && !plain,
		OutColor: outTerm && !plain,
	}
}

// Buffers returns streams for a test, and what is written to them.
func Buffers() (s *Streams, out, err *bytes.Buffer) {
	out, err = new(bytes.Buffer), new(bytes.Buffer)
	return &Streams{In: strings.NewReader(""), Out: out, Err: err}, out, err
}

// Saying prints a line for a person, on standard error.
func (s *Streams) Saying(format string, args ...any) { fmt.Fprintf(s.Err, format+"\n", args...) }

// Style is a colour or weight. It never carries meaning alone.
type Style string

// The styles in use (ECMA-48 SGR parameters).
const (
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Blue   Style = "34"
	Cyan   Style = "36"
)

// Paint wraps text in style when colour is on.
func Paint(on bool, style Style, text string) string {
	if !on || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}
