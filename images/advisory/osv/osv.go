// Package osv reads advisories in the OSV format
// (https://ossf.github.io/osv-schema/), schemas 1.0 to 1.7, as single records
// and as the archives of all records that OSV.dev and distributors publish. What
// it reads is hostile until it is a record: sizes and counts have limits. It
// never downloads anything and writes no file.
//
// The schema's own Go bindings (github.com/ossf/osv-schema/bindings/go) are not
// used: they are decoded by protojson, which takes four times as long, some 30
// seconds for all of Debian, and keeps the parts that are not needed here.
package osv

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/boundedjson"
	"imgbuild/images/control"
)

// Feed is what records of this format have as their feed.
const Feed = "osv"

// Limits on a record. The largest of Ubuntu's kernels have some 5 MB.
const (
	maxRecord   = 16 << 20
	maxElements = 600_000
)

// The part of the schema that is read.
type vulnerability struct {
	SchemaVersion    string      `json:"schema_version"`
	ID               string      `json:"id"`
	Modified         time.Time   `json:"modified"`
	Published        time.Time   `json:"published"`
	Withdrawn        time.Time   `json:"withdrawn"`
	Aliases          []string    `json:"aliases"`
	Upstream         []string    `json:"upstream"`
	Related          []string    `json:"related"`
	Summary          string      `json:"summary"`
	Details          string      `json:"details"`
	Severity         []severity  `json:"severity"`
	Affected         []affected  `json:"affected"`
	References       []reference `json:"references"`
	DatabaseSpecific specific    `json:"database_specific"`
}

type severity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity  []severity       `json:"severity"`
	Ranges    []affectedRanges `json:"ranges"`
	Versions  []string         `json:"versions"`
	Ecosystem specific         `json:"ecosystem_specific"`
}

type affectedRanges struct {
	Type   string  `json:"type"`
	Events []event `json:"events"`
}

type event struct {
	Introduced   string `json:"introduced"`
	Fixed        string `json:"fixed"`
	LastAffected string `json:"last_affected"`
	Limit        string `json:"limit"`
}

type reference struct {
	URL string `json:"url"`
}

// specific is what databases add, each in its own way.
type specific struct {
	Urgency  jsontext.Value `json:"urgency"`
	Severity jsontext.Value `json:"severity"`
}

// word is a value that is a text, else "".
func word(v jsontext.Value) string {
	var text string
	if v.Kind() != '"' || json.Unmarshal(v, &text) != nil {
		return ""
	}
	return text
}

// Decode reads one record.
func Decode(data []byte) (*advisory.Record, error) {
	v, err := boundedjson.Decode[vulnerability](data, boundedjson.Limits{Bytes: maxRecord, Elements: maxElements})
	if err != nil {
		return nil, fmt.Errorf("reading an OSV record: %w", err)
	}
	// Records of versions before 1.0 lack the field. A later major version
	// would mean something else by the same words.
	if v.SchemaVersion != "" && !strings.HasPrefix(v.SchemaVersion, "1.") && !strings.HasPrefix(v.SchemaVersion, "0.") {
		return nil, fmt.Errorf("reading an OSV record: %s is of schema version %q, not 1", v.ID, v.SchemaVersion)
	}
	r := v.record()
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("reading an OSV record: %w", err)
	}
	return r, nil
}

func (v *vulnerability) record() *advisory.Record {
	r := &advisory.Record{
		ID: v.ID, Feed: Feed, Aliases: v.Aliases, Upstream: v.upstream(),
		Published: v.Published, Modified: v.Modified, Withdrawn: v.Withdrawn,
		Summary: advisory.Line(v.Summary),
	}
	if r.Summary == "" {
		r.Summary = advisory.Line(v.Details)
	}
	// A record of the distributor's for one CVE, such as DEBIAN-CVE-2026-1234,
	// is that CVE by another name.
	if len(r.Upstream) == 1 && strings.HasSuffix(v.ID, "-"+r.Upstream[0]) {
		r.Aliases, r.Upstream = slices.Concat(r.Aliases, r.Upstream), nil
	}
	var urgency string
	r.Severity, r.Vector, urgency = rate(v.Severity)
	if r.Severity == "" {
		r.Severity = advisory.Worse(advisory.SeverityOfWord(urgency), advisory.SeverityOfWord(word(v.DatabaseSpecific.Severity)))
	}
	if r.Severity == "" {
		// "Moderate: curl security update", of Red Hat and those built from it.
		first, _, _ := strings.Cut(v.Summary, ":")
		r.Severity = advisory.SeverityOfWord(first)
	}
	for _, ref := range v.References[:min(len(v.References), advisory.MaxReferences)] {
		if url := advisory.Line(ref.URL); url != "" {
			r.References = append(r.References, url)
		}
	}
	for i := range v.Affected {
		if a := &v.Affected[i]; a.Package.Ecosystem != "" {
			r.Affected = append(r.Affected, a.record(urgency))
		}
	}
	return r
}

// advisories are the beginnings of ids that distributors give to advisories,
// which are about vulnerabilities and none themselves. Before upstream came with
// schema 1.7 their vulnerabilities were among related.
var advisories = []string{
	"DSA-", "DLA-", "DTSA-", "USN-", "LSN-", "ALSA-", "ALBA-", "ALEA-", "RLSA-", "RXSA-", "RLBA-", "RLEA-", "RHSA-", "RHBA-", "RHEA-",
	"SUSE-", "openSUSE-", "MGASA-", "OESA-",
}

func (v *vulnerability) upstream() []string {
	if len(v.Upstream) > 0 || !slices.ContainsFunc(advisories, func(p string) bool { return strings.HasPrefix(v.ID, p) }) {
		return v.Upstream
	}
	var list []string
	for _, name := range slices.Concat(v.Aliases, v.Related) {
		if strings.HasPrefix(name, "CVE-") && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// rate takes the worst of the CVSS vectors; one that cannot be read rates
// nothing. Ubuntu gives its own word as well.
func rate(list []severity) (worst control.Severity, vector, urgency string) {
	for _, s := range list {
		if !strings.HasPrefix(s.Type, "CVSS") {
			if urgency == "" {
				urgency = advisory.Line(s.Score)
			}
			continue
		}
		of, err := advisory.SeverityOfVector(s.Score)
		if err == nil && of != "" && (worst == "" || !worst.AtLeast(of)) {
			worst, vector = of, s.Score
		}
	}
	return worst, vector, urgency
}

func (a *affected) record(urgency string) advisory.Affected {
	out := advisory.Affected{Ecosystem: a.Package.Ecosystem, Package: a.Package.Name, Versions: a.Versions, Urgency: urgency}
	out.Severity, _, _ = rate(a.Severity)
	if strings.HasPrefix(out.Ecosystem, "Debian") {
		if out.Urgency = advisory.Line(word(a.Ecosystem.Urgency)); out.Urgency == string(advisory.Unimportant) || out.Urgency == string(advisory.EndOfLife) {
			out.Disposition = advisory.Disposition(out.Urgency)
		}
	}
	for _, r := range a.Ranges {
		if r.Type == "GIT" {
			continue // of the sources of others
		}
		var events []advisory.Event
		for _, e := range r.Events {
			events = append(events, advisory.Event(e))
		}
		if len(events) > 0 {
			out.Ranges = append(out.Ranges, advisory.Range{Events: events})
		}
	}
	if len(out.Ranges) == 0 && len(out.Versions) == 0 {
		out.Status, out.Note = advisory.StatusUndetermined, "the record names no version"
	}
	return out
}
