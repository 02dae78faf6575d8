package pipeline

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"imgbuild/builder"
	"imgbuild/images/advisory/ecosystem"
)

// Signal is a package of a lock of which a suite of security updates has a newer version:
// a reason to rebuild before an advisory says why.
type Signal struct {
	Package string `json:"package"`
	// Have is the version that the lock has, and Offered the one of the suite.
	Have    string `json:"have"`
	Offered string `json:"offered"`
	Suite   string `json:"suite"`
	// Since is when that was first seen here.
	Since time.Time `json:"since"`
}

func (s Signal) String() string {
	return fmt.Sprintf("%s has %s %s, its lock has %s", s.Suite, s.Package, s.Offered, s.Have)
}

// PlatformsOf are what locks are for, each once.
func PlatformsOf(lines []Line) []Platform {
	var list []Platform
	seen := map[Platform]bool{}
	for _, l := range lines {
		if p := l.platform(); !seen[p] {
			seen[p] = true
			list = append(list, p)
		}
	}
	return list
}

func (l Line) platform() Platform {
	return Platform{"Debian:" + ecosystem.DebianRelease(l.Lock.Suite), l.Lock.Architecture}
}

// Signals are the packages of locks that a suite of security updates has newer versions of,
// by what was read last. What was read too long ago is a gap; what was never read is not
// watched, which Sync has said.
func (r *Repositories) Signals(lines []Line) (map[At][]Signal, []Gap, error) {
	signals, known, gaps := map[At][]Signal{}, map[Platform]*Offers{}, []Gap(nil)
	for _, p := range PlatformsOf(lines) {
		offers, err := r.Offers(p)
		if err != nil {
			return nil, nil, err
		}
		if known[p] = offers; offers != nil {
			gaps = append(gaps, r.stale(offers)...)
		}
	}
	for _, l := range lines {
		p := l.platform()
		if known[p] == nil {
			continue
		}
		of, err := ecosystem.Of(p.Ecosystem)
		if err != nil {
			return nil, nil, err
		}
		at := At{l.Recipe.Name, l.Recipe.Architecture}
		for _, have := range builder.Installed(l.Lock) {
			offer := known[p].Packages[have.Name]
			version := offer.security()
			if version == "" || have.Foreign != "" || !of.Order.Valid(have.Version) || of.Order.Compare(have.Version, version) >= 0 {
				continue
			}
			signals[at] = append(signals[at], Signal{
				Package: have.Name, Have: have.Version, Offered: version, Suite: codenameOf(p) + securitySuite, Since: offer.Since,
			})
		}
	}
	return signals, gaps, nil
}

// stale is the gap of what was read too long ago.
func (r *Repositories) stale(o *Offers) []Gap {
	if r.Now().Sub(o.Read) <= cmp.Or(r.Stale, offersStale) {
		return nil
	}
	return []Gap{{
		Where: "repository of " + o.Ecosystem, Why: fmt.Sprintf("it was last read on %s", o.Read.UTC().Format("2006-01-02 15:04")),
		Mend: "read it again: imgbuild advisories sync",
	}}
}

// securitySuite is how the names of suites of security updates end.
const securitySuite = "-security"

// security is the newest version in the suite of security updates, or "".
func (o *Offer) security() string {
	if strings.HasSuffix(o.Suite, securitySuite) {
		return o.Version
	}
	return o.Secured
}
