// Package debian reads what the Debian Security Tracker publishes: its JSON of
// all vulnerabilities by source package, and its lists of advisories. They say
// what OSV's records of Debian leave out: which vulnerabilities get no advisory,
// and why. It never downloads anything.
package debian

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
)

// The feeds of the records.
const (
	TrackerFeed = "debian-tracker"
	ListFeed    = "debian-advisories"
)

// Limits on the tracker's file, of some 75 MB and 4,000 packages with up to 6,000
// vulnerabilities, on one of those, and on what it says of the releases.
const (
	maxTracker  = 192 << 20
	maxMembers  = 100_000
	maxIssue    = 512 << 10
	maxReleases = 64 << 10
)

// issue is one vulnerability of one source package
// (https://security-tracker.debian.org/tracker/data/json).
type issue struct {
	Description string `json:"description"`
	// Releases is an object by code name; an empty list where there is none.
	Releases jsontext.Value `json:"releases"`
}

type release struct {
	Status       string  `json:"status"`
	FixedVersion string  `json:"fixed_version"`
	Urgency      string  `json:"urgency"`
	NoDSA        *string `json:"nodsa"`
	NoDSAReason  string  `json:"nodsa_reason"`
}

// Tracker reads the tracker's JSON and gives a record for each vulnerability of
// each source package: so there are several with one id. It ends with the first
// error.
func Tracker(r io.Reader, each func(*advisory.Record) error) error {
	limited := &issues{LimitedReader: io.LimitedReader{R: r, N: maxTracker}, left: maxIssue}
	n := 0
	err := members(jsontext.NewDecoder(limited), func(d *jsontext.Decoder, source string) error {
		limited.left = maxIssue
		return members(d, func(d *jsontext.Decoder, id string) error {
			limited.left = maxIssue
			var i issue
			if err := json.UnmarshalDecode(d, &i); err != nil {
				return err
			}
			if len(i.Releases) == 0 {
				return fmt.Errorf("%s of %s says nothing of releases", id, source)
			}
			record, err := i.record(source, id)
			if err != nil {
				return fmt.Errorf("%s of %s: %w", id, source, err)
			}
			n++
			return each(record)
		})
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("there is no vulnerability in it")
	}
	if limited.N == 0 {
		err = fmt.Errorf("it has more than %d bytes", maxTracker)
	}
	if err != nil {
		return fmt.Errorf("reading the Debian Security Tracker: %w", err)
	}
	return nil
}

// issues bounds what is read for one vulnerability: a decoder holds all of it, and
// every name in it.
type issues struct {
	io.LimitedReader
	left int
}

// Read fails when nothing is left.
func (i *issues) Read(p []byte) (int, error) {
	if i.left <= 0 {
		return 0, fmt.Errorf("a vulnerability has more than %d bytes", maxIssue)
	}
	n, err := i.LimitedReader.Read(p[:min(len(p), i.left)])
	i.left -= n
	return n, err
}

// members calls do for each member of an object, with the decoder before its
// value. What follows the outermost object is an error.
func members(d *jsontext.Decoder, do func(d *jsontext.Decoder, name string) error) error {
	if kind := d.PeekKind(); kind != '{' {
		if _, err := d.ReadToken(); err != nil {
			return err
		}
		return fmt.Errorf("it has %v where an object is expected", kind)
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for n := 0; d.PeekKind() != '}'; n++ {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if n == maxMembers {
			return fmt.Errorf("it has more than %d packages, or vulnerabilities of one", maxMembers)
		}
		if err := do(d, name.String()); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	if d.StackDepth() > 0 {
		return nil
	}
	if token, err := d.ReadToken(); err != io.EOF {
		return cmp.Or(err, fmt.Errorf("something follows it: %v", token))
	}
	return nil
}

func (i *issue) record(source, id string) (*advisory.Record, error) {
	r := &advisory.Record{ID: id, Feed: TrackerFeed, Summary: advisory.Line(i.Description), References: []string{"https://security-tracker.debian.org/tracker/" + id}}
	if len(i.Releases) > maxReleases {
		return nil, fmt.Errorf("its releases have %d bytes, the limit is %d", len(i.Releases), maxReleases)
	}
	releases := map[string]release{}
	if i.Releases.Kind() != '[' || strings.Trim(string(i.Releases), "[] \t\r\n") != "" {
		if err := json.Unmarshal(i.Releases, &releases); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(releases)) {
		of := releases[name]
		a, err := of.affected()
		if err != nil {
			return nil, fmt.Errorf("in %s: %w", name, err)
		}
		a.Ecosystem, a.Package = "Debian:"+cmp.Or(ecosystem.DebianRelease(name), name), source
		r.Affected = append(r.Affected, a)
	}
	return r, r.Check()
}

// affected is what the tracker says of a package in one release, whose name is
// still to be added.
func (of *release) affected() (advisory.Affected, error) {
	// Stars mark an urgency that was taken from elsewhere.
	a := advisory.Affected{Urgency: advisory.Line(strings.TrimRight(of.Urgency, "*"))}
	switch a.Urgency {
	case string(advisory.Unimportant):
		a.Disposition = advisory.Unimportant
	case string(advisory.EndOfLife):
		a.Disposition = advisory.EndOfLife
	}
	switch of.Status {
	case "resolved":
		switch of.FixedVersion {
		case "":
			return a, fmt.Errorf("it is resolved without a version")
		case "0":
			a.Status, a.Note = advisory.StatusNotAffected, "Debian says that this release never had it"
			a.Disposition = advisory.FixExpected
		default:
			a.Ranges = since("0", of.FixedVersion)
		}
	case "open":
		a.Ranges = since("0", "")
	case "undetermined":
		a.Status = advisory.StatusUndetermined
	default:
		return a, fmt.Errorf("the status %q is not known", of.Status)
	}
	if of.NoDSA != nil && a.Status == advisory.StatusAffected && of.FixedVersion == "" {
		a.Note = advisory.Line(*of.NoDSA)
		if a.Disposition == advisory.FixExpected {
			a.Disposition = without(of.NoDSAReason)
		}
	}
	return a, nil
}

// without is why there is no advisory.
func without(reason string) advisory.Disposition {
	switch reason {
	case "ignored":
		return advisory.Ignored
	case "postponed":
		return advisory.Postponed
	}
	return advisory.NoDSA
}

// since is the range from one version to a fix, which may be empty.
func since(first, fix string) []advisory.Range {
	events := []advisory.Event{{Introduced: first}}
	if fix != "" {
		events = append(events, advisory.Event{Fixed: fix})
	}
	return []advisory.Range{{Events: events}}
}
