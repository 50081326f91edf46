package kafka

import "encoding/binary"

// reader reads the fields of a message, each in the encoding of its version:
// the flexible ones (KIP-482) have lengths as unsigned varints plus one, where
// the others have integers. Once the message is too short for what is asked,
// short stays set and everything is zero.
type reader struct {
	b        []byte
	at       int
	flexible bool
	short    bool
}

// next gives the next n bytes, nil when there are not as many.
func (r *reader) next(n int) []byte {
	if r.short || n < 0 || n > len(r.b)-r.at {
		r.short = true
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) int16() int16 {
	if b := r.next(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.next(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// uvarint is at most what fits an int32, as in Kafka itself.
func (r *reader) uvarint() int {
	if r.short {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || v > 1<<31-1 {
		r.short = true
		return 0
	}
	r.at += n
	return int(v)
}

// length is that of an array, 0 when there is none. It may be more than there
// is: whoever counts to it stops at short.
func (r *reader) length() int {
	if r.flexible {
		return max(r.uvarint()-1, 0)
	}
	return max(int(r.int32()), 0)
}

// text is a string, empty when there is none.
func (r *reader) text() string {
	if r.flexible {
		return string(r.next(max(r.uvarint()-1, 0)))
	}
	return string(r.next(max(int(r.int16()), 0)))
}

// tags passes over tagged fields: a count, then a key, a length and that many
// bytes for each.
func (r *reader) tags() {
	if !r.flexible {
		return
	}
	for n := r.uvarint(); n > 0 && !r.short; n-- {
		r.uvarint()
		r.next(r.uvarint())
	}
}

// appendText appends a string in the encoding that the reader reads.
func (r *reader) appendText(b []byte, text string) []byte {
	if r.flexible {
		b = binary.AppendUvarint(b, uint64(len(text)+1))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	}
	return append(b, text...)
}
