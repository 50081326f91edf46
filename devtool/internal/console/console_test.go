package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReport(t *testing.T) {
	cause := errors.New("connection refused")
	for name, tc := range map[string]struct {
		err  error
		exit int
		said string
	}{
		"nothing wrong":                     {nil, ExitOK, ""},
		"a failure":                         {Fail(ExitUsage, "devtool up", "no %s", "stack"), ExitUsage, "error: no stack\nhint: devtool up\n"},
		"a cause with a hint":               {Wrap(cause, ExitFailed, "devtool doctor"), ExitFailed, "error: connection refused\nhint: devtool doctor\n"},
		"a wrapped failure keeps its hint":  {fmt.Errorf("start: %w", Wrap(cause, ExitNo, "h")), ExitNo, "error: start: connection refused\nhint: h\n"},
		"any other error is the machine's":  {cause, ExitFailed, "error: connection refused\n"},
		"what was said is not said again":   {Silent(ExitNo), ExitNo, ""},
		"an interrupt is as shells have it": {fmt.Errorf("x: %w", context.Canceled), 130, "stopped\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s, out, errs := Buffers()
			if got := Report(s, tc.err); got != tc.exit {
				t.Errorf("exit code %d, want %d", got, tc.exit)
			}
			if errs.String() != tc.said || out.Len() != 0 {
				t.Errorf("said %q on err, %q on out; want %q", errs, out, tc.said)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	t.Run("each step that ends has a line with its time", func(t *testing.T) {
		s, _, errs := Buffers()
		p := NewProgress(s)
		p.Begin("db")
		p.Begin("build")
		p.End("db", "PostgreSQL 15", 210*time.Millisecond)
		p.Fail("build", 2*time.Second)
		p.Say("port 8080 is taken")
		p.Close()
		p.Close()
		want := "ok db          210 ms  PostgreSQL 15\nfailed build     2.00 s\nport 8080 is taken\n"
		if errs.String() != want {
			t.Errorf("got\n%s\nwant\n%s", errs, want)
		}
	})
	t.Run("a long step reminds of itself where there is no terminal", func(t *testing.T) {
		s, _, errs := Buffers()
		p := NewProgress(s)
		p.Close()
		now := time.Now()
		p.now = func() time.Time { return now }
		p.Begin("db")
		p.Note("db", "fetching PostgreSQL")
		now = now.Add(reminder + time.Second)
		p.draw()
		p.draw()
		if errs.String() != "   db: fetching PostgreSQL, 6.00 s so far\n" {
			t.Errorf("got %q", errs)
		}
	})
	t.Run("a terminal gets one line that moves, and goes", func(t *testing.T) {
		s, _, errs := Buffers()
		s.Terminal = true
		p := NewProgress(s)
		p.Close()
		now := time.Now()
		p.now = func() time.Time { return now }
		p.Begin(strings.Repeat("long ", 40))
		now = now.Add(time.Second)
		p.draw()
		if got := errs.String(); !strings.HasPrefix(got, "\r\x1b[K   long") || !strings.HasSuffix(got, "...") || strings.Contains(got, "\n") {
			t.Errorf("got %q", got)
		}
		p.End("x", "", 0)
		if !strings.Contains(errs.String(), "...\r\x1b[Kok x") {
			t.Errorf("got %q", errs)
		}
	})
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 12 * time.Millisecond: "12 ms", 1240 * time.Millisecond: "1.24 s",
		59990 * time.Millisecond: "59.99 s", 125 * time.Second: "2 min 5 s", time.Hour: "60 min 0 s",
	} {
		if got := Seconds(d); got != want {
			t.Errorf("Seconds(%d) = %q, want %q", d, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	_, out, _ := Buffers()
	Table(out, []string{"name", "state"}, [][]string{{"db", "running"}, {"longer", "x"}})
	if want := "NAME    STATE\ndb      running\nlonger  x\n"; out.String() != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
