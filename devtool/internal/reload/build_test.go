package reload

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBuild(t *testing.T) {
	ctx := context.Background()

	t.Run("two programs are built at once, each under a name of its own", func(t *testing.T) {
		b := &Builder{Root: module(t), OutDir: filepath.Join(t.TempDir(), "builds")}
		built, err := b.Build(ctx, bothTargets...)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"server one", "worker one"} {
			if got := says(t, built[i].Binary); got != want || built[i].Process != bothTargets[i].Process || built[i].Unchanged {
				t.Fatalf("%+v says %q", built[i], got)
			}
		}
		again, err := b.Build(ctx, bothTargets...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range again {
			if !again[i].Unchanged || again[i].Binary != built[i].Binary || again[i].Digest != built[i].Digest {
				t.Fatalf("before %+v, again %+v", built[i], again[i])
			}
		}
	})

	t.Run("programs whose packages end alike are built too", func(t *testing.T) {
		root := module(t)
		write(t, root, "other/server/main.go", "package main\n\nfunc main() { println(\"other\") }\n")
		b := &Builder{Root: root, OutDir: t.TempDir()}
		built, err := b.Build(ctx, Target{"server", "./server"}, Target{"other", "./other/server"})
		if err != nil {
			t.Fatal(err)
		}
		if one, two := says(t, built[0].Binary), says(t, built[1].Binary); one != "server one" || two != "other" {
			t.Fatalf("they say %q and %q", one, two)
		}
	})

	t.Run("code that comes back gives the digest that it had", func(t *testing.T) {
		root := module(t)
		b := &Builder{Root: root, OutDir: t.TempDir()}
		var digests []string
		for _, word := range []string{"one", "two", "one"} {
			write(t, root, "word/word.go", wordFile(word))
			built, err := b.Build(ctx, bothTargets[0])
			if err != nil {
				t.Fatal(err)
			}
			if got := says(t, built[0].Binary); got != "server "+word || built[0].Unchanged {
				t.Fatalf("%+v says %q", built[0], got)
			}
			digests = append(digests, built[0].Digest)
		}
		if digests[0] != digests[2] || digests[0] == digests[1] {
			t.Fatalf("digests: %q", digests)
		}
	})

	t.Run("a compile error has a summary and all the words, and nothing is built", func(t *testing.T) {
		root := module(t)
		write(t, root, "worker/main.go", "package main\n\nfunc main() { undefined() }\n")
		b := &Builder{Root: root, OutDir: t.TempDir()}
		_, err := b.Build(ctx, bothTargets...)
		var refused *BuildError
		if !errors.As(err, &refused) {
			t.Fatalf("err: %v", err)
		}
		if refused.Summary != "worker/main.go:3:15: undefined: undefined" || !strings.Contains(refused.Output, refused.Summary) {
			t.Fatalf("summary %q, output %q", refused.Summary, refused.Output)
		}
		if left := names(t, b.OutDir); len(left) != 0 {
			t.Fatalf("left: %q", left)
		}
	})

	t.Run("a package that is no program and one that is not there are errors", func(t *testing.T) {
		b := &Builder{Root: module(t), OutDir: t.TempDir()}
		for _, pkg := range []string{"./word", "./nowhere"} {
			if built, err := b.Build(ctx, Target{"server", pkg}); err == nil {
				t.Errorf("%s: built %+v", pkg, built)
			}
		}
	})

	t.Run("a name that would lead elsewhere is refused", func(t *testing.T) {
		b := &Builder{Root: module(t), OutDir: t.TempDir()}
		for _, name := range []string{"", "../up", "a/b", "Server", "-x"} {
			if _, err := b.Build(ctx, Target{name, "./server"}); err == nil {
				t.Errorf("%q was taken", name)
			}
		}
	})

	t.Run("a build that is cut short gives the cause and leaves nothing", func(t *testing.T) {
		b := &Builder{Root: module(t), OutDir: t.TempDir(), Flags: []string{"-a"}} // all of the runtime
		cause := errors.New("enough")
		short, cancel := context.WithCancelCause(ctx)
		go func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for begun := false; !begun && short.Err() == nil; <-tick.C {
				begun = len(names(t, b.OutDir)) > 0
			}
			cancel(cause)
		}()
		if _, err := b.Build(short, bothTargets[0]); !errors.Is(err, cause) {
			t.Fatalf("err: %v", err)
		}
		if left := names(t, b.OutDir); len(left) != 0 {
			t.Fatalf("left: %q", left)
		}
		if left := processesOf(t, b.OutDir, b.Root); len(left) > 0 {
			t.Fatalf("left: %q", left)
		}
	})
}

func TestPrune(t *testing.T) {
	b := &Builder{OutDir: t.TempDir()}
	path := func(name string) string { return filepath.Join(b.OutDir, name) }
	at := time.Now().Add(-24 * time.Hour)
	for i, name := range []string{
		"server-0000000000000001", "server-0000000000000002", "server-0000000000000003", "server-0000000000000004",
		"server-two-0000000000000001", "notes.txt", "server-short", stagePrefix + "dead",
	} {
		write(t, b.OutDir, name, "")
		when := at.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(path(name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	write(t, b.OutDir, stagePrefix+"live", "")
	if err := b.Prune(path("server-0000000000000001")); err != nil {
		t.Fatal(err)
	}
	want := []string{stagePrefix + "live", "notes.txt", "server-0000000000000001", "server-0000000000000003",
		"server-0000000000000004", "server-short", "server-two-0000000000000001"}
	if got := names(t, b.OutDir); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("left\n%q, want\n%q", got, want)
	}
	if got := b.newest("server"); got != path("server-0000000000000004") {
		t.Fatalf("the newest is %s", got)
	}
	if err := (&Builder{OutDir: path("nowhere")}).Prune(); err != nil {
		t.Fatalf("nothing to prune: %v", err)
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func TestSummary(t *testing.T) {
	for _, c := range []struct{ name, words, want string }{
		{"the first line with a file", "# example.com/x\n./x.go:1:2: first\n./y.go:3: second\n", "x.go:1:2: first"},
		{"a note before it is passed over", "go: downloading\nx/y.go:7:1: expected operand\n", "x/y.go:7:1: expected operand"},
		{"a missing package", "main.go:3:8: no required module provides package a.b/c; to add it:\n\tgo get a.b/c\n",
			"main.go:3:8: no required module provides package a.b/c; to add it:"},
		{"no file at all", "# heading\n\nno Go files in /x\n", "no Go files in /x"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := summary(c.words); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestCapped(t *testing.T) {
	c := &capped{limit: 4}
	for range 3 {
		if n, err := c.Write([]byte("abc")); n != 3 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := c.String(); got != "abca\n(the rest is left out)\n" {
		t.Fatalf("got %q", got)
	}
}
