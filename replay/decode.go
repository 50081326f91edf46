package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrCoding is returned for a content coding that cannot be undone here.
var ErrCoding = errors.New("unknown content coding")

// Decode undoes the content coding of a captured body (RFC 9110, section
// 8.4), keeping at most limit bytes of what comes out. A body that was
// captured in part gives what its start gives. The body comes back as it is
// where encoding is empty or "identity". An unknown coding, or more than one,
// is [ErrCoding]; a body that is not in its coding is another error.
func (b Body) Decode(encoding string, limit int) (Body, error) {
	encoding = strings.ToLower(strings.TrimSpace(encoding))
	if encoding == "" || encoding == "identity" || b.Decoded != "" || len(b.Bytes) == 0 {
		return b, nil
	}
	source, err := decoder(encoding, b.Bytes)
	if err != nil {
		return b, fmt.Errorf("undoing content coding %s: %w", encoding, err)
	}
	// One byte more than is kept tells whether there was more.
	plain, err := io.ReadAll(io.LimitReader(source, int64(limit)+1))
	if err != nil && b.State == Full {
		return b, fmt.Errorf("undoing content coding %s: %w", encoding, err)
	}
	if len(plain) > limit {
		plain = plain[:limit]
		if b.State == Full {
			b.State = Truncated
		}
	}
	b.Bytes, b.Decoded = plain, encoding
	return b, nil
}

func decoder(encoding string, data []byte) (io.Reader, error) {
	switch encoding {
	case "gzip", "x-gzip":
		return gzip.NewReader(bytes.NewReader(data))
	case "deflate":
		return zlib.NewReader(bufio.NewReader(bytes.NewReader(data)))
	}
	return nil, ErrCoding
}
