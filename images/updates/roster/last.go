package roster

import (
	"cmp"
	"slices"
	"strings"

	"imgbuild/images/updates/life"
)

// mostEnds is how many ends of a key's records Last looks at.
const mostEnds = 16

// Last is the one of a key's own records to enter as its last: that which stands on
// the most of them, and how many of them that is, with itself. Its time, which whoever has the
// key may choose, says nothing. own has one at least, and records all that there are.
func Last(records, own []life.Signed) (last life.Signed, known int) {
	at := make(map[string]life.Signed, len(records))
	for _, r := range records {
		at[r.Digest] = r
	}
	// An end is what no other of them stands on.
	under := map[string]bool{}
	var next []string
	for _, r := range own {
		next = append(next, r.Record.After...)
	}
	for len(next) > 0 {
		digest := next[len(next)-1]
		next = next[:len(next)-1]
		if r, ok := at[digest]; ok && !under[digest] {
			under[digest] = true
			next = append(next, r.Record.After...)
		}
	}
	var ends []life.Signed
	for _, r := range own {
		if !under[r.Digest] {
			ends = append(ends, r)
		}
	}
	slices.SortFunc(ends, func(a, b life.Signed) int {
		return cmp.Or(a.Record.When.Compare(b.Record.When), strings.Compare(a.Digest, b.Digest))
	})
	for _, end := range ends[:min(mostEnds, len(ends))] {
		ancestry, n := life.Ancestry(records, end.Digest), 0
		for _, r := range own {
			if ancestry[r.Digest] {
				n++
			}
		}
		if n > known {
			last, known = end, n
		}
	}
	return last, known
}
