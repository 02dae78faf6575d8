package pipeline

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/images/advisory/eol"
)

// Platform is a release of a distribution that images are made of.
type Platform struct {
	// Ecosystem is its name as package ecosystem has it: "Debian:12".
	Ecosystem    string `json:"ecosystem"`
	Architecture string `json:"architecture"`
}

// binaries are the packages of a platform by name and version.
type binaries map[string]map[string]*binary

// binary is one of them: what it was built from, and the images that have it.
type binary struct {
	source, sourceVersion string
	images                []string
}

// Platforms are those that the images are made of, in order.
func (a *Answer) Platforms() []Platform {
	var list []Platform
	for p := range a.installed {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Platform) int {
		return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Architecture, b.Architecture))
	})
	return list
}

// note notes what an output is made of. Of packages for all architectures those
// beside them tell which it is.
func (a *Answer) note(o *output) {
	architecture := ""
	for i := range o.Packages {
		if arch := o.Packages[i].Architecture; arch != "" && arch != "all" {
			architecture = arch
			break
		}
	}
	for i := range o.Packages {
		p := &o.Packages[i]
		if p.Ecosystem == "" || p.Problem != "" || p.Foreign != "" { // another's package is in no repository of the release
			continue
		}
		of := Platform{p.Ecosystem, architecture}
		if a.installed == nil {
			a.installed = map[Platform]binaries{}
		}
		if a.installed[of] == nil {
			a.installed[of] = binaries{}
		}
		versions := a.installed[of][p.Name]
		if versions == nil {
			versions = map[string]*binary{}
			a.installed[of][p.Name] = versions
		}
		have := versions[p.Version]
		if have == nil {
			have = &binary{source: p.Source, sourceVersion: p.SourceVersion}
			versions[p.Version] = have
		}
		if n := len(have.images); n == 0 || have.images[n-1] != o.Image {
			have.images = append(have.images, o.Image)
		}
	}
}

// Support is until when a release gets security fixes.
type Support struct {
	Release string    `json:"release"`
	Level   eol.Level `json:"level"`
	Ends    time.Time `json:"ends,omitzero"`
	Days    int       `json:"days"`
	Reason  string    `json:"reason"`
}

// Urgent says that servers have to be replaced now, or are out of support.
func (s *Support) Urgent() bool { return s.Level == eol.Alarm || s.Level == eol.Unsupported }

// Supported says until when the releases that images are made of get security
// fixes. That one gets none any more is a gap as well: nobody says then what it has.
func (a *Answer) Supported(facts *feeds.Facts, now time.Time) []Support {
	var list []Support
	seen := map[string]bool{}
	for _, p := range a.Platforms() {
		if seen[p.Ecosystem] {
			continue
		}
		seen[p.Ecosystem] = true
		s := supportOf(p, facts, now)
		if s.Level == eol.Unsupported {
			a.Gaps = append(a.Gaps, Gap{
				Where: p.Ecosystem, Why: s.Reason + ": vulnerabilities of it are not looked for any more", Mend: "bake from a baseline of a later release",
			})
		}
		list = append(list, s)
	}
	return list
}

func supportOf(p Platform, facts *feeds.Facts, now time.Time) Support {
	s := facts.SupportOf(p.Ecosystem, now)
	return Support{Release: p.Ecosystem, Level: s.Level, Ends: s.Ends, Days: s.Days, Reason: s.Reason}
}
