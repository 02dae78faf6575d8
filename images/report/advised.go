package report

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Advised is what the packages of a target were held against. A report without it
// says nothing of vulnerabilities: nobody looked.
type Advised struct {
	// Feeds are those that were asked, in the order in which they are listed.
	Feeds []Feed `json:"feeds"`
	// Packages is how many of the target were held against them.
	Packages int `json:"packages"`
	// Unjudged are packages of which it cannot be told what concerns them.
	Unjudged []UnjudgedPackage `json:"unjudged,omitempty"`
	// Accepted are those of which the recipe accepts that no advisory speaks.
	Accepted []UnjudgedPackage `json:"accepted,omitempty"`
}

// accepted names the first of those that are accepted.
func (a *Advised) accepted() string {
	var names []string
	for _, p := range a.Accepted[:min(len(a.Accepted), shown)] {
		names = append(names, p.Package)
	}
	if more := len(a.Accepted) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// NotLooked is what is said of a report without it.
const NotLooked = "CVEs were not looked at: no feed is watched; add one: imgbuild feeds add osv-debian"

// Feed is one source of advisories, as it was when it was asked.
type Feed struct {
	Name string `json:"name"`
	// Kind is such as "osv", and Says what it speaks of.
	Kind string `json:"kind"`
	Says Says   `json:"says"`
	// Digest is the SHA-256 of what is kept of it; empty when nothing is.
	Digest  string `json:"digest,omitempty"`
	Records int    `json:"records"`
	// Read is when its source was last known to have that, and AsOf the newest date
	// in it; zero where it is not known.
	Read time.Time `json:"read,omitzero"`
	AsOf time.Time `json:"as_of,omitzero"`
	// FreshBefore is the first moment at which it is too old to be relied on; zero
	// of a file that somebody gave, which nobody watches.
	FreshBefore time.Time `json:"fresh_before,omitzero"`
	// Alarms are why it could not be relied on: what it did not say was no fact.
	Alarms []Alarm `json:"alarms,omitempty"`
}

// Alarm is why a feed cannot be relied on, and what can be done about it.
type Alarm struct {
	// What is a word for its sort, such as Stale.
	What   string `json:"what"`
	Reason string `json:"reason"`
	Mend   string `json:"mend"`
}

// Stale is the sort of alarm about a feed that says nothing wrong, but said it too long
// ago.
const Stale = "stale"

// Says is what a feed speaks of.
type Says string

// What feeds speak of.
const (
	// OfPackages is which versions have which vulnerabilities.
	OfPackages Says = "packages"
	// OfAdvisories is what a distributor has mended, and nothing of what it has not.
	OfAdvisories Says = "advisories"
	// OfExploits is which vulnerabilities are known to be exploited.
	OfExploits Says = "exploits"
	// OfLikelihood is how likely it is that one will be.
	OfLikelihood Says = "likelihood"
	// OfSupport is until when systems get security fixes. Without it that is not known,
	// which is no lack.
	OfSupport Says = "support"
)

// UnjudgedPackage is one of which it cannot be told what concerns it.
type UnjudgedPackage struct {
	Package string `json:"package"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason"`
}

func (u UnjudgedPackage) String() string {
	return strings.TrimSpace(u.Package+" "+u.Version) + ": " + u.Reason
}

// Unclear says of which packages it cannot be told what they have, and why: those that
// are many for one reason together, in the order of the first of each.
func (a *Advised) Unclear() []string {
	by := map[string][]UnjudgedPackage{}
	var order, list []string
	for _, p := range a.Unjudged {
		if by[p.Reason] == nil {
			order = append(order, p.Reason)
		}
		by[p.Reason] = append(by[p.Reason], p)
	}
	for _, reason := range order {
		some := by[reason]
		if len(some) > together {
			list = append(list, fmt.Sprintf("%d packages, such as %s: %s", len(some), strings.TrimSpace(some[0].Package+" "+some[0].Version), reason))
			continue
		}
		for _, p := range some {
			list = append(list, p.String())
		}
	}
	return list
}

// together is from how many packages on they are told as one.
const together = 2

// Lack is why it is no fact that the feeds say nothing.
type Lack struct {
	// Reason says in words why, and Mend what can be done about it.
	Reason, Mend string
	// Aged is that it was a fact when they were asked, and is too old by now.
	Aged bool
}

func (l Lack) String() string {
	if l.Mend == "" {
		return l.Reason
	}
	return l.Reason + "; " + l.Mend
}

// Lacks is why it is no fact at a moment that the feeds of a kind say nothing:
// there is none, one was in alarm, one has grown old since. Nil is that it is a
// fact.
func (a *Advised) Lacks(says Says, now time.Time) []Lack {
	var lacks []Lack
	found := false
	for _, f := range a.feeds() {
		// Advisories are part of what is known of packages, and never all of it.
		if f.Says != says && (says != OfPackages || f.Says != OfAdvisories) {
			continue
		}
		found = found || f.Says == says
		for _, alarm := range f.Alarms {
			lacks = append(lacks, Lack{Reason: fmt.Sprintf("the feed %s cannot be relied on: %s", f.Name, alarm.Reason), Mend: alarm.Mend, Aged: alarm.What == Stale})
		}
		if len(f.Alarms) == 0 && !f.FreshBefore.IsZero() && !now.Before(f.FreshBefore) {
			lacks = append(lacks, Lack{
				Reason: fmt.Sprintf("it was held against the feed %s of %s, which is too old since %s", f.Name, minute(f.Read), minute(f.FreshBefore)),
				Mend:   "scan it again with newer ones", Aged: true,
			})
		}
	}
	if !found {
		lacks = append(lacks, missing[says])
	}
	return lacks
}

func (a *Advised) feeds() []Feed {
	if a == nil {
		return nil
	}
	return a.Feeds
}

var missing = map[Says]Lack{
	OfPackages:   {Reason: "no feed of vulnerabilities is watched", Mend: "add one: imgbuild feeds add osv-debian"},
	OfExploits:   {Reason: "no feed says what is exploited", Mend: "add one: imgbuild feeds add kev"},
	OfLikelihood: {Reason: "no feed says how likely it is that something will be exploited", Mend: "add one: imgbuild feeds add epss"},
}

// Answers tells whether asking the feeds that there are now would say nothing
// else: there are none, or they are the very same, and not grown old since.
func (a *Advised) Answers(feeds []Feed, now time.Time) bool {
	return len(feeds) == 0 || slices.EqualFunc(a.feeds(), feeds, func(was, is Feed) bool {
		alike := func(a, b Alarm) bool { return a.What == b.What }
		aged := !now.Before(was.FreshBefore) && !was.FreshBefore.Equal(is.FreshBefore)
		return was.Name == is.Name && was.Kind == is.Kind && was.Digest == is.Digest && slices.EqualFunc(was.Alarms, is.Alarms, alike) && !aged
	})
}

// Has tells whether there is a feed that speaks of something.
func (a *Advised) Has(says Says) bool {
	return slices.ContainsFunc(a.feeds(), func(f Feed) bool { return f.Says == says })
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
