package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"example.com/goldenpath/replay/redact"
)

const (
	maxLevels   = 500
	maxUnpaired = 20 // elements without a partner that are listed one by one
)

// isJSON reports whether a body says that it is JSON, or looks like it.
func isJSON(h http.Header, data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[' || strings.Contains(h.Get("Content-Type"), "json"))
}

// parse reads JSON with exact numbers. Several values one after the other are
// an array. It counts before it builds, so that neither a deep nor a wide body
// costs more than its bytes.
func parse(data []byte, maxValues int) (any, error) {
	if err := count(data, maxValues); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var all []any
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is no JSON: %w", err)
		}
		all = append(all, v)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

// count bounds depth and values, by the brackets and commas outside of strings.
func count(data []byte, maxValues int) error {
	depth, values := 0, 1
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			values++
			if depth++; depth > maxLevels {
				return fmt.Errorf("it is nested more than %d levels deep", maxLevels)
			}
		case '}', ']':
			depth--
		case ',':
			values++
		}
	}
	if values > maxValues {
		return fmt.Errorf("it has more than %d values", maxValues)
	}
	return nil
}

// values compares two values of JSON.
func (c *comparison) values(path string, was, is any) {
	switch a := was.(type) {
	case map[string]any:
		if b, ok := is.(map[string]any); ok {
			c.objects(path, a, b)
			return
		}
	case []any:
		if b, ok := is.([]any); ok {
			c.arrays(path, a, b)
			return
		}
	case json.Number:
		if b, ok := is.(json.Number); ok {
			if !sameNumber(a, b) {
				c.add(path, KindValue, a, b)
			}
			return
		}
	case string:
		if redact.Is(a) {
			c.redacted(path) // a number or a tree may have stood there
			return
		}
		if b, ok := is.(string); ok {
			if a != b {
				c.strings(path, a, b)
			}
			return
		}
	default:
		if was == is {
			return
		}
	}
	kind := KindType
	if typeOf(was) == typeOf(is) {
		kind = KindValue
	}
	c.add(path, kind, was, is)
}

func (c *comparison) strings(path, was, is string) {
	if redact.In(was) && sameAround(was, is) {
		c.redacted(path)
		return
	}
	c.add(path, KindValue, was, is)
}

func (c *comparison) objects(path string, was, is map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(was)) {
		at := path + member(name)
		if v, ok := is[name]; ok {
			c.values(at, was[name], v)
		} else {
			c.add(at, KindMissing, was[name], nil)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[name]; !ok {
			c.add(path+member(name), KindAdded, nil, is[name])
		}
	}
}

// member is how a field stands in a path.
func member(name string) string {
	plain := name != ""
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') && c != '-' {
			plain = false
		}
	}
	if plain {
		return "." + name
	}
	quoted := strconv.Quote(name)
	return "['" + strings.ReplaceAll(quoted[1:len(quoted)-1], "'", `\'`) + "']"
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func (c *comparison) arrays(path string, was, is []any) {
	if keysA, field := identities(was); field != "" {
		if keysB, sameField := identities(is); sameField == field && c.keyed(path, was, is, keysA, keysB) {
			return
		}
	}
	// What is the same at both ends shows where something came or went.
	low := 0
	for low < len(was) && low < len(is) && equal(was[low], is[low]) {
		low++
	}
	high := 0
	for high < len(was)-low && high < len(is)-low && equal(was[len(was)-1-high], is[len(is)-1-high]) {
		high++
	}
	a, b := was[low:len(was)-high], is[low:len(is)-high]
	if len(a) == len(b) && len(a) > 1 && sameElements(a, b) {
		c.add(path, KindOrder, a, b)
		return
	}
	paired := min(len(a), len(b))
	for i := range paired {
		c.values(element(path, low+i), a[i], b[i])
	}
	if unpaired := len(a) + len(b) - 2*paired; unpaired > maxUnpaired {
		c.add(path, KindSize, len(was), len(is))
		return
	}
	for i := paired; i < len(a); i++ {
		c.add(element(path, low+i), KindMissing, a[i], nil)
	}
	for i := paired; i < len(b); i++ {
		c.add(element(path, low+i), KindAdded, nil, b[i])
	}
}

// identities returns the key of each element, and the name of the field that
// it is in; no name where the elements have none.
func identities(array []any) (keys []string, field string) {
	if len(array) == 0 {
		return nil, ""
	}
next:
	for _, field := range [...]string{"id", "key", "name"} {
		keys = keys[:0]
		seen := make(map[string]bool, len(array))
		for _, v := range array {
			object, _ := v.(map[string]any)
			var key string
			switch id := object[field].(type) {
			case string:
				key = "s" + id
			case json.Number:
				key = "n" + decimal(string(id)).String()
			}
			if key == "" || seen[key] || redact.In(key) {
				continue next
			}
			seen[key] = true
			keys = append(keys, key)
		}
		return keys, field
	}
	return nil, ""
}

// keyed compares elements that have the same key. It returns false where no key
// is on both sides: then the keys are new in each run and tell nothing.
func (c *comparison) keyed(path string, was, is []any, keysA, keysB []string) bool {
	places := make(map[string]int, len(keysB))
	for j, key := range keysB {
		places[key] = j
	}
	var pairs [][2]int
	for i, key := range keysA {
		if j, ok := places[key]; ok {
			pairs = append(pairs, [2]int{i, j})
		}
	}
	if len(pairs) == 0 {
		return false
	}
	if !slices.IsSortedFunc(pairs, func(a, b [2]int) int { return a[1] - b[1] }) {
		c.add(path, KindOrder, names(keysA), names(keysB))
	}
	gone := make([]bool, len(was))
	for i := range gone {
		gone[i] = true
	}
	for _, p := range pairs {
		gone[p[0]] = false
		delete(places, keysA[p[0]])
		c.values(element(path, p[0]), was[p[0]], is[p[1]])
	}
	if len(was)+len(is)-2*len(pairs) > maxUnpaired {
		c.add(path, KindSize, len(was), len(is))
		return true
	}
	for i, v := range was {
		if gone[i] {
			c.add(element(path, i), KindMissing, v, nil)
		}
	}
	for _, j := range slices.Sorted(maps.Values(places)) {
		c.add(element(path, j), KindAdded, nil, is[j])
	}
	return true
}

// names undoes the mark of the type that identities puts before a key.
func names(keys []string) []any {
	out := make([]any, len(keys))
	for i, k := range keys {
		out[i] = k[1:]
	}
	return out
}
