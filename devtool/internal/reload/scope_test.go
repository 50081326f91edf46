package reload

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestScope(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"main.go", "a/b.sql", "a/testdata/x.go", "web/node_modules/m/x.json", ".git/x.go", "left/out/x.go", "vendor/v/v.go",
	} {
		write(t, root, name, "")
	}
	s := scope{Root: root, Extensions: extensions, Exclude: []string{"left/out"}}

	t.Run("it skips what no program is built of", func(t *testing.T) {
		got := s.skipped()
		slices.Sort(got)
		if want := []string{"a/testdata", "left/out", "web/node_modules"}; !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})

	t.Run("it names the file that was changed last", func(t *testing.T) {
		at := time.Now().Add(time.Hour).Truncate(time.Second)
		later := at.Add(time.Hour)
		for name, when := range map[string]time.Time{"a/b.sql": at, "a/testdata/x.go": later, ".git/x.go": later} {
			if err := os.Chtimes(filepath.Join(root, name), when, when); err != nil {
				t.Fatal(err)
			}
		}
		if file, when := s.latest(); file != filepath.Join("a", "b.sql") || !when.Equal(at) {
			t.Fatalf("got %s at %v", file, when)
		}
	})

	for name, want := range map[string]bool{
		"note.go": true, "note_test.go": false, "go.mod": true, "go.sum": true, ".env": true, ".env.example": false,
		"query.sql": true, "x.yaml": true, ".#note.go": false, "_old.go": false, ".note.go.swp": false, "note.go~": false, "README.md": false,
	} {
		if got := s.includes(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMountOf(t *testing.T) {
	const table = `22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/a
23 22 0:21 / /proc rw - proc proc rw
30 22 0:30 / /workspaces rw,noatime - virtiofs host rw
31 30 0:31 / /workspaces/my\040project/cache rw master:1 shared:2 - ext4 /dev/sda1 rw
32 22 0:32 / /mnt/c rw - 9p drvfs rw,aname=drvfs
33 22 0:33 / /mnt/d rw - 9p drvfs rw
34 22 0:34 / /mnt/d rw - ext4 /dev/sdb rw
35 22 0:35 / /var/lib/fuse rw - fuse.fuse-overlayfs fuse-overlayfs rw
garbage
36 - 
`
	for _, c := range []struct{ path, mount, kind string }{
		{"/home/me", "/", "overlay"},
		{"/workspaces/my project", "/workspaces", "virtiofs"},
		{"/workspaces/my project/cache/x", "/workspaces/my project/cache", "ext4"},
		{"/workspacesque", "/", "overlay"},
		{"/mnt/c", "/mnt/c", "9p"},
		{"/mnt/d/x", "/mnt/d", "ext4"},
		{"/var/lib/fuse/x", "/var/lib/fuse", "fuse.fuse-overlayfs"},
	} {
		t.Run(c.path, func(t *testing.T) {
			mount, kind := mountOf(strings.NewReader(table), c.path)
			if mount != c.mount || kind != c.kind {
				t.Fatalf("got %s (%s), want %s (%s)", mount, kind, c.mount, c.kind)
			}
		})
	}
	t.Run("a local directory needs no polling", func(t *testing.T) {
		if poll, why := NeedsPolling("/proc/self"); poll {
			t.Fatal(why)
		}
	})
}

func TestAirConfig(t *testing.T) {
	t.Run("words go through the shell as they are", func(t *testing.T) {
		for _, word := range []string{"plain", "with space", "it's", `$HOME "x" \n`, "`id`", "", "a\nb"} {
			out, err := exec.Command("/bin/sh", "-c", "printf %s "+shellQuote(word)).Output()
			if err != nil || string(out) != word {
				t.Errorf("%q became %q (%v)", word, out, err)
			}
		}
	})

	t.Run("strings are written as TOML wants them", func(t *testing.T) {
		for s, want := range map[string]string{
			`plain`: `"plain"`, `say "x"`: `"say \"x\""`, `back\slash`: `"back\\slash"`, "line\nbreak\x7f": `"line\u000Abreak\u007F"`, "ä": `"ä"`,
		} {
			if got := tomlString(s); got != want {
				t.Errorf("%q: %s, want %s", s, got, want)
			}
		}
	})
}

func TestAirLog(t *testing.T) {
	var out strings.Builder
	a := &airLog{out: &out}
	for _, piece := range []string{"watching .\n!exclude .git\nnote.go has changed\nbuilding...\nfailed to watch x, er", "ror: no space left on device\n", "hand-over build: report\n"} {
		if _, err := a.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	want := "failed to watch x, error: no space left on device\nhand-over build: report\n"
	if out.String() != want || a.words()+"\n" != want {
		t.Fatalf("passed on %q, kept %q", out.String(), a.words())
	}
}

// air is GPL-3.0. What is linked into our binaries would have to be, too.
func TestAirIsNotLinked(t *testing.T) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath", "./devtool/...", "./service/...")
	cmd.Dir = strings.TrimSpace(string(root))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := false
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct{ ImportPath string }
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		ours = ours || strings.HasSuffix(p.ImportPath, "/devtool/internal/reload")
		if strings.HasPrefix(p.ImportPath, airModule) {
			t.Errorf("%s is linked", p.ImportPath)
		}
	}
	if !ours {
		t.Fatal("the list does not hold this very package: the test looks in the wrong place")
	}
}
