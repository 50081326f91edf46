package cursor

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"example.com/goldenpath/service/internal/domain/note"
	"example.com/goldenpath/service/internal/domain/problem"
)

const id = "00000000-0000-7000-8000-000000000001"

func TestCursor(t *testing.T) {
	t.Run("what is encoded decodes to the same microsecond", func(t *testing.T) {
		want := note.Cursor{CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC), ID: id}
		if got, err := Decode(Encode(want)); err != nil || got != want {
			t.Errorf("Decode(Encode(%v)) = %v, %v", want, got, err)
		}
	})
	t.Run("the beginning is the empty text", func(t *testing.T) {
		if text := Encode(note.Cursor{}); text != "" {
			t.Errorf("Encode = %q", text)
		}
		if c, err := Decode(""); err != nil || !c.IsZero() {
			t.Errorf("Decode = %v, %v", c, err)
		}
	})
	for fact, text := range map[string]string{
		"another version":           "2.5." + id,
		"a part that is missing":    "1." + id,
		"a part too many":           "1.5." + id + ".",
		"a time that is no number":  "1.x." + id,
		"a time before 1970":        "1.-1." + id,
		"a time after 9999":         "1.253402300800000000." + id,
		"a time beyond int64":       "1.99999999999999999999." + id,
		"an id that is no UUID":     "1.5.1 OR 1=1",
		"an id in capital letters":  "1.5.0000000A-0000-7000-8000-000000000001",
		"nothing but the separator": "..",
	} {
		t.Run(fact+" is an invalid cursor", func(t *testing.T) {
			_, err := Decode(base64.RawURLEncoding.EncodeToString([]byte(text)))
			if !errors.Is(err, &problem.Error{Code: problem.InvalidCursor}) {
				t.Errorf("err = %v", err)
			}
		})
	}
	t.Run("padding and other alphabets are invalid", func(t *testing.T) {
		for _, text := range []string{"MQ==", "+/+/", "M Q", "\x00"} {
			if _, err := Decode(text); !errors.Is(err, &problem.Error{Code: problem.InvalidCursor}) {
				t.Errorf("Decode(%q) = %v", text, err)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(note.Cursor{CreatedAt: time.UnixMicro(5), ID: id}))
	f.Add("MS41LjE")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Decode(text)
		if err != nil {
			if !errors.Is(err, &problem.Error{Code: problem.InvalidCursor}) {
				t.Fatalf("err = %v", err)
			}
			return
		}
		if again, err := Decode(Encode(c)); err != nil || again != c {
			t.Errorf("%q decodes to %v, and again to %v, %v", text, c, again, err)
		}
	})
}
