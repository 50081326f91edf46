package kafka

import (
	"encoding/binary"
	"io"
)

// A request is a length of four bytes, then key, version and correlation id
// (request header v0; the later versions only add to its end).
const requestHeader = 4 + 2 + 2 + 4

// requests passes bytes through and looks at the headers as they go by.
type requests struct {
	session *Session
	source  io.Reader
	head    [requestHeader]byte
	have    int   // bytes of head
	rest    int64 // bytes of the frame behind its header
}

func (r *requests) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	if bad := r.watch(p[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

// watch follows the frames through b.
func (r *requests) watch(b []byte) error {
	for len(b) > 0 && !r.session.foreign.Load() {
		if r.rest > 0 {
			n := min(r.rest, int64(len(b)))
			r.rest -= n
			b = b[n:]
			continue
		}
		n := copy(r.head[r.have:], b)
		r.have += n
		b = b[n:]
		if r.have < requestHeader {
			return nil
		}
		r.have = 0
		if err := r.begin(); err != nil {
			return err
		}
	}
	return nil
}

// begin reads a header that is complete.
func (r *requests) begin() error {
	length := int64(int32(binary.BigEndian.Uint32(r.head[:])))
	if length < requestHeader-4 || length > longestFrame {
		r.session.foreign.Store(true)
		return nil
	}
	r.rest = length - (requestHeader - 4)
	asked := request{
		key:     int16(binary.BigEndian.Uint16(r.head[4:])),
		version: int16(binary.BigEndian.Uint16(r.head[6:])),
	}
	if !rewritten(asked.key) {
		return nil
	}
	return r.session.expect(int32(binary.BigEndian.Uint32(r.head[8:])), asked)
}
