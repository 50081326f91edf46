package binaries

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	relayTimeout = 10 * time.Minute // for a slow line; an archive has about 20 MB
	stallTimeout = 30 * time.Second // without a byte
	largest      = 256 << 20
)

// relay passes downloads from a repository on to one client on loopback, and
// adds what the client lacks: the caller's context, time limits, progress, and
// an error that says what went wrong.
type relay struct {
	url      string
	freePort uint32 // a port that was free a moment ago
	server   *http.Server
	served   chan struct{}

	ctx        context.Context
	cancel     context.CancelFunc
	repository string
	progress   func(string)
	client     *http.Client

	mu  sync.Mutex
	err error
}

func openRelay(ctx context.Context, repository string, progress func(string)) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.Close()
		return nil, err
	}
	defer free.Close()
	r := &relay{
		url:        "http://" + l.Addr().String(),
		freePort:   uint32(free.Addr().(*net.TCPAddr).Port),
		served:     make(chan struct{}),
		repository: strings.TrimSuffix(repository, "/"),
		progress:   progress,
		client: &http.Client{Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			ResponseHeaderTimeout: stallTimeout,
			TLSHandshakeTimeout:   stallTimeout,
			DialContext:           (&net.Dialer{Timeout: stallTimeout}).DialContext,
		}},
	}
	r.ctx, r.cancel = context.WithTimeout(ctx, relayTimeout)
	// The client keeps connections open by itself; without keep-alives nothing
	// of it is left when the relay closes.
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: stallTimeout}
	r.server.SetKeepAlivesEnabled(false)
	go func() {
		defer close(r.served)
		_ = r.server.Serve(l) // ends with close
	}()
	return r, nil
}

func (r *relay) close() {
	r.cancel()
	r.server.Close()
	<-r.served
	r.client.CloseIdleConnections()
}

// failure is the first download that did not work.
func (r *relay) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *relay) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

func (r *relay) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	if err := r.pass(w, in); err != nil {
		r.fail(err)
		// The status is the client's only way to learn of it; when the answer
		// has begun, breaking the connection is.
		http.Error(w, err.Error(), http.StatusBadGateway)
		panic(http.ErrAbortHandler)
	}
}

func (r *relay) pass(w http.ResponseWriter, in *http.Request) error {
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	address := r.repository + in.URL.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", address, resp.Status)
	}
	if resp.ContentLength > largest {
		return fmt.Errorf("get %s: %d MB are more than any archive has", address, resp.ContentLength>>20)
	}
	if resp.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(resp.ContentLength))
	}
	watch := time.AfterFunc(stallTimeout, func() {
		cancel(fmt.Errorf("get %s: nothing arrived for %s", address, stallTimeout))
	})
	defer watch.Stop()
	body := &meter{r: io.LimitReader(resp.Body, largest), total: resp.ContentLength, watch: watch, tell: r.progress}
	if _, err := io.Copy(w, body); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return fmt.Errorf("get %s: %w", address, err)
	}
	return nil
}

// meter tells of every tenth of a large download and keeps the watch from
// going off while bytes arrive.
type meter struct {
	r           io.Reader
	total, read int64
	told        int64
	watch       *time.Timer
	tell        func(string)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 {
		m.watch.Reset(stallTimeout)
		m.read += int64(n)
	}
	if m.total > 1<<20 && m.tell != nil {
		if tenth := m.read * 10 / m.total; tenth > m.told {
			m.told = tenth
			m.tell(fmt.Sprintf("fetching PostgreSQL: %d of %d MB", m.read>>20, m.total>>20))
		}
	}
	return n, err
}
