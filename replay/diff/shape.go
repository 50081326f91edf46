package diff

import (
	"encoding/json"
	"regexp"
	"strings"
)

// Classes of values.
const (
	classUUID      = "uuid"
	classULID      = "ulid"
	classTimestamp = "timestamp"
	classTraceID   = "trace_id"
	classToken     = "token"
	classCounter   = "counter"
	classNumber    = "number"
	classText      = "text"
	classRedacted  = "redacted"
	classOther     = "other"
)

var (
	uuidPattern = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	timePattern = regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|[+-]\d\d:?\d\d|UTC)\b)?`)
	httpPattern = regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\b`)
	ulidPattern = regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	hexPattern  = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32}|00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})$`)
	jwtPattern  = regexp.MustCompile(`^eyJ[\w-]+\.[\w-]+\.[\w-]*$`)

	// Names that tell what a value is whose looks do not.
	traceName = regexp.MustCompile(`(?i)(trace|span|request|correlation)[-_]?(id|parent)?$`)
	timeName  = regexp.MustCompile(`(?i)(time|timestamp|date|expires|_at|^at|At|iat|exp|nbf|_ts|^ts)(_?(ms|us|ns|s))?$`)
)

// classify says what a value is, by its looks and, where they do not tell, by
// the last name of its path.
func classify(path string, v any) string {
	name := path[strings.LastIndexAny(path, ".'[")+1:]
	switch v := v.(type) {
	case string:
		return classifyText(name, v)
	case json.Number:
		switch {
		case timeName.MatchString(name) && epoch(string(v)):
			return classTimestamp
		case strings.ContainsAny(string(v), ".eE"):
			return classNumber
		}
		return classCounter
	}
	return classOther
}

func classifyText(name, s string) string {
	const longest = 4096 // of what has a shape
	switch {
	case len(s) > longest:
		return classText
	case len(s) == 36 && uuidPattern.MatchString(s):
		return classUUID
	case wholly(timePattern, s), wholly(httpPattern, s):
		return classTimestamp
	case ulidPattern.MatchString(s):
		return classULID
	case jwtPattern.MatchString(s):
		return classToken
	case hexPattern.MatchString(s) && traceName.MatchString(name):
		return classTraceID
	}
	return classText
}

func wholly(pattern *regexp.Regexp, s string) bool {
	at := pattern.FindStringIndex(s)
	return at != nil && at[0] == 0 && at[1] == len(s)
}

// epoch reports whether a number may be a Unix time between 2001 and 2286, in
// seconds or a smaller unit.
func epoch(s string) bool {
	whole, _, _ := strings.Cut(s, ".")
	switch len(whole) {
	case 10, 13, 16, 19:
		return whole[0] != '-'
	}
	return false
}

// shaped reports whether two values of the class in one place are volatile
// because they are of it.
func shaped(class string) bool {
	switch class {
	case classUUID, classULID, classTimestamp, classTraceID, classToken:
		return true
	}
	return false
}

// plainClass reports whether values of the class have no shape of their own, so
// that what replays differ in may differ from the capture too.
func plainClass(class string) bool {
	switch class {
	case classCounter, classNumber, classText, classOther:
		return true
	}
	return false
}

// alikeButFor reports whether two texts are the same but for ids and points in
// time within them, such as the link to a thing that was just created.
func alikeButFor(was, is any) (string, bool) {
	a, ok := was.(string)
	b, alsoOK := is.(string)
	const longest = 4096
	if !ok || !alsoOK || len(a) > longest || len(b) > longest {
		return "", false
	}
	for _, shape := range []struct {
		class   string
		pattern *regexp.Regexp
	}{{classUUID, uuidPattern}, {classTimestamp, timePattern}, {classTimestamp, httpPattern}} {
		maskedA := shape.pattern.ReplaceAllLiteralString(a, "\x00")
		maskedB := shape.pattern.ReplaceAllLiteralString(b, "\x00")
		if maskedA == maskedB && maskedA != a {
			return shape.class, true
		}
		a, b = maskedA, maskedB
	}
	return "", false
}
