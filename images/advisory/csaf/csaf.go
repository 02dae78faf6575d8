package csaf

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/boundedjson"
	"imgbuild/images/control"
)

// Feed is what records of this format have as their feed.
const Feed = "csaf"

// Limits on one document. The largest of Red Hat's are of kernels and have some
// 30 MB and 600,000 elements.
const (
	maxVulnerabilities = 10_000
	maxReferences      = 2_000_000
)

var limits = boundedjson.Limits{Bytes: 64 << 20, Elements: 1_000_000}

// Document is what one document says.
type Document struct {
	// ID is "RHSA-2024:9371", of a VEX document "CVE-2024-3094".
	ID, Title string
	// Records are one for each vulnerability. Of an advisory they all have its
	// id and name the vulnerability as what they are about.
	Records []*advisory.Record
	// Others counts products of which something is said, but that are no rpm
	// packages of Red Hat's: container images, software of other vendors.
	Others int
}

// Decode reads one document.
func Decode(data []byte) (*Document, error) {
	d, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("reading a CSAF document: %w", err)
	}
	return d, nil
}

func decode(data []byte) (*Document, error) {
	raw, err := boundedjson.Decode[rawDocument](data, limits)
	if err != nil {
		return nil, err
	}
	about := &raw.Document
	d := &Document{ID: about.Tracking.ID, Title: advisory.Line(about.Title)}
	switch {
	case about.Version != "2.0":
		return nil, fmt.Errorf("it is of CSAF version %.20q, not 2.0", about.Version)
	case about.Tracking.Status != "final" && about.Tracking.Status != "interim":
		return nil, fmt.Errorf("%.80q has the status %.20q: only what is final or interim counts", d.ID, about.Tracking.Status)
	case len(raw.Vulnerabilities) == 0:
		return nil, fmt.Errorf("%.80q says nothing of any vulnerability", d.ID)
	case len(raw.Vulnerabilities) > maxVulnerabilities:
		return nil, fmt.Errorf("it has %d vulnerabilities, the limit is %d", len(raw.Vulnerabilities), maxVulnerabilities)
	}
	t, err := raw.tree()
	if err != nil {
		return nil, err
	}
	r := &reader{document: raw, tree: t, left: maxReferences}
	for i := range raw.Vulnerabilities {
		record, err := r.record(&raw.Vulnerabilities[i])
		if err == nil {
			err = record.Check()
		}
		if err != nil {
			return nil, err
		}
		d.Records = append(d.Records, record)
	}
	d.Others = r.others
	return d, nil
}

// reader reads the vulnerabilities of one document.
type reader struct {
	document *rawDocument
	tree     *tree
	others   int
	// left is how many references to products may still come.
	left int
}

func (r *reader) record(v *rawVulnerability) (*advisory.Record, error) {
	about := &r.document.Document
	id := v.CVE
	if id == "" && len(v.IDs) > 0 {
		id = v.IDs[0].Text
	}
	record := &advisory.Record{ID: about.Tracking.ID, Feed: Feed, Summary: advisory.Line(cmp.Or(about.Title, v.Title))}
	released := about.Tracking.Released
	if about.Category == "csaf_vex" {
		record.ID, record.Summary = id, advisory.Line(cmp.Or(v.Title, about.Title))
		released = cmp.Or(v.Released, released)
	} else {
		record.Upstream = []string{id}
	}
	if id == "" {
		return nil, fmt.Errorf("a vulnerability of %.80q has no id", about.Tracking.ID)
	}
	var err error
	if record.Published, err = readTime(released); err != nil {
		return nil, err
	}
	if record.Modified, err = readTime(about.Tracking.Revised); err != nil {
		return nil, err
	}
	for _, ref := range slices.Concat(about.References, v.References) {
		if url := advisory.Line(ref.URL); ref.Category == "self" && url != "" && len(record.References) < advisory.MaxReferences && !slices.Contains(record.References, url) {
			record.References = append(record.References, url)
		}
	}
	s := &saying{reader: r, vulnerability: v, said: map[key][]*claim{}}
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	record.Severity, record.Vector = s.severity()
	record.Affected = s.affected(record.Severity)
	return record, nil
}

func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("the date %.40q cannot be read", text)
	}
	return t.UTC(), nil
}

// severity is the vendor's word, else what the scores stand for, else the word
// for the whole document.
func (s *saying) severity() (worst control.Severity, vector string) {
	for _, t := range s.vulnerability.Threats {
		if t.Category == "impact" {
			worst = advisory.Worse(worst, advisory.SeverityOfWord(t.Details))
		}
	}
	if worst != "" {
		return worst, ""
	}
	for _, score := range s.vulnerability.Scores {
		for _, value := range []jsontext.Value{score.V3, score.V2} {
			var cvss struct {
				Vector string `json:"vectorString"`
			}
			if len(value) == 0 || json.Unmarshal(value, &cvss) != nil {
				continue // a score that cannot be read rates nothing
			}
			severity, err := advisory.SeverityOfVector(cvss.Vector)
			if err == nil && severity != "" && (worst == "" || !worst.AtLeast(severity)) {
				worst, vector = severity, cvss.Vector
			}
			break
		}
	}
	if worst == "" {
		worst = advisory.SeverityOfWord(s.document.Document.Severity.Text)
	}
	return worst, vector
}
