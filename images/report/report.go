// Package report is what a scan found of a finished output, and how that is
// written: as a table for a terminal, as SARIF 2.1.0, as JUnit XML, and as one
// page for a browser. It looks at nothing itself and decides nothing.
package report

import (
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
