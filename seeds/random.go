package seeds

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"math/rand/v2"
)

// stream is a source of random numbers that is the same on every machine and
// with every version of Go: ChaCha8 is specified (https://c2sp.org/chacha8rand),
// and what is made of its output is made here, because the methods of
// math/rand/v2 promise nothing across versions.
type stream struct{ source *rand.ChaCha8 }

// newStream is named by what it is for; other names give independent streams.
func newStream(name ...any) *stream {
	var text []byte
	for _, part := range name {
		s := fmt.Sprint(part)
		text = fmt.Appendf(text, "%d:%s", len(s), s) // no two lists of names look alike
	}
	return &stream{rand.NewChaCha8(sha256.Sum256(text))}
}

// below is a number from 0 to n-1, each as likely as the next to within one
// part in 2^64/n.
func (s *stream) below(n uint64) uint64 {
	high, _ := bits.Mul64(s.source.Uint64(), n)
	return high
}

// between is a number from low to high, both included.
func (s *stream) between(low, high int64) int64 {
	span := uint64(high) - uint64(low) + 1
	if span == 0 { // all of int64
		return int64(s.source.Uint64())
	}
	return low + int64(s.below(span))
}

// chance is true in this share of calls.
func (s *stream) chance(share float64) bool {
	return float64(s.source.Uint64()>>11)/(1<<53) < share
}
