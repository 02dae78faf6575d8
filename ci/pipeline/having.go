package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/advisory/applies"
	"imgbuild/images/baseline"
)

// At is a baseline for one architecture.
type At struct{ Baseline, Architecture string }

func (at At) String() string {
	if at.Architecture == "" {
		return at.Baseline
	}
	return at.Baseline + " (" + at.Architecture + ")"
}

// Having is an image that has a vulnerability.
type Having struct {
	Image, Digest, Vulnerability string
	// Fixed is the version that is without it; empty where there is none yet.
	Fixed string
}

func (h Having) String() string { return fmt.Sprintf("its image %s has %s", h.Image, h.Vulnerability) }

// Havings are the images that have what is looked for, by what they are of. Those of which
// the catalog does not say for which architecture they are count for all.
type Havings map[At][]Having

// Note notes the images that have a vulnerability.
func (h Havings) Note(c *Concern) {
	for _, p := range c.Places {
		if p.State == applies.Affected {
			at := At{p.baseline, p.architecture}
			h[at] = append(h[at], Having{Image: p.Image, Digest: p.Digest, Vulnerability: c.ID, Fixed: p.Fixed})
		}
	}
}

// of are the images that a recipe's lock is responsible for.
func (h Havings) of(recipe *baseline.Recipe) []Having {
	return slices.Concat(h[At{recipe.Name, recipe.Architecture}], h[At{Baseline: recipe.Name}])
}

// Unlocked are the baselines of which images have what is looked for, and no line is there
// to rebuild.
func (h Havings) Unlocked(lines []Line) []Gap {
	var gaps []Gap
	for _, at := range slices.SortedFunc(maps.Keys(h), func(a, b At) int {
		return cmp.Or(strings.Compare(a.Baseline, b.Baseline), strings.Compare(a.Architecture, b.Architecture))
	}) {
		if !slices.ContainsFunc(lines, func(l Line) bool {
			return l.Recipe.Name == at.Baseline && (at.Architecture == "" || l.Recipe.Architecture == at.Architecture)
		}) {
			gaps = append(gaps, Gap{
				Where: at.String(), Why: h[at][0].String() + ", and no lock that can be read here is of that baseline and architecture",
				Mend: "lock it here, or take its images out of channels and the catalog", baseline: at.Baseline,
			})
		}
	}
	return gaps
}
