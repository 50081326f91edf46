package suggest

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	names := []string{"DATABASE_URL", "REDIS_URL", "HTTP_ADDR"}
	for _, tc := range []struct{ fact, word, want string }{
		{"a letter that is missing", "DATABSE_URL", "DATABASE_URL"},
		{"a letter too many", "HTTP_ADDDR", "HTTP_ADDR"},
		{"two letters swapped count once", "REDSI_URL", "REDIS_URL"},
		{"the word itself", "HTTP_ADDR", "HTTP_ADDR"},
		{"a word that is too far has no suggestion", "KAFKA", ""},
		{"a word that is too long has no suggestion", strings.Repeat("A", 1000), ""},
		{"an empty word has no suggestion", "", ""},
	} {
		t.Run(tc.fact, func(t *testing.T) {
			got, ok := Nearest(tc.word, names, 2)
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("Nearest(%q) = %q, %v; want %q", tc.word, got, ok, tc.want)
			}
		})
	}
	t.Run("the distance of a swap is one", func(t *testing.T) {
		if d := distance("ab", "ba"); d != 1 {
			t.Errorf("distance = %d, want 1", d)
		}
	})
	t.Run("the distance is the same both ways", func(t *testing.T) {
		for _, p := range [][2]string{{"kitten", "sitting"}, {"note", "notes"}, {"", "abc"}, {"ca", "abc"}} {
			if a, b := distance(p[0], p[1]), distance(p[1], p[0]); a != b {
				t.Errorf("distance(%q, %q) = %d, the other way %d", p[0], p[1], a, b)
			}
		}
	})
}
