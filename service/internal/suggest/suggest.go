// Package suggest finds the word that somebody probably meant.
package suggest

// Nearest returns the candidate with the smallest edit distance to word, when
// that is at most most; ties go to the earlier candidate. One edit is a letter
// added, removed, changed, or swapped with its neighbour (the restricted
// Damerau-Levenshtein distance). Words of more than 64 bytes are nobody's typo:
// they match nothing.
func Nearest(word string, candidates []string, most int) (string, bool) {
	best, found := "", false
	for _, c := range candidates {
		if d := distance(word, c); d <= most {
			best, found, most = c, true, d-1
		}
	}
	return best, found
}

const maxWord = 64

func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord + 1
	}
	// Three rows of the usual table: a swap looks two rows back.
	var rows [3][maxWord + 1]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, up, upup := &rows[i%3], &rows[(i-1)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(up[j]+1, row[j-1]+1, up[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], upup[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
