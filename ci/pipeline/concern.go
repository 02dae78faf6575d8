package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/applies"
	"imgbuild/images/control"
)

// Concern is one vulnerability, however many sources name it, and where it is.
type Concern struct {
	// ID is the CVE where it has one.
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"`
	// Severity is the worst that a source says; empty when none does, which is not
	// the least.
	Severity control.Severity `json:"severity,omitempty"`
	Threat
	// State is the worst of all places, and Said what the distributor thinks of it
	// there.
	State applies.State  `json:"state"`
	Said  advisory.State `json:"said,omitempty"`
	// Packages are the source packages that have it, Fixed the versions that are
	// without it, and Advisories what says so; those of a distributor come first.
	Packages   []string `json:"packages,omitempty"`
	Fixed      []string `json:"fixed,omitempty"`
	Advisories []string `json:"advisories,omitempty"`
	Places     []Place  `json:"places"`
}

// Threat is what is known of a vulnerability's use.
type Threat struct {
	// Exploited is what CISA's catalogue says; nil when it does not list it.
	Exploited *Exploited `json:"exploited,omitempty"`
	// EPSS is the probability of being exploited in the next 30 days, from 0 to 1;
	// nil when nobody has estimated it, which is not the least.
	EPSS *float64 `json:"epss,omitempty"`
}

// Exploited is an entry of the catalogue of exploited vulnerabilities.
type Exploited struct {
	Since time.Time `json:"since"`
	// Due is until when American agencies have to act.
	Due        time.Time `json:"due,omitzero"`
	Ransomware bool      `json:"ransomware,omitempty"`
}

// Place is an output of an image, and what it has to do with a vulnerability.
type Place struct {
	Image    string         `json:"image"`
	Digest   string         `json:"digest"`
	Channels []string       `json:"channels,omitempty"`
	Output   control.Output `json:"output"`
	State    applies.State  `json:"state"`
	Reason   string         `json:"reason"`
	// Package and Version are of the source package that has it most, Binaries what
	// is there of it, and Fixed the first version that is without it.
	Package  string   `json:"package,omitempty"`
	Version  string   `json:"version,omitempty"`
	Binaries []string `json:"binaries,omitempty"`
	Fixed    string   `json:"fixed,omitempty"`
	Waiver   string   `json:"waiver,omitempty"`

	said                   advisory.State
	baseline, architecture string
}

// Open says that somebody has to look at it: it is there, nobody has accepted it,
// and its distributor has not dismissed it, or it is exploited.
func (c *Concern) Open() bool {
	return c.State == applies.Affected && (c.Exploited != nil || c.Said == "" || c.Said == advisory.StateAffected || c.Said == advisory.StateUndetermined)
}

// add notes a place, and makes the concern as bad as that.
func (c *Concern) add(p Place, advisories []string) {
	c.Places = append(c.Places, p)
	if len(c.Places) == 1 || p.State.Before(c.State) {
		c.State, c.Said = p.State, p.said
	} else if p.State == c.State && p.said.Before(c.Said) {
		c.Said = p.said
	}
	if p.State != applies.Affected && p.State != applies.Waived {
		return
	}
	c.Packages, c.Fixed = with(c.Packages, p.Package), with(c.Fixed, p.Fixed)
	for _, id := range advisories {
		if id != c.ID {
			c.Advisories = with(c.Advisories, id)
		}
	}
}

// with is a list that has a word, unless that is none.
func with(list []string, word string) []string {
	if word == "" || slices.Contains(list, word) {
		return list
	}
	return append(list, word)
}

// steps are the probabilities between which EPSS says no more than severity does:
// its estimates are no more exact than that.
var steps = []float64{0.5, 0.1, 0.01}

// step is in which step a probability is, from the worst. One that nobody has
// estimated is above the least.
func (t *Threat) step() int {
	if t.EPSS == nil {
		return len(steps) - 1
	}
	for i, least := range steps {
		if *t.EPSS >= least {
			return i
		}
	}
	return len(steps)
}

// ranks are severities from the worst; what nobody has rated is above medium.
var ranks = []control.Severity{control.Critical, control.High, "", control.Medium, control.Low}

// compare sorts the worst first: what is exploited, what is likely to be, what is
// severe.
func (c *Concern) compare(o *Concern) int {
	first := func(yes bool) int {
		if yes {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(first(c.State == applies.Affected), first(o.State == applies.Affected)),
		cmp.Compare(first(c.Exploited != nil), first(o.Exploited != nil)),
		cmp.Compare(first(c.Open()), first(o.Open())),
		cmp.Compare(c.step(), o.step()),
		cmp.Compare(slices.Index(ranks, c.Severity), slices.Index(ranks, o.Severity)),
		-cmp.Compare(c.probability(), o.probability()),
		strings.Compare(o.ID, c.ID), // the newest is what may be news
	)
}

func (t *Threat) probability() float64 {
	if t.EPSS == nil {
		return 0
	}
	return *t.EPSS
}

// AtLeast says whether it is of a severity or above. One that nobody has rated is.
func (c *Concern) AtLeast(least control.Severity) bool {
	return least == "" || c.Severity == "" || c.Severity.AtLeast(least)
}

// Images are those that have it, by name, in the order of the places.
func (c *Concern) Images() []string {
	var names []string
	for _, p := range c.Places {
		if (p.State == applies.Affected || p.State == applies.Waived) && !slices.Contains(names, p.Image) {
			names = append(names, p.Image)
		}
	}
	return names
}
