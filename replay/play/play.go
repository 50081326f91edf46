// Package play sends a captured request again, to a loopback address and
// nowhere else.
//
// A replay is a trace of its own: it would merge with the recorded one
// otherwise. Each attempt gets
//
//   - a fresh traceparent header (W3C Trace Context), sampled; the recorded
//     tracestate and baggage are dropped, as are ids of other tracing systems
//     and the request id
//   - baggage: devtool.replay.id=<exchange id> and, where the request was
//     traced, devtool.replay.original_trace_id and original_span_id, with which
//     the service links its new span to the recorded one
//   - X-Replay-Of: <recorded trace id>, or the exchange id where there was none
//   - a fresh Idempotency-Key, if the recorded request had one: otherwise the
//     service would answer from memory
//
// Host is that of the target, Content-Length is that of the body that is sent,
// hop-by-hop headers are dropped. Redirects are not followed but returned.
package play

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"example.com/goldenpath/replay"
)

const (
	// DefaultTimeout bounds one attempt.
	DefaultTimeout = 30 * time.Second
	// MaxRepeat bounds the attempts of one call.
	MaxRepeat = 1000
	// DefaultBodyLimit bounds what is kept of a response body, in bytes.
	DefaultBodyLimit = 4 << 20
)

// Options say how to replay. Only Target is required.
type Options struct {
	// Target is where to send: scheme and host; a path is put before the
	// recorded one. Every address of the host must be a loopback address.
	Target *url.URL
	// Client lends its transport, which must be an [*http.Transport] so that its
	// connections can be kept to the verified address. Its timeout, cookies and
	// redirects are not used.
	Client *http.Client
	// Repeat is how many attempts are made, one after the other; 1 if zero.
	Repeat int
	// Headers are set in place of the recorded ones: a credential that was
	// redacted, for example. An empty value removes a header.
	Headers map[string]string
	// NewTrace returns the ids of the trace and span that an attempt belongs to,
	// 32 and 16 lower-case hex digits; random ones if nil.
	NewTrace func() (traceID, spanID string)
	// Rand is crypto/rand.Reader if nil.
	Rand io.Reader
	// Timeout bounds an attempt, its body included; DefaultTimeout if zero.
	Timeout time.Duration
	// BodyLimit bounds what is kept of a response; DefaultBodyLimit if zero.
	BodyLimit int
	// Force sends requests of whose body a part is missing.
	Force bool
	// Resolve looks a host name up; the system's resolver if nil.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Now is time.Now if nil.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Repeat <= 0 {
		o.Repeat = 1
	}
	o.Repeat = min(o.Repeat, MaxRepeat)
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.BodyLimit <= 0 {
		o.BodyLimit = DefaultBodyLimit
	}
	if o.Resolve == nil {
		o.Resolve = resolve
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Attempt is one replay.
type Attempt struct {
	TraceID  string
	Response replay.Response // as far as it came
	Duration time.Duration
	// Err is why no whole response came; nil if one did, whatever its status.
	Err error
}

// RefusedError says that a request is not replayed, and why.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "refusing to replay: " + e.Reason }

// Play sends the request of ex again, Options.Repeat times. A request that
// makes no sense to send, and a target that is not loopback, is a
// [*RefusedError]. An attempt that fails carries its own error; Play goes on
// with the next, unless ctx is done.
func Play(ctx context.Context, ex *replay.Exchange, o Options) ([]Attempt, error) {
	o = o.withDefaults()
	if reason := refusal(ex, o); reason != "" {
		return nil, &RefusedError{Reason: reason}
	}
	transport, err := o.transport(ctx, ex)
	if err != nil {
		return nil, err
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	attempts := make([]Attempt, 0, o.Repeat)
	for range o.Repeat {
		a, err := o.attempt(ctx, client, ex)
		if err != nil {
			return attempts, err
		}
		attempts = append(attempts, a)
		if err := ctx.Err(); err != nil {
			return attempts, fmt.Errorf("replaying %s: %w", ex.ID, err)
		}
	}
	return attempts, nil
}

// attempt sends the request once. Its error says that no request could be made.
func (o Options) attempt(ctx context.Context, client *http.Client, ex *replay.Exchange) (Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	req, traceID, err := o.request(ctx, ex)
	if err != nil {
		return Attempt{}, err
	}
	a := Attempt{TraceID: traceID}
	start := o.Now()
	response, err := client.Do(req) //nolint:bodyclose // read closes it
	if err != nil {
		a.Err = fmt.Errorf("sending the request: %w", err)
	} else {
		a.Response, a.Err = o.read(response)
	}
	a.Duration = o.Now().Sub(start)
	return a, nil
}

// read takes a response in, up to the limit, and undoes its content coding as
// the recorder does, so that both sides of a comparison are alike.
func (o Options) read(response *http.Response) (replay.Response, error) {
	defer func() { _ = response.Body.Close() }()
	out := replay.Response{Status: response.StatusCode, Header: response.Header}
	kept, err := io.ReadAll(io.LimitReader(response.Body, int64(o.BodyLimit)+1))
	out.Trailer = response.Trailer
	out.Body = replay.Body{State: replay.Full, Size: int64(len(kept)), Bytes: kept}
	switch {
	case len(kept) > o.BodyLimit:
		out.Body.State, out.Body.Bytes = replay.Truncated, kept[:o.BodyLimit]
	case err != nil:
		out.Body.State = replay.Aborted
		return out, fmt.Errorf("reading the response: %w", err)
	}
	if plain, err := out.Body.Decode(response.Header.Get("Content-Encoding"), o.BodyLimit); err == nil {
		out.Body = plain
	} else if !errors.Is(err, replay.ErrCoding) {
		return out, err
	}
	return out, nil
}
