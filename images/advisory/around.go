package advisory

import (
	"slices"
	"strings"
)

// Around are the names of records and of vulnerabilities that stand next to a name in
// their order, most of each on either side, sorted: what somebody may have meant by one
// that nobody knows.
func (x *Index) Around(name string, most int) []string {
	var names []string
	for _, t := range []table{x.records, x.names} {
		at := t.atLeast(name)
		for i := max(0, at-most); i < min(t.n, at+most); i++ {
			part := t.part(i)
			if text := part.text(); !part.failed && text != "" {
				names = append(names, strings.Clone(text))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
