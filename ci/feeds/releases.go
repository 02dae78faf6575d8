package feeds

import (
	"slices"
	"strings"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
)

// releases are the systems that a feed is to speak of, as package ecosystem names
// them; none means all. A feed of a distributor that speaks of all that it ever made is
// larger than what is held in memory at once.
type releases []string

// only gives on what records say of the releases, and nothing of those that speak of
// others alone. What is left out is read like the rest, so that a feed has as many
// records as its source, and one that cannot be read is noticed.
func (r releases) only(each func(*advisory.Record) error) func(*advisory.Record) error {
	if len(r) == 0 {
		return each
	}
	return func(record *advisory.Record) error {
		if len(record.Affected) == 0 {
			return each(record)
		}
		kept := slices.DeleteFunc(slices.Clone(record.Affected), func(a advisory.Affected) bool { return !r.has(a.Ecosystem) })
		if len(kept) == 0 {
			return nil
		}
		narrowed := *record
		narrowed.Affected = kept
		return each(&narrowed)
	}
}

// has tells whether an ecosystem is one of the releases, or of all of one of their
// distributions.
func (r releases) has(name string) bool {
	name = ecosystem.Release(name)
	return slices.ContainsFunc(r, func(wanted string) bool {
		wanted = ecosystem.Release(wanted)
		distribution, _, _ := strings.Cut(wanted, ":")
		return name == wanted || name == distribution || strings.HasPrefix(name, wanted+":")
	})
}

// check refuses what is no release of a system whose versions are understood.
func (r releases) check() (wrong string, err error) {
	for _, name := range r {
		if _, err := ecosystem.Of(name); err != nil {
			return name, err
		}
	}
	return "", nil
}
