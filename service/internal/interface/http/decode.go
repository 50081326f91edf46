package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"example.com/goldenpath/service/internal/domain/problem"
	"example.com/goldenpath/service/internal/suggest"
)

// A request with more bad fields than this is told of so many.
const maxFields = 20

// field is one key that a request body may have.
type field struct {
	name string
	// set takes the value, or says what was expected.
	set func(raw json.RawMessage) (reason string)
}

// text is a field that takes a string. ifNull ends the sentence that refuses
// null.
func text(name string, to **string, ifNull string) field {
	return field{name, func(raw json.RawMessage) string {
		switch kind := kindOf(raw); kind {
		case "a string":
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return "must be a string"
			}
			*to = &s
			return ""
		case "null":
			return "must be a string, not null" + ifNull
		default:
			return "must be a string, not " + kind
		}
	}}
}

// decode reads the request's body, one JSON object with these fields and
// nothing else, and tells of every field that is wrong. Fields that are absent
// stay as they are.
func decode(r *http.Request, fields ...field) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return invalidJSON(nil, "the body is empty", fields)
	}
	if !utf8.Valid(body) {
		// encoding/json would put U+FFFD in place of what it cannot read.
		return invalidJSON(nil, "the body is not UTF-8", fields)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if kind := kindOf(bytes.TrimSpace(body)); kind != "an object" {
		var whole json.RawMessage
		if err := dec.Decode(&whole); err != nil {
			return syntaxError(err, body, fields)
		}
		return invalidJSON(nil, "the body is "+kind+", not an object", fields)
	}
	if _, err := dec.Token(); err != nil { // the opening brace
		return syntaxError(err, body, fields)
	}
	var bad []problem.Field
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return syntaxError(err, body, fields)
		}
		name, _ := key.(string) // the decoder takes nothing but strings here
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return syntaxError(err, body, fields)
		}
		if len(bad) == maxFields {
			continue
		}
		if reason := assign(fields, name, raw, seen); reason != "" {
			bad = append(bad, problem.Field{Name: clip(name), Reason: reason})
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return syntaxError(err, body, fields)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalidJSON(err, "there is more after the JSON object", fields)
	}
	if len(bad) > 0 {
		return problem.Invalid(bad...)
	}
	return nil
}

// assign gives the value to its field, or says why not.
func assign(fields []field, name string, raw json.RawMessage, seen map[string]bool) (reason string) {
	for _, f := range fields {
		if f.name != name {
			continue
		}
		if seen[name] {
			return "is given twice"
		}
		seen[name] = true
		return f.set(raw)
	}
	if near, ok := suggest.Nearest(strings.ToLower(name), names(fields), 2); ok {
		return "is not known; did you mean " + near + "?"
	}
	return "is not known; the fields are " + strings.Join(names(fields), " and ")
}

func readBody(r *http.Request) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, problem.New(problem.UnsupportedMediaType, "the body is compressed", "send it without content-encoding")
	}
	if kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" ||
		params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, problem.New(problem.UnsupportedMediaType, "the body is not declared as JSON",
			"send the header content-type: application/json")
	}
	// Known before a byte is read, so that a client that waits for 100-continue
	// sends nothing.
	if r.ContentLength > MaxBody {
		return nil, tooLarge(nil)
	}
	body, err := io.ReadAll(r.Body)
	var limit *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &limit):
		return nil, tooLarge(err)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return nil, problem.Wrap(err, problem.RequestTimeout, "the body did not arrive in time", "send the body at once, after the header")
	default:
		return nil, problem.Wrap(err, problem.RequestCancelled, "the body broke off", "send as many bytes as content-length says")
	}
}

func tooLarge(cause error) error {
	return problem.Wrap(cause, problem.BodyTooLarge, "the body is larger than 1 MiB", "send at most 1048576 bytes")
}

// syntaxError says where body stops being JSON.
func syntaxError(err error, body []byte, fields []field) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return invalidJSON(err, "the JSON breaks off before its end", fields)
	}
	// The token reader's offsets are those of tokens; a scan of the whole tells
	// the very byte.
	var whole json.RawMessage
	var syntax *json.SyntaxError
	if !errors.As(json.Unmarshal(body, &whole), &syntax) {
		return invalidJSON(err, "the body is not JSON", fields)
	}
	before := body[:min(syntax.Offset, int64(len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return invalidJSON(err, fmt.Sprintf("the body is not JSON: it goes wrong at line %d, column %d", line, max(column, 1)), fields)
}

func invalidJSON(cause error, message string, fields []field) error {
	return problem.Wrap(cause, problem.InvalidJSON, message,
		"send one JSON object with "+strings.Join(names(fields), " and ")+`, such as {"title":"milk","body":"two litres"}`)
}

func names(fields []field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return all
}

// clip keeps what a client made up from filling the answer.
func clip(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}

// kindOf names the JSON type that raw begins with.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
