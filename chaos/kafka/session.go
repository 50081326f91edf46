// Package kafka lets a proxy stand before a Kafka cluster with no change to the
// brokers' configuration. A Kafka client asks any broker for the addresses of
// all of them and then dials those, past the proxy; so the answers that hold
// addresses are rewritten on the way back. Everything else passes as it is,
// without being held in memory: of a request only the header is looked at.
//
// Protocol: https://kafka.apache.org/protocol.html
package kafka

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// Limits on what is believed.
const (
	// longestFrame is above any message that a broker takes (its
	// socket.request.max.bytes is 100 MiB). A longer one is not Kafka: the
	// first bytes of TLS, for one, read as 352 MiB.
	longestFrame = 256 << 20
	// longestRewrite is the longest answer that is held in memory to be
	// rewritten: the metadata of some hundred thousand partitions.
	longestRewrite = 16 << 20
	// mostPending is how many requests may wait for an answer that is to be
	// rewritten. Clients have a handful.
	mostPending = 1024
)

// Errors that end a connection rather than let a client past the proxy.
var (
	ErrTooLarge = errors.New("kafka response too large to rewrite")
	ErrTooMany  = errors.New("too many kafka requests without an answer")
)

// Directory knows where clients are to find the brokers. It is called by many
// connections at once.
type Directory interface {
	// Brokers tells the addresses of all brokers of the cluster, as they
	// advertise themselves, each time that an answer lists them.
	Brokers(addresses []string)
	// Local returns the address at which the proxy stands in for the broker. An
	// error ends the connection whose answer was to be rewritten.
	Local(address string) (string, error)
}

// Session is one connection of a client to a broker. It pairs the answers with
// the requests, for an answer does not say what it answers.
//
// Bytes that are no Kafka frames pass untouched, both ways.
type Session struct {
	directory Directory
	foreign   atomic.Bool // what passes is not Kafka

	mu      sync.Mutex
	pending map[int32]request // by correlation id
}

// request is what has to be known to read its answer.
type request struct{ key, version int16 }

// NewSession makes the session of one connection.
func NewSession(directory Directory) *Session {
	return &Session{directory: directory, pending: make(map[int32]request)}
}

// Requests returns a reader of what r reads, from the client. Errors of r are
// passed on; behind os.ErrDeadlineExceeded reading may go on.
func (s *Session) Requests(r io.Reader) io.Reader { return &requests{session: s, source: r} }

// Responses returns a reader of what r reads, from the broker, with the
// addresses rewritten. Errors are passed on as those of Requests are.
func (s *Session) Responses(r io.Reader) io.Reader { return &responses{session: s, source: r} }

// expect notes a request whose answer is to be rewritten.
func (s *Session) expect(correlation int32, r request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) >= mostPending {
		return ErrTooMany
	}
	s.pending[correlation] = r
	return nil
}

// answered returns the request that an answer belongs to, if it is one to be
// rewritten.
func (s *Session) answered(correlation int32) (request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.pending[correlation]
	delete(s.pending, correlation)
	return r, ok
}
