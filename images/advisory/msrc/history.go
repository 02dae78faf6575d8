package msrc

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory/ecosystem/buildversion"
)

// maxUpdates is how many updates a product may have: one a month of each of some
// kinds would take thirty years. What is asked takes time by its square.
const maxUpdates = 1_000

// History is what the documents of some months say together, by product.
type History struct {
	documents []*Document
	// products are by id; names lead to ids.
	products map[string]*product
	names    map[string]string
}

// product is one product with its updates.
type product struct {
	Product
	updates map[string]*update
	// branch is what most of the builds of Windows itself begin with; empty for
	// other products, which may have several.
	branch string
	// statements are what is said of its vulnerabilities, in the order of months.
	statements []statement
	lines      []*line
}

// statement is what one document says of one vulnerability in one product.
type statement struct {
	month    Month
	of       *Vulnerability
	affected bool
	fixes    []*update
	// others are fixes that are no update with a number.
	others []*Fix
}

// update is one update for one product.
type update struct {
	kb string
	// build is the one that most fixes name, of all of builds.
	build   string
	builds  map[string]int
	kind    Kind
	restart string
	// supersedes are the updates that any document says it replaces.
	supersedes map[string]bool
	// counts are how many vulnerabilities of a month it mends.
	counts map[Month]int
	first  Month
	line   *line
}

// NewHistory puts documents together. They may come in any order, and months
// may be missing; the same document twice is an error.
func NewHistory(documents []*Document) (*History, error) {
	if len(documents) == 0 {
		return nil, fmt.Errorf("putting MSRC documents together: there is none")
	}
	h := &History{products: map[string]*product{}, names: map[string]string{}}
	h.documents = slices.SortedFunc(slices.Values(documents), func(a, b *Document) int {
		return cmp.Or(cmp.Compare(a.Month, b.Month), cmp.Compare(a.ID, b.ID))
	})
	weight := 0
	for i, d := range h.documents {
		if weight += d.Weight(); weight > MaxWeight {
			return nil, fmt.Errorf("putting MSRC documents together: they refer to products more than %d times", MaxWeight)
		}
		if i > 0 && d.ID == h.documents[i-1].ID {
			return nil, fmt.Errorf("putting MSRC documents together: %s is there twice", d.ID)
		}
		if err := h.add(d); err != nil {
			return nil, fmt.Errorf("putting MSRC documents together: %s: %w", d.ID, err)
		}
	}
	for _, p := range h.products {
		p.order()
	}
	return h, nil
}

// Months are those of the documents, in order.
func (h *History) Months() []Month {
	var list []Month
	for _, d := range h.documents {
		if len(list) == 0 || list[len(list)-1] != d.Month {
			list = append(list, d.Month)
		}
	}
	return list
}

func (h *History) add(d *Document) error {
	for _, p := range d.Products {
		if known := h.products[p.ID]; known == nil {
			h.products[p.ID] = &product{Product: p, updates: map[string]*update{}}
		} else {
			// The newest document names it.
			known.Name, known.Family = p.Name, cmp.Or(p.Family, known.Family)
		}
		h.names[p.Name] = p.ID
	}
	for i := range d.Vulnerabilities {
		v := &d.Vulnerabilities[i]
		said := map[string]*statement{}
		of := func(id string) *statement {
			if said[id] == nil {
				said[id] = &statement{month: d.Month, of: v}
			}
			return said[id]
		}
		for _, id := range v.Affected {
			of(id).affected = true
		}
		for _, f := range v.Fixes {
			for _, id := range f.Products {
				s := of(id)
				s.affected = true
				if f.KB == "" {
					s.others = append(s.others, &f)
				} else if u := h.products[id].update(&f, d.Month); !slices.Contains(s.fixes, u) {
					u.counts[d.Month]++
					s.fixes = append(s.fixes, u)
				}
				if p := h.products[id]; len(p.updates) > maxUpdates {
					return fmt.Errorf("%s has more than %d updates", p.Name, maxUpdates)
				}
			}
		}
		for _, id := range v.NotAffected {
			of(id)
		}
		for id, s := range said {
			h.products[id].statements = append(h.products[id].statements, *s)
		}
	}
	return nil
}

// update is the product's update of a fix.
func (p *product) update(f *Fix, month Month) *update {
	u := p.updates[f.KB]
	if u == nil {
		u = &update{kb: f.KB, kind: f.Kind, restart: f.Restart, builds: map[string]int{}, supersedes: map[string]bool{}, counts: map[Month]int{}, first: month}
		p.updates[f.KB] = u
	}
	// Documents have slips: a build of another release, of one vulnerability out
	// of a hundred.
	if f.Build != "" {
		u.builds[f.Build]++
	}
	if f.Build != u.build {
		switch n := u.builds[f.Build] - u.builds[u.build]; {
		case !buildversion.Valid(f.Build):
		case !buildversion.Valid(u.build), n > 0, n == 0 && buildversion.Compare(f.Build, u.build) > 0:
			u.build = f.Build
		}
	}
	if u.kind == OtherKind {
		u.kind = f.Kind
	}
	u.restart = cmp.Or(u.restart, f.Restart)
	for _, kb := range f.Supersedes {
		if kb != f.KB {
			u.supersedes[kb] = true
		}
	}
	return u
}

// find is the product of a name, with its components: what is mended by itself
// on it.
func (h *History) find(name string) (*product, []*product, error) {
	id, ok := h.names[name]
	if !ok {
		return nil, nil, fmt.Errorf("no document lists a product %.80q: the names are Microsoft's, such as %q", name, h.nearest(name))
	}
	var parts []*product
	for _, other := range slices.Sorted(maps.Keys(h.products)) {
		if strings.HasSuffix(other, "-"+id) {
			parts = append(parts, h.products[other])
		}
	}
	return h.products[id], parts, nil
}

// nearest is the name of a product that shares most words with another.
func (h *History) nearest(name string) string {
	words := strings.Fields(strings.ToLower(name))
	best, score := "", -1
	for _, other := range slices.Sorted(maps.Keys(h.names)) {
		n := 0
		for _, w := range words {
			if slices.Contains(strings.Fields(strings.ToLower(other)), w) {
				n++
			}
		}
		if n > score || n == score && len(other) < len(best) {
			best, score = other, n
		}
	}
	return best
}
