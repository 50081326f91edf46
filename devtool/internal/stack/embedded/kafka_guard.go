package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake is made for tests, where clients are well-behaved: it reserves whatever
// length a frame claims, up to 4 GiB, and an API key that it does not know is a
// nil pointer. Here it lives in the supervisor and anything may connect to its
// port. So only frames that parse reach it; after any other the connection
// is closed, as Kafka does.

const (
	// largestProduce is above what a client sends at once by default
	// (franz-go: 100 MiB; Java: 1 MiB).
	largestProduce = 100 << 20
	// largestRequest is for all else, which carries no records.
	largestRequest = 4 << 20
	produceKey     = 0
	// shortestFrame has api key, version and correlation id (request header
	// v1, https://kafka.apache.org/protocol#protocol_messages).
	shortestFrame = 8
)

type guardedListener struct{ net.Listener }

func guardListener(l net.Listener) net.Listener { return guardedListener{l} }

func (l guardedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &guardedConn{Conn: conn}, nil
}

// guardedConn reads whole frames and passes on those that parse.
type guardedConn struct {
	net.Conn
	frame bytes.Buffer // what has been read and not passed on
}

func (c *guardedConn) Read(p []byte) (int, error) {
	if c.frame.Len() == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	return c.frame.Read(p)
}

func (c *guardedConn) next() error {
	if c.frame.Cap() > 1<<20 {
		c.frame = bytes.Buffer{} // one large batch must not be held for good
	}
	c.frame.Reset()
	var head [4 + shortestFrame]byte
	if _, err := io.ReadFull(c.Conn, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	limit := uint32(largestRequest)
	if binary.BigEndian.Uint16(head[4:]) == produceKey {
		limit = largestProduce
	}
	if length < shortestFrame || length > limit {
		return fmt.Errorf("a frame of %d bytes is not Kafka's protocol", length)
	}
	c.frame.Write(head[:])
	// CopyN grows the buffer with what arrives, not with what was claimed.
	if _, err := io.CopyN(&c.frame, c.Conn, int64(length)-shortestFrame); err != nil {
		return err
	}
	return parseable(c.frame.Bytes()[4:])
}

// parseable reads a request as kfake will, and turns into an error what would
// be a panic there.
func parseable(frame []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a request that cannot be read: %v", r)
		}
	}()
	reader := kbin.Reader{Src: frame}
	key, version := reader.Int16(), reader.Int16()
	reader.Int32()          // correlation id
	reader.NullableString() // client id
	request := kmsg.RequestForKey(key)
	if request == nil {
		return fmt.Errorf("no request has key %d", key)
	}
	// A version that is too new is kfake's to refuse: clients probe with it.
	if version < 0 {
		return fmt.Errorf("no request has version %d", version)
	}
	request.SetVersion(version)
	if request.IsFlexible() {
		kmsg.SkipTags(&reader)
	}
	if err := reader.Complete(); err != nil {
		return err
	}
	return request.ReadFrom(reader.Src)
}
