package compose

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/goldenpath/devtool/internal/console"
)

// registry serves one image of one layer, whatever its name
// (https://distribution.github.io/distribution/spec/api/).
type registry struct {
	blobs map[string][]byte // by digest
	layer string
	pause time.Duration // between two pieces of the layer
	stall chan struct{} // once closed, no piece comes
}

const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	pieces       = 30
)

// newRegistry starts one and returns its image's name.
func newRegistry(t *testing.T, r *registry) (image string) {
	t.Helper()
	content := make([]byte, 3_000_000)
	rand.Read(content)
	var archive, packed bytes.Buffer
	w := tar.NewWriter(&archive)
	w.WriteHeader(&tar.Header{Name: "content", Size: int64(len(content)), Mode: 0o644})
	w.Write(content)
	w.Close()
	z := gzip.NewWriter(&packed)
	z.Write(archive.Bytes())
	z.Close()
	type object = map[string]any
	blob := func(media string, data []byte) object {
		digest := digestOf(data)
		r.blobs[digest] = data
		return object{"mediaType": media, "size": len(data), "digest": digest}
	}
	r.blobs = map[string][]byte{}
	r.layer = digestOf(packed.Bytes())
	config, _ := json.Marshal(object{"architecture": "amd64", "os": "linux", "config": object{"Cmd": []string{"none"}},
		"rootfs": object{"type": "layers", "diff_ids": []string{digestOf(archive.Bytes())}}})
	manifest, _ := json.Marshal(object{"schemaVersion": 2, "mediaType": manifestType,
		"config": blob("application/vnd.docker.container.image.v1+json", config),
		"layers": []object{blob("application/vnd.docker.image.rootfs.diff.tar.gzip", packed.Bytes())}})
	r.blobs["1"], r.blobs[digestOf(manifest)] = manifest, manifest
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		server.CloseClientConnections() // Docker may hold on to a pull that was called off
		server.Close()
	})
	return strings.TrimPrefix(server.URL, "http://") + "/goldenpath/test:1"
}

func digestOf(data []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(data)) }

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
	data, ok := r.blobs[name]
	switch {
	case q.URL.Path == "/v2/":
		return
	case !ok:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
		return
	case strings.Contains(q.URL.Path, "/manifests/"):
		w.Header().Set("Content-Type", manifestType)
		w.Header().Set("Docker-Content-Digest", digestOf(data))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(data)))
	if q.Method == http.MethodHead {
		return
	}
	if name != r.layer {
		w.Write(data)
		return
	}
	for piece := range pieces {
		select {
		case <-q.Context().Done():
			return
		case <-r.stall:
			if piece > 0 {
				<-q.Context().Done()
				return
			}
		case <-time.After(r.pause):
		}
		w.Write(data[piece*len(data)/pieces : (piece+1)*len(data)/pieces])
		w.(http.Flusher).Flush()
	}
}

func imageFile(image string) string { return strings.Replace(redisFile, "redis:8.2.3", image, 1) }

func TestPull(t *testing.T) {
	needsDocker(t)

	t.Run("an image that is missing is named, pulled and said how far", func(t *testing.T) {
		image := newRegistry(t, &registry{pause: 100 * time.Millisecond})
		t.Cleanup(func() { cli(t, "rmi", image) })
		w := newWorktree(t, imageFile(image))
		r := w.redis()
		// There is no program in the image.
		fails(t, r.Start(t.Context()), "none", "--engine embedded")
		for _, words := range []string{"pulling " + image + " (the first time only)", " of 3.0 MB so far", "pulled " + image + " in "} {
			if !w.hasSaid(words) {
				t.Errorf("nothing was said of %q, but %q", words, w.said)
			}
		}
		stopAll(t, r)
	})

	t.Run("one that does not exist is named among others", func(t *testing.T) {
		image := newRegistry(t, &registry{})
		missing := strings.TrimSuffix(image, "1") + "none"
		w := newWorktree(t, imageFile(missing)+"  postgres:\n    image: "+image+"\n    ports: [\"127.0.0.1:${POSTGRES_PORT:-1}:1\"]\n")
		t.Cleanup(func() { _ = command(context.Background(), "rmi", image).Run() })
		c := New(w.Config)
		r := c.Redis(redisDependency)
		c.Postgres(dbDependency)
		fails(t, r.Start(t.Context()), "pull "+missing+": ", "--engine embedded")
		if left := w.left(t); left != "" {
			t.Errorf("left: %s", left)
		}
		stopAll(t, r)
	})

	t.Run("a registry that nobody runs is named", func(t *testing.T) {
		w := newWorktree(t, imageFile("127.0.0.1:1/goldenpath/test:1"))
		r := w.redis()
		fails(t, r.Start(t.Context()), "pull 127.0.0.1:1/goldenpath/test:1: ", "--engine embedded")
		fails(t, r.Start(t.Context()), "connection refused", "network")
		stopAll(t, r)
	})

	t.Run("one that stops half way is given up", func(t *testing.T) {
		stalled := make(chan struct{})
		close(stalled)
		image := newRegistry(t, &registry{stall: stalled})
		w := newWorktree(t, imageFile(image))
		c := New(w.Config)
		c.stall = 2 * time.Second
		r := c.Redis(redisDependency)
		fails(t, r.Start(t.Context()), "pull "+image+": no progress for 2.00 s", "--engine embedded")
		stopAll(t, r)
	})

	t.Run("Ctrl-C ends a pull from a registry that never answers at once", func(t *testing.T) {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		w := newWorktree(t, imageFile(silent.Addr().String()+"/goldenpath/test:1"))
		r := w.redis()
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Second, cancel)
		defer timer.Stop()
		began := time.Now()
		if err := r.Start(ctx); err == nil || console.HintOf(err) != "" {
			t.Errorf("error: %v", err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		stopAll(t, r)
		if records := w.Registry.Records(); len(records) != 0 {
			t.Errorf("still on record: %v", records)
		}
	})
}
