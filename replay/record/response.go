package record

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/felixge/httpsnoop"

	"example.com/goldenpath/replay"
)

// response watches what a handler writes. As with requestBody, what is shared
// is under a lock, and nothing is kept after finish.
type response struct {
	recorder *recorder
	head     bool        // the response to HEAD has no body
	live     http.Header // the header that the handler writes to

	mu       sync.Mutex
	status   int
	header   http.Header // as it was when it was sent
	kept     *[]byte
	size     int64
	err      error // the first failed write
	hijacked bool
	finished bool
}

// wrap returns a ResponseWriter with the very interfaces of w.
func (r *response) wrap(w http.ResponseWriter) http.ResponseWriter {
	r.live = w.Header()
	return httpsnoop.Wrap(w, httpsnoop.Hooks{
		WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(code int) {
				r.sent(code)
				next(code)
			}
		},
		Write: func(next httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) {
				r.sent(http.StatusOK)
				n, err := next(p)
				r.note(p[:max(0, min(n, len(p)))], err)
				return n, err
			}
		},
		WriteString: func(next httpsnoop.WriteStringFunc) httpsnoop.WriteStringFunc {
			return func(s string) (int, error) {
				r.sent(http.StatusOK)
				n, err := next(s)
				note(r, s[:max(0, min(n, len(s)))], err)
				return n, err
			}
		},
		Flush: func(next httpsnoop.FlushFunc) httpsnoop.FlushFunc {
			return func() {
				r.sent(http.StatusOK)
				next()
			}
		},
		ReadFrom: func(next httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) { return r.readFrom(next, src) }
		},
		Hijack: func(next httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) {
				conn, rw, err := next()
				if err == nil {
					r.mu.Lock()
					r.hijacked = true
					r.mu.Unlock()
				}
				return conn, rw, err
			}
		},
	})
}

// sent notes the status and the header, the first time that a final one goes
// out. 1xx responses other than 101 come before the final one (RFC 9110,
// section 15.2).
func (r *response) sent(code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status != 0 || r.finished || code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		return
	}
	r.status, r.header = code, r.live.Clone()
}

// readFrom keeps the start of src on its way, and lets net/http send the rest
// from the file where src is one.
func (r *response) readFrom(next httpsnoop.ReadFromFunc, src io.Reader) (int64, error) {
	r.sent(http.StatusOK)
	var total int64
	if room := r.room(); room > 0 {
		seen := &seenReader{source: io.LimitReader(src, int64(room)), buffer: r.recorder.buffer()}
		defer func() { r.recorder.release(seen.buffer) }()
		n, err := next(seen)
		start := *seen.buffer
		r.note(start[:min(int(n), len(start))], seen.notMine(err))
		if total = n; err != nil || n < int64(room) {
			return total, err
		}
	}
	rest := &seenReader{source: src}
	if _, file := src.(*os.File); !file {
		src = rest
	}
	n, err := next(src)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.finished {
		r.fail(rest.notMine(err))
		if !r.head {
			r.size += n
		}
	}
	return total + n, err
}

// seenReader keeps what was read from source, if it has a buffer, and whether
// it was the source that failed and not the connection.
type seenReader struct {
	source io.Reader
	buffer *[]byte
	err    error
}

func (s *seenReader) Read(p []byte) (int, error) {
	n, err := s.source.Read(p)
	if s.buffer != nil {
		*s.buffer = append(*s.buffer, p[:n]...)
	}
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// notMine returns err unless the source has caused it.
func (s *seenReader) notMine(err error) error {
	if s.err != nil {
		return nil
	}
	return err
}

func (r *response) room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil {
		return r.recorder.ResponseLimit
	}
	return r.recorder.ResponseLimit - len(*r.kept)
}

func (r *response) note(p []byte, err error) { note(r, p, err) }

// note keeps what was written.
func note[T string | []byte](r *response, p T, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return
	}
	r.fail(err)
	if r.head {
		return
	}
	r.size += int64(len(p))
	if r.kept == nil && len(p) > 0 && r.recorder.ResponseLimit > 0 {
		r.kept = r.recorder.buffer()
	}
	if r.kept != nil {
		room := r.recorder.ResponseLimit - len(*r.kept)
		*r.kept = append(*r.kept, p[:min(room, len(p))]...)
	}
}

// fail keeps the first error of the connection. The others tell of a mistake
// in the handler, and the client still gets a whole response.
func (r *response) fail(err error) {
	if err == nil || r.err != nil || errors.Is(err, http.ErrBodyNotAllowed) || errors.Is(err, http.ErrContentLength) {
		return
	}
	r.err = err
}

func (r *response) isHijacked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hijacked
}

// finish returns the response and lets go of everything.
func (r *response) finish(ctx context.Context, panicked bool) replay.Response {
	if !panicked && !r.isHijacked() {
		r.sent(http.StatusOK) // a handler that writes nothing answers 200
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = true
	trailer := r.trailer()
	out := replay.Response{Status: r.status, Header: r.header, Trailer: trailer}
	out.Body = replay.Body{State: r.state(ctx, panicked), Size: r.size}
	if r.kept != nil {
		out.Body.Bytes = append([]byte(nil), *r.kept...)
		r.recorder.release(r.kept)
		r.kept = nil
	}
	r.sniff(&out)
	return out
}

func (r *response) state(ctx context.Context, panicked bool) replay.BodyState {
	kept := int64(0)
	if r.kept != nil {
		kept = int64(len(*r.kept))
	}
	// A client may leave as soon as it has the length it was promised.
	whole := !r.head && r.header.Get("Content-Length") == strconv.FormatInt(r.size, 10)
	gone := errors.Is(ctx.Err(), context.Canceled) && !whole
	switch {
	case r.hijacked || r.status == http.StatusSwitchingProtocols:
		return replay.Upgraded
	case panicked || r.err != nil || gone:
		return replay.Aborted
	case r.size > kept:
		return replay.Truncated
	}
	return replay.Full
}

// sniff sets the Content-Type that net/http sets where a handler did not, so
// that a capture says what the client got.
func (r *response) sniff(out *replay.Response) {
	if _, set := out.Header["Content-Type"]; set || len(out.Body.Bytes) == 0 || out.Header.Get("Content-Encoding") != "" {
		return
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set("Content-Type", http.DetectContentType(out.Body.Bytes))
}

// trailer returns the fields that were announced in the header and those with
// [http.TrailerPrefix].
func (r *response) trailer() http.Header {
	var trailer http.Header
	add := func(name string, values []string) {
		if len(values) == 0 {
			return
		}
		if trailer == nil {
			trailer = http.Header{}
		}
		trailer[http.CanonicalHeaderKey(name)] = append([]string(nil), values...)
	}
	for _, names := range r.header["Trailer"] {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			add(name, r.live[name])
		}
	}
	for name, values := range r.live {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			add(after, values)
			delete(r.header, name) // no field of the header, even where it was set early
		}
	}
	return trailer
}
