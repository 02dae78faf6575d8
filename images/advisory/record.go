package advisory

import (
	"errors"
	"time"

	"imgbuild/images/control"
)

// ErrTruncated says that a file ends before what is in it does. Readers wrap it,
// or [io.ErrUnexpectedEOF] of a decoder, so that what was cut short on its way is
// told from what is no feed.
var ErrTruncated = errors.New("it is cut short")

// Record is one advisory of any source. Its fields mean what those of the
// same name do in the OSV schema (https://ossf.github.io/osv-schema/), and a
// source that knows less leaves them empty.
type Record struct {
	// ID is "CVE-2026-1234", "DSA-5380-1", "KB5025239". A feed that is sorted by
	// package may have several records of one id.
	ID string `json:"id"`
	// Feed is the kind of source that said it: "osv", "debian-tracker".
	Feed string `json:"feed,omitempty"`
	// Aliases are other names of the very same vulnerability.
	Aliases []string `json:"aliases,omitempty"`
	// Upstream are the vulnerabilities that an advisory of a distributor is
	// about: a DSA names the CVEs that it mends. Of a record without any, and of
	// one that is itself of a vulnerability, it is the record's own id.
	Upstream []string `json:"upstream,omitempty"`
	// Summary is one line.
	Summary string `json:"summary,omitempty"`
	// Severity is the worst that the source says; empty when it says none, which
	// is not the least.
	Severity control.Severity `json:"severity,omitempty"`
	// Vector is the CVSS vector that Severity was taken from; empty when it was
	// taken from a word.
	Vector string `json:"vector,omitempty"`
	// Published, Modified and Withdrawn are zero when the source does not say;
	// a record with Withdrawn is as if it were not there.
	Published time.Time `json:"published,omitzero"`
	Modified  time.Time `json:"modified,omitzero"`
	Withdrawn time.Time `json:"withdrawn,omitzero"`
	// References are web addresses.
	References []string   `json:"references,omitempty"`
	Affected   []Affected `json:"affected,omitempty"`
}

// Affected is what a record says of one package in one release.
type Affected struct {
	// Ecosystem is the distribution with its release, as OSV writes it:
	// "Debian:12". The order of versions is its own.
	Ecosystem string `json:"ecosystem"`
	// Package is its name there: in Debian, Ubuntu and Alpine that of the source
	// package.
	Package string `json:"package"`
	// Ranges and Versions are what has the vulnerability: a version that is in
	// any range, or in the list. With a Status that speaks of another thing than
	// being affected they are what that is said of, and all versions when
	// both are empty.
	Ranges   []Range  `json:"ranges,omitempty"`
	Versions []string `json:"versions,omitempty"`
	Status   Status   `json:"status,omitempty"`
	// Disposition is what the distributor decided to do about it, and Urgency
	// its own word for how soon.
	Disposition Disposition `json:"disposition,omitempty"`
	Urgency     string      `json:"urgency,omitempty"`
	// Note says in one line why the status or the disposition is what it is.
	Note string `json:"note,omitempty"`
	// Severity is for this package, where it differs from the record's.
	Severity control.Severity `json:"severity,omitempty"`
}

// Status is what is said of the versions of a package, after VEX
// (https://www.cisa.gov/sites/default/files/2023-04/minimum-requirements-for-vex-508c.pdf).
type Status string

// The statuses. A fixed version is said by a range's event.
const (
	// StatusAffected is the default.
	StatusAffected Status = ""
	// StatusNotAffected suppresses what other records say of the same
	// vulnerability, package and version.
	StatusNotAffected Status = "not-affected"
	// StatusUndetermined is that nobody has looked yet, or cannot say.
	StatusUndetermined Status = "undetermined"
)

// Disposition is what a distributor does about a vulnerability that a package
// has (https://security-team.debian.org/security_tracker.html). What has one is
// kept apart from what awaits a fix.
type Disposition string

// The dispositions.
const (
	// FixExpected is the default.
	FixExpected Disposition = ""
	// Unimportant cannot be exploited as the package is built and used.
	Unimportant Disposition = "unimportant"
	// NoDSA is too minor for an advisory of its own: a point release may fix it.
	NoDSA Disposition = "no-dsa"
	// Postponed is minor, and fixed with the next advisory of the package.
	Postponed Disposition = "postponed"
	// Ignored will not be fixed in this release.
	Ignored Disposition = "ignored"
	// EndOfLife is a package that gets no support in this release any more.
	EndOfLife Disposition = "end-of-life"
)

// Range is a set of versions, given by where it begins and ends. How it is
// evaluated is said by the OSV schema, under "Evaluation".
type Range struct {
	Events []Event `json:"events"`
}

// Event is one bound of a range: exactly one field is set.
type Event struct {
	// Introduced is the first version that has it; "0" is before all versions.
	Introduced string `json:"introduced,omitempty"`
	// Fixed is the first version that is without it again.
	Fixed string `json:"fixed,omitempty"`
	// LastAffected is the last version that has it.
	LastAffected string `json:"last_affected,omitempty"`
	// Limit is a version at which the range ends without being fixed there; "*"
	// is after all versions.
	Limit string `json:"limit,omitempty"`
}
