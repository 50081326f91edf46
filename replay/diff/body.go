package diff

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"example.com/goldenpath/replay"
	"example.com/goldenpath/replay/redact"
)

// bodies compares what both sides hold of their bodies.
func (c *comparison) bodies(recorded, replayed replay.Response) {
	was, is := recorded.Body, replayed.Body
	for _, side := range []struct {
		name string
		body replay.Body
	}{{"recorded", was}, {"replayed", is}} {
		switch {
		case side.body.Omitted != "":
			c.opaque = append(c.opaque, Volatile{"body", classOther, "the " + side.name + " body was not kept: " + side.body.Omitted})
			return
		case side.body.State == replay.Upgraded:
			c.note("the %s connection left HTTP: its body was not compared", side.name)
			return
		case side.body.State == replay.Aborted:
			c.note("the %s body was cut off: it is compared as far as it goes", side.name)
		}
	}
	if was.State == replay.Full && is.State == replay.Full {
		c.whole(was.Bytes, is.Bytes, isJSON(recorded.Header, was.Bytes) && isJSON(replayed.Header, is.Bytes))
		return
	}
	c.prefixes(was, is)
}

// whole compares two whole bodies.
func (c *comparison) whole(was, is []byte, json bool) {
	if bytes.Equal(was, is) {
		return
	}
	if json {
		a, errA := parse(was, c.options.MaxValues)
		b, errB := parse(is, c.options.MaxValues)
		switch {
		case errA == nil && errB == nil:
			c.values("$", a, b)
			return
		case errA != nil:
			c.note("the recorded body is compared as text: %v", errA)
		default:
			c.note("the replayed body is compared as text: %v", errB)
		}
	}
	c.texts(was, is)
}

// prefixes compares as much as both sides have of a body that one of them has
// not got whole. JSON that was cut cannot be parsed.
func (c *comparison) prefixes(was, is replay.Body) {
	a, b := was.Bytes, is.Bytes
	// Behind a pseudonym the sides are no longer in step.
	if before := len(redact.Fragments(string(a))[0]); before < len(a) {
		a, b = a[:before], b[:min(before, len(b))]
	}
	if was.State != replay.Full && is.State == replay.Full && len(a) > len(b) ||
		is.State != replay.Full && was.State == replay.Full && len(b) > len(a) {
		c.texts(a, b) // the whole one is shorter than a part of the other
		return
	}
	shorter := min(len(a), len(b))
	a, b = a[:shorter], b[:shorter]
	c.note("the bodies are compared up to byte %d, for not all was kept", len(a))
	if !bytes.Equal(a, b) {
		c.texts(a, b)
	}
}

// texts compares bodies of no known structure.
func (c *comparison) texts(was, is []byte) {
	if redact.In(string(was)) && sameAround(string(was), string(is)) {
		c.redacted("body")
		return
	}
	c.add("body", KindBody, excerpt(was, is), excerpt(is, was))
}

// sameAround reports whether text is what redacted would be without its
// pseudonyms.
func sameAround(redacted, text string) bool {
	parts := redact.Fragments(redacted)
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, last)
}

// excerpt shows where a body starts to differ from another.
func excerpt(body, other []byte) string {
	at := 0
	for at < len(body) && at < len(other) && body[at] == other[at] {
		at++
	}
	const around = 40
	from, to := max(0, at-around), min(len(body), at+around)
	for from > 0 && !utf8.RuneStart(body[from]) {
		from--
	}
	for to < len(body) && !utf8.RuneStart(body[to]) {
		to++
	}
	line := 1 + bytes.Count(body[:at], []byte("\n"))
	column := at - bytes.LastIndexByte(body[:at], '\n')
	text := string(body[from:to])
	if !utf8.ValidString(text) {
		text = fmt.Sprintf("%x", body[from:to])
	}
	if from > 0 {
		text = "..." + text
	}
	if to < len(body) {
		text += "..."
	}
	return fmt.Sprintf("%d bytes, line %d column %d: %s", len(body), line, column, text)
}
