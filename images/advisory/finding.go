package advisory

import (
	"slices"

	"imgbuild/images/control"
)

// State is what is said of a package and a vulnerability.
type State string

// The states, from the one that needs somebody most.
const (
	// StateAffected has it, and a fix is there or awaited.
	StateAffected State = "affected"
	// StateUndetermined cannot be told: the source says so, or what it says cannot be
	// read.
	StateUndetermined State = "undetermined"
	// StateNoDSA has it, and the distributor plans no advisory (no-dsa, postponed).
	StateNoDSA State = "no-dsa"
	// StateIgnored has it, and the distributor will not fix it in this release.
	StateIgnored State = "ignored"
	// StateUnimportant has it, and the distributor calls it unimportant.
	StateUnimportant State = "unimportant"
	// StateFixed had it, and this version is without it again.
	StateFixed State = "fixed"
	// StateNotAffected never had it.
	StateNotAffected State = "not-affected"
)

var states = []State{StateAffected, StateUndetermined, StateNoDSA, StateIgnored, StateUnimportant, StateFixed, StateNotAffected}

// Has tells whether the package has the vulnerability, whatever its
// distributor thinks of it, or may have it.
func (s State) Has() bool { return s != StateFixed && s != StateNotAffected }

// Before tells whether s needs somebody more than other.
func (s State) Before(other State) bool {
	return slices.Index(states, s) < slices.Index(states, other)
}

// Finding is what is known of one vulnerability in one package of an image.
type Finding struct {
	// Vulnerability is its id: the CVE where it has one. Aliases are its other
	// names.
	Vulnerability string   `json:"vulnerability"`
	Aliases       []string `json:"aliases,omitempty"`
	// Release and Package are of the package as advisories call it: in Debian
	// the source package; Version is its version, and Binaries are the packages
	// of the image that were built from it.
	Release  string   `json:"release"`
	Package  string   `json:"package"`
	Version  string   `json:"version"`
	Binaries []string `json:"binaries,omitempty"`
	State    State    `json:"state"`
	// Reason says in words why the state is what it is.
	Reason string `json:"reason"`
	// Severity is the worst that a source says of the package, of a source that
	// rates no packages of the vulnerability; empty when none does, which is not the
	// least.
	Severity control.Severity `json:"severity,omitempty"`
	// Urgency is the distributor's own word.
	Urgency string `json:"urgency,omitempty"`
	// Fixed is the first version that is without it; empty when there is none.
	Fixed string `json:"fixed,omitempty"`
	// Advisories are the records that the state was taken from; those of the
	// distributor, such as a DSA, come first.
	Advisories []string `json:"advisories"`
}

// Unjudged is a package of which it cannot be told what concerns it.
type Unjudged struct {
	Package string `json:"package"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason"`
}

// Result is what an index says of the packages of an image.
type Result struct {
	// Findings are sorted: the states as they are listed, the worst severity
	// first, then by vulnerability and package.
	Findings []Finding `json:"findings"`
	// Unjudged are packages about which nothing is said: whoever counts on the
	// findings must look at it first.
	Unjudged []Unjudged `json:"unjudged,omitempty"`
	// Accepted are those of which it is accepted that nothing is said.
	Accepted []Unjudged `json:"accepted,omitempty"`
}

// keyOf is how a finding is sorted first: by a number of its state, its severity
// and its vulnerability, of which the numbers are in the order of the ids.
func keyOf(f *Finding, vulnerability uint32) uint64 {
	severity := uint64(len(severities)) - uint64(severityByte(f.Severity))
	return uint64(slices.Index(states, f.State))<<40 | severity<<32 | uint64(vulnerability)
}
