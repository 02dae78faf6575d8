package node

import (
	"fmt"
	"sort"
	"strings"
)

// Nearest returns the name in names that word is most likely a slip of: the
// one at the smallest edit distance, the first in alphabetical order among
// equals, "" when none is near (more than a third of the longer word differs).
func Nearest(word string, names []string) string {
	sorted := append([]string(nil), names...)
	sort.Strings(sorted)
	best, bestDistance := "", 0
	for _, name := range sorted {
		limit := max(len(word), len(name))/3 + 1
		d := distance(strings.ToLower(word), strings.ToLower(name), limit)
		if d <= limit && (best == "" || d < bestDistance) {
			best, bestDistance = name, d
		}
	}
	return best
}

// Suggest is the end of an error about an unknown word: the nearest valid name,
// or all of them when none is near and they are few.
func Suggest(word string, names []string) string {
	if near := Nearest(word, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	if len(names) == 0 || len(names) > 24 {
		return ""
	}
	sorted := append([]string(nil), names...)
	sort.Strings(sorted)
	return "; expected one of " + strings.Join(sorted, ", ")
}

// distance is the Damerau-Levenshtein distance with adjacent transpositions
// (optimal string alignment), in bytes; limit+1 when it is more than limit.
func distance(a, b string, limit int) int {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > limit || len(b) > 256 {
		return limit + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
