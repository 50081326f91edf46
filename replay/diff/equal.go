package diff

import (
	"encoding/json"
	"hash/maphash"
	"strconv"
	"strings"
)

// number is the exact decimal value of a JSON number: digits times ten to the
// power of exponent. Digits have no zeros at either end, and zero has none at
// all. Nothing is computed with it, so 1e999999999 costs no more than 1.
type number struct {
	negative bool
	digits   string
	exponent int64
	odd      string // the text, where its exponent is past all bounds
}

func (n number) String() string {
	sign := ""
	if n.negative {
		sign = "-"
	}
	return sign + n.digits + "e" + strconv.FormatInt(n.exponent, 10) + n.odd
}

// decimal reads a number as RFC 8259, section 6, has it.
func decimal(text string) number {
	var n number
	rest, negative := strings.CutPrefix(text, "-")
	mantissa := rest
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa = rest[:i]
		exponent, err := strconv.ParseInt(rest[i+1:], 10, 62)
		if err != nil {
			return number{odd: text}
		}
		n.exponent = exponent
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n.exponent -= int64(len(fraction))
	digits := strings.TrimLeft(whole+fraction, "0")
	n.digits = strings.TrimRight(digits, "0")
	n.exponent += int64(len(digits) - len(n.digits))
	if n.digits == "" {
		return number{} // -0 is 0
	}
	n.negative = negative
	return n
}

func sameNumber(a, b json.Number) bool {
	return a == b || decimal(string(a)) == decimal(string(b))
}

// equal reports whether two values are the same. A pseudonym is equal to
// itself alone.
func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, v := range a {
			if w, ok := b[name]; !ok || !equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a, b)
	default:
		return a == b
	}
}

// sameElements reports whether two arrays hold the same, in whatever order.
func sameElements(a, b []any) bool {
	seed := maphash.MakeSeed()
	counts := make(map[uint64]int, len(a))
	for _, v := range a {
		counts[hash(seed, v)]++
	}
	for _, v := range b {
		h := hash(seed, v)
		if counts[h] == 0 {
			return false
		}
		counts[h]--
	}
	return true
}

// hash is the same for values that are equal.
func hash(seed maphash.Seed, v any) uint64 {
	switch v := v.(type) {
	case map[string]any:
		var sum uint64 // fields have no order
		for name, w := range v {
			sum += maphash.Comparable(seed, [2]uint64{maphash.String(seed, name), hash(seed, w)})
		}
		return sum + 1
	case []any:
		var h maphash.Hash
		h.SetSeed(seed)
		for _, w := range v {
			maphash.WriteComparable(&h, hash(seed, w))
		}
		return h.Sum64()
	case json.Number:
		return maphash.String(seed, "n"+decimal(string(v)).String())
	case string:
		return maphash.String(seed, "s"+v)
	case bool:
		return maphash.Comparable(seed, v)
	}
	return 0
}

// typeOf names the type of a JSON value.
func typeOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case json.Number, int:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}
