package custody

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/provenance"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// Needs are the files that somebody needs. The zero value has none.
type Needs struct {
	bySum map[string]*Need
	// Unknown says of what it could not be told what it needs, in words.
	Unknown []string
}

// mostBy is how many of those who need a file are named.
const mostBy = 100

// Need is one needed file.
type Need struct {
	SHA256 string
	// Name is the package's, with its version where that is known.
	Name string
	// By names who needs it, the first hundred: "lock debian-12-nginx", "image debian-12-nginx:…".
	By []string
	// locked is what a lock says of it, with the lock; without one nobody knows
	// where it comes from.
	locked *updates.Package
	lock   *updates.Lock
	// waiting is true when only updates that a lock may take need it: they may have
	// been fetched or not.
	waiting bool
}

func (n *Needs) add(sum, name, by string) *Need {
	if n.bySum == nil {
		n.bySum = map[string]*Need{}
	}
	need := n.bySum[sum]
	if need == nil {
		need = &Need{SHA256: sum, Name: name, waiting: true}
		n.bySum[sum] = need
	}
	if len(need.By) < mostBy && !slices.Contains(need.By, by) {
		need.By = append(need.By, by)
	}
	return need
}

// AddLock adds the packages of a lock.
func (n *Needs) AddLock(name string, l *updates.Lock) {
	for i := range l.Packages {
		p := &l.Packages[i]
		need := n.add(p.SHA256, p.Name+" "+p.Version, "lock "+name)
		need.Name, need.locked, need.lock, need.waiting = p.Name+" "+p.Version, p, l, false
	}
}

// AddCatalog adds what every version of a catalog was baked from, by its signed
// provenance. Of a version that is damaged, or whose provenance cannot be
// believed, it is not known.
func (n *Needs) AddCatalog(ctx context.Context, c *catalog.Catalog, trust signing.Trust) error {
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return err
	}
	remembered, err := c.Remembered()
	if err != nil {
		return err
	}
	for _, baseline := range remembered {
		if !slices.Contains(baselines, baseline) {
			n.Unknown = append(n.Unknown, fmt.Sprintf("the catalog has shown %s here before, and shows it no more: it was lost, or its place cannot be reached", baseline))
		}
	}
	for _, baseline := range baselines {
		versions, damaged, err := c.ListAll(ctx, baseline)
		if err != nil {
			return err
		}
		for _, d := range damaged {
			n.Unknown = append(n.Unknown, fmt.Sprintf("image %s:%s is damaged: %s", d.Baseline, d.Number, d.Reason()))
		}
		for _, v := range versions {
			err := n.addVersion(ctx, c, v, trust)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				n.Unknown = append(n.Unknown, fmt.Sprintf("image %s: %s", v.Ref(), err))
			}
		}
	}
	return nil
}

func (n *Needs) addVersion(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) error {
	statements, err := evidence.Statements(ctx, c, v, trust, signing.PredicateProvenance)
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		return fault.Worldf("nothing signed says what it was baked from")
	}
	for _, s := range statements {
		p, err := provenance.Parse(s.Predicate)
		if err != nil {
			return err
		}
		for _, input := range p.Inputs(provenance.Package) {
			n.add(strings.ToLower(input.Digest["sha256"]), input.Name, "image "+v.Ref()).waiting = false
		}
	}
	return nil
}

// Digests are those of all files that are needed.
func (n *Needs) Digests() map[string]bool {
	sums := map[string]bool{}
	for sum := range n.bySum {
		sums[sum] = true
	}
	return sums
}

// all are the needs by digest, in its order.
func (n *Needs) all() []*Need {
	var out []*Need
	for _, sum := range slices.Sorted(maps.Keys(n.bySum)) {
		out = append(out, n.bySum[sum])
	}
	return out
}
