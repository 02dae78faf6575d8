package life

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// order sorts records so that each comes after those that it names as known, and
// returns those that none names, as spread has them.
func order(records []Signed) (sorted []Signed, heads []string, err error) {
	at := make(map[string]*Signed, len(records))
	for i := range records {
		at[records[i].Digest] = &records[i]
	}
	waits := make(map[string]int, len(at))
	standing := map[string][]string{}
	for digest, r := range at {
		for _, known := range unique(r.Record.After) {
			if at[known] == nil {
				return nil, nil, fault.Worldf("reading the records of updates: %s stands on record %s, which is not there: it was taken away", short(digest), short(known)).
					WithHint("bring it back, by a backup or by importing the archive that has it; without it, states cannot be told")
			}
			waits[digest]++
			standing[known] = append(standing[known], digest)
		}
	}
	ready := &earliest{} // those that wait for none
	for digest, r := range at {
		if waits[digest] == 0 {
			heap.Push(ready, r)
		}
	}
	for ready.Len() > 0 {
		r := heap.Pop(ready).(*Signed)
		sorted = append(sorted, *r)
		for _, digest := range standing[r.Digest] {
			if waits[digest]--; waits[digest] == 0 {
				heap.Push(ready, at[digest])
			}
		}
	}
	if len(sorted) < len(at) {
		// Digests of each other cannot be made; the caller gave names that are none.
		return nil, nil, fault.Worldf("reading the records of updates: some name each other as known")
	}
	for digest := range at {
		if len(standing[digest]) == 0 {
			heads = append(heads, digest)
		}
	}
	return sorted, spread(heads, at), nil
}

// earliest is a heap (container/heap) of records, the earliest first.
type earliest []*Signed

func (h earliest) Len() int           { return len(h) }
func (h earliest) Less(i, j int) bool { return later(h[j], h[i]) < 0 }
func (h earliest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *earliest) Push(r any)        { *h = append(*h, r.(*Signed)) }

func (h *earliest) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// spread sorts heads so that the newest of each key come first, then the second of
// each: no key that signs many keeps others' from being named where not all can be.
func spread(heads []string, at map[string]*Signed) []string {
	slices.SortFunc(heads, func(a, b string) int { return later(at[a], at[b]) })
	rank, of := map[string]int{}, map[string]int{}
	for _, digest := range heads {
		key := at[digest].By.Key
		rank[digest] = of[key]
		of[key]++
	}
	slices.SortFunc(heads, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank[a], rank[b]), strings.Compare(a, b))
	})
	return heads
}

// Ancestry is a record and all that it stands on, by digest.
func Ancestry(records []Signed, digest string) map[string]bool {
	at := make(map[string]*Record, len(records))
	for _, r := range records {
		at[r.Digest] = r.Record
	}
	known := map[string]bool{}
	if at[digest] == nil {
		return known
	}
	known[digest] = true
	for next := []string{digest}; len(next) > 0; {
		last := next[len(next)-1]
		next = next[:len(next)-1]
		for _, d := range at[last].After {
			if at[d] != nil && !known[d] {
				known[d] = true
				next = append(next, d)
			}
		}
	}
	return known
}

func unique(list []string) []string {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// later sorts the latest record first; of one time, the greatest digest.
func later(a, b *Signed) int {
	return cmp.Or(b.Record.When.Compare(a.Record.When), strings.Compare(b.Digest, a.Digest))
}
