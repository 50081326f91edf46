package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/goldenpath/devtool/internal/control"
)

func texts(t *testing.T, l *Logs, q control.LogQuery) []string {
	t.Helper()
	var got []string
	if err := l.Read(context.Background(), q, func(line control.Line) error {
		got = append(got, line.Name+": "+line.Text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLogs(t *testing.T) {
	t.Run("writes become lines, whatever their pieces", func(t *testing.T) {
		l := newLogs(t.TempDir())
		defer l.Close()
		w := l.Writer("server")
		fmt.Fprint(w, "one\r\ntw")
		fmt.Fprint(w, "o\n\nthree")
		fmt.Fprint(w, "\n")
		want := []string{"server: one", "server: two", "server: ", "server: three"}
		if got := texts(t, l, control.LogQuery{}); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("a line without end is cut", func(t *testing.T) {
		l := newLogs(t.TempDir())
		defer l.Close()
		fmt.Fprint(l.Writer("server"), strings.Repeat("x", maxLine+1))
		if got := texts(t, l, control.LogQuery{}); len(got) != 1 {
			t.Errorf("%d lines", len(got))
		}
	})
	t.Run("a query selects by name and by the last lines", func(t *testing.T) {
		l := newLogs(t.TempDir())
		defer l.Close()
		for i := range 3 {
			fmt.Fprintln(l.Writer("a"), i)
			fmt.Fprintln(l.Writer("b"), i)
		}
		want := []string{"b: 1", "b: 2"}
		if got := texts(t, l, control.LogQuery{Names: []string{"b"}, Tail: 2}); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
	t.Run("memory is bounded and the file has all", func(t *testing.T) {
		dir := t.TempDir()
		l := newLogs(dir)
		w := l.Writer("server")
		const n = 2*kept + 10
		for i := range n {
			fmt.Fprintln(w, i)
		}
		got := texts(t, l, control.LogQuery{})
		if len(got) > 2*kept || got[len(got)-1] != fmt.Sprintf("server: %d", n-1) {
			t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
		}
		l.Close()
		data, err := os.ReadFile(filepath.Join(dir, "server.log"))
		if err != nil || strings.Count(string(data), "\n") != n {
			t.Errorf("%d lines in the file, %v", strings.Count(string(data), "\n"), err)
		}
	})
	t.Run("a follower gets what comes, and ends with the logs", func(t *testing.T) {
		l := newLogs(t.TempDir())
		fmt.Fprintln(l.Writer("a"), "before")
		lines, ended := make(chan string, 10), make(chan error, 1)
		go func() {
			ended <- l.Read(context.Background(), control.LogQuery{Follow: true}, func(line control.Line) error {
				lines <- line.Text
				return nil
			})
		}()
		if got := <-lines; got != "before" {
			t.Errorf("got %q", got)
		}
		fmt.Fprintln(l.Writer("b"), "after")
		if got := <-lines; got != "after" {
			t.Errorf("got %q", got)
		}
		l.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Run("a directory that cannot be written does not lose lines in memory", func(t *testing.T) {
		l := newLogs(filepath.Join(t.TempDir(), "not", "there"))
		defer l.Close()
		fmt.Fprintln(l.Writer("a"), "kept")
		if got := texts(t, l, control.LogQuery{}); !slices.Equal(got, []string{"a: kept"}) {
			t.Errorf("got %q", got)
		}
	})
}
