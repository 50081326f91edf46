package binaries

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// archive is a jar as the repository has it, with programs that do nothing.
func archive(t *testing.T) []byte {
	t.Helper()
	programs, err := os.ReadFile("testdata/programs.txz")
	if err != nil {
		t.Fatal(err)
	}
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	w, err := z.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(programs); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return jar.Bytes()
}

// repository serves jar, with a checksum of sum's bytes.
func repository(t *testing.T, jar, sum []byte) (url string, hits *atomic.Int32) {
	t.Helper()
	hits = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		switch {
		case !strings.HasPrefix(r.URL.Path, "/maven/io/zonky/test/postgres/embedded-postgres-binaries-"):
			http.NotFound(w, r)
		case strings.HasSuffix(r.URL.Path, ".sha256"):
			fmt.Fprintf(w, "%x", sha256.Sum256(sum))
		default:
			w.Write(jar)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/maven", hits
}

func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFetch(t *testing.T) {
	ctx := context.Background()

	t.Run("programs are fetched once and then found", func(t *testing.T) {
		jar := archive(t)
		url, hits := repository(t, jar, jar)
		dir := filepath.Join(t.TempDir(), "cache")
		f := Fetcher{Dir: dir, Repository: url}
		set, err := f.Fetch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if set.Major != 17 || !strings.HasPrefix(set.Dir, dir) {
			t.Errorf("fetched %+v", set)
		}
		fetched := hits.Load()
		if _, err := f.Fetch(ctx); err != nil || hits.Load() != fetched {
			t.Errorf("the second time: %v, %d requests more", err, hits.Load()-fetched)
		}
		if have := leftovers(t, dir); len(have) != 1 {
			t.Errorf("the cache holds %v", have)
		}
	})

	t.Run("a half fetched version is replaced", func(t *testing.T) {
		jar := archive(t)
		url, _ := repository(t, jar, jar)
		dir := t.TempDir()
		broken := filepath.Join(dir, "postgresql-"+string(fetchedVersion), "bin")
		if err := os.MkdirAll(broken, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(broken, "postgres"), []byte("garbage"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := (Fetcher{Dir: dir, Repository: url}).Fetch(ctx); err != nil {
			t.Error(err)
		}
	})

	failures := []struct {
		name string
		open func(t *testing.T) string
		says string
	}{
		{"a repository without the archive", func(t *testing.T) string {
			server := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(server.Close)
			return server.URL
		}, "404"},
		{"a network that is away", func(t *testing.T) string {
			server := httptest.NewServer(http.NotFoundHandler())
			server.Close()
			return server.URL
		}, "refused"},
		{"a checksum that does not match", func(t *testing.T) string {
			url, _ := repository(t, archive(t), []byte("something else"))
			return url
		}, "checksums"},
		{"an archive that is none", func(t *testing.T) string {
			junk := []byte("<html>log in to the hotel's network</html>")
			url, _ := repository(t, junk, junk)
			return url
		}, "zip"},
	}
	for _, c := range failures {
		t.Run(c.name+" is named, and nothing is left", func(t *testing.T) {
			dir := t.TempDir()
			_, err := (Fetcher{Dir: dir, Repository: c.open(t)}).Fetch(ctx)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one with %q", err, c.says)
			}
			if have := leftovers(t, dir); len(have) != 0 {
				t.Errorf("the cache holds %v", have)
			}
		})
	}

	t.Run("a silent repository is left when the caller gives up", func(t *testing.T) {
		asked := make(chan struct{})
		release := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(asked)
			<-release
		}))
		t.Cleanup(server.Close)
		t.Cleanup(func() { close(release) })
		ctx, cancel := context.WithCancel(ctx)
		go func() { <-asked; cancel() }()
		dir := t.TempDir()
		began := time.Now()
		_, err := (Fetcher{Dir: dir, Repository: server.URL}).Fetch(ctx)
		if !errors.Is(err, context.Canceled) || time.Since(began) > 5*time.Second {
			t.Errorf("error %v after %s", err, time.Since(began))
		}
		if have := leftovers(t, dir); len(have) != 0 {
			t.Errorf("the cache holds %v", have)
		}
	})
}
