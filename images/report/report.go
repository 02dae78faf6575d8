// Package report is what a scan found of a finished output, and how that is
// written: as a table for a terminal, as SARIF 2.1.0, as JUnit XML, and as one
// page for a browser. It looks at nothing itself and decides nothing.
package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"imgbuild/images/control"
	"imgbuild/images/integrity"
)

// Report is what was found.
type Report struct {
	// Target is what was scanned, as its user calls it.
	Target string `json:"target"`
	// Baseline is empty when it is not known.
	Baseline string `json:"baseline,omitempty"`
	// For is the customer or fleet whose waivers were applied too; empty when
	// it is nobody's in particular.
	For control.Scope `json:"for,omitempty"`
	At  time.Time     `json:"at"`
	// Files is how many the tree has.
	Files int `json:"files"`
	*control.Report
	// Checks are what was looked at, where that is not all; then it is narrowed.
	Checks []Check `json:"checks,omitempty"`
	// Unseen are parts of the target that were not looked at.
	Unseen []string `json:"unseen,omitempty"`
	// Compared says that the integrity manifest was known, Drift is what
	// differs from it.
	Compared bool                   `json:"compared"`
	Drift    []integrity.Difference `json:"drift"`
	// Live says that it is of a server that runs: what must not lie in an image
	// was not looked for, since a server has logs, keys and homes.
	Live bool `json:"live,omitempty"`
	// Strays are what must not lie in an image.
	Strays []Stray `json:"strays"`
	// Advised is what its packages were held against, nil when they were not; then
	// Vulnerabilities are those that they have, the worst first, and not nil.
	Advised         *Advised        `json:"advised,omitempty"`
	Vulnerabilities []Vulnerability `json:"vulnerabilities,omitzero"`
	// Opinion is what another engine said; nil when none was asked.
	Opinion *Opinion `json:"second_opinion,omitempty"`
	// Trial is how it behaved when it was started; nil when it was not.
	Trial *Trial `json:"trial,omitempty"`
}

// Check is one of the things that a scan looks at.
type Check string

// What a scan looks at.
const (
	// Controls are the benchmarks' controls, with a second opinion of them.
	Controls Check = "controls"
	// CVEs are the vulnerabilities of the packages.
	CVEs Check = "cves"
	// Integrity is whether every file is what was baked.
	Integrity Check = "integrity"
	// Hygiene is what must not lie in an image.
	Hygiene Check = "hygiene"
)

// Checks are all things that a scan looks at.
func Checks() []Check { return []Check{Controls, CVEs, Integrity, Hygiene} }

// Looked tells whether a thing was looked at.
func (r *Report) Looked(at Check) bool { return len(r.Checks) == 0 || slices.Contains(r.Checks, at) }

// InNumbers is how much was looked at, in a few words.
func (r *Report) InNumbers() string {
	var list []string
	if r.Looked(Controls) {
		list = append(list, fmt.Sprintf("controls: %d", len(r.Findings)))
	}
	if r.Looked(Integrity) || r.Looked(Hygiene) {
		list = append(list, fmt.Sprintf("files: %d", r.Files))
	}
	if r.Advised != nil {
		list = append(list, fmt.Sprintf("vulnerabilities: %d", len(r.Vulnerabilities)))
	}
	return strings.Join(list, ", ")
}
