package openscap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// xccdf is the name space of checklists (NIST IR 7275r4).
const xccdf = "http://checklists.nist.gov/xccdf/1.2"

// maxRules bounds the rules and the profiles of a stream.
const maxRules = 20_000

// Stream is what a SCAP source data stream (NIST SP 800-126) says of its rules.
// How they are checked is for OpenSCAP to read.
type Stream struct {
	// Benchmark is the id of its checklist, Version that of the content.
	Benchmark, Version string
	Rules              map[string]*Rule
	Profiles           []*Profile
}

// Rule is one rule of a stream.
type Rule struct {
	ID, Title, Severity string
	// Sections are those of a CIS benchmark that it refers to, "5.1.20".
	Sections []string
}

// Profile is a choice of rules.
type Profile struct {
	ID, Title string
	// Level is the one of a CIS benchmark that the profile is named for; 0 when
	// it is of none.
	Level int
	// selects are the rules that it takes or leaves, values what it sets.
	selects map[string]bool
	values  []string
	// extends is another profile that it builds upon.
	extends string
}

// reference is where a rule comes from. href says from which document.
type reference struct {
	Href string `xml:"href,attr"`
	Text string `xml:",chardata"`
}

// benchmarkHref are the references to sections of CIS benchmarks, as streams write
// them: …/benchmark/debian_linux/ and …/cis-benchmarks/. Those to …/controls/ are
// to another document with numbers of its own.
var benchmarkHref = regexp.MustCompile(`^https?://(www\.)?cisecurity\.org/(cis-)?benchmarks?(/|$)`)

var sectionNumber = regexp.MustCompile(`^[1-9][0-9]{0,2}(\.[1-9][0-9]{0,2}){1,6}$`)

// ReadStream reads the checklist of a data stream. A file that is none is a fault
// of the input.
func ReadStream(r io.Reader) (*Stream, error) {
	s := &Stream{Rules: map[string]*Rule{}}
	d := document(r)
	if err := s.find(d); err != nil {
		return nil, fault.Inputf("reading the data stream").Because(err).
			WithHint("a SCAP source data stream is wanted, such as ssg-debian12-ds.xml of scap-security-guide")
	}
	return s, nil
}

// find seeks the first checklist and reads it to its end.
func (s *Stream) find(d *xml.Decoder) error {
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return errors.New("it has no checklist (XCCDF 1.2)")
		}
		if err != nil {
			return err
		}
		if e, ok := token.(xml.StartElement); ok && e.Name == (xml.Name{Space: xccdf, Local: "Benchmark"}) {
			s.Benchmark = attribute(e, "id")
			if err := s.items(d, e.Name.Local); err != nil {
				return err
			}
			if len(s.Rules) == 0 {
				return errors.New("its checklist has no rules")
			}
			return nil
		}
	}
}

// items reads what is in a checklist or a group of one, to its end.
func (s *Stream) items(d *xml.Decoder, of string) error {
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		if _, ok := token.(xml.EndElement); ok {
			return nil
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch {
		case e.Name.Space != xccdf:
			err = d.Skip()
		case e.Name.Local == "Group":
			err = s.items(d, e.Name.Local)
		case e.Name.Local == "Rule":
			err = s.rule(d, e)
		case e.Name.Local == "Profile":
			err = s.profile(d, e)
		case e.Name.Local == "version" && of == "Benchmark":
			err = d.DecodeElement(&s.Version, &e)
		default:
			err = d.Skip()
		}
		if err != nil {
			return err
		}
	}
}

func (s *Stream) rule(d *xml.Decoder, e xml.StartElement) error {
	var found struct {
		Title      string      `xml:"title"`
		References []reference `xml:"reference"`
	}
	if err := d.DecodeElement(&found, &e); err != nil {
		return err
	}
	rule := &Rule{ID: attribute(e, "id"), Title: oneLine(found.Title), Severity: attribute(e, "severity")}
	for _, r := range found.References {
		section := strings.TrimSpace(r.Text)
		if benchmarkHref.MatchString(r.Href) && sectionNumber.MatchString(section) && !slices.Contains(rule.Sections, section) {
			rule.Sections = append(rule.Sections, section)
		}
	}
	switch _, twice := s.Rules[rule.ID]; {
	case rule.ID == "":
		return errors.New("a rule has no id")
	case twice:
		return fmt.Errorf("there are two rules %s", rule.ID)
	case len(s.Rules) == maxRules:
		return fmt.Errorf("more than %d rules", maxRules)
	}
	s.Rules[rule.ID] = rule
	return nil
}

var levelName = regexp.MustCompile(`_cis_level([12])_server$`)

func (s *Stream) profile(d *xml.Decoder, e xml.StartElement) error {
	var found struct {
		Title   string `xml:"title"`
		Selects []struct {
			Rule     string `xml:"idref,attr"`
			Selected bool   `xml:"selected,attr"`
		} `xml:"select"`
		Set []struct {
			Value string `xml:"idref,attr"`
			Text  string `xml:",chardata"`
		} `xml:"set-value"`
		Refined []struct {
			Value    string `xml:"idref,attr"`
			Selector string `xml:"selector,attr"`
			Operator string `xml:"operator,attr"`
		} `xml:"refine-value"`
		Rules []struct {
			Rule     string `xml:"idref,attr"`
			Selector string `xml:"selector,attr"`
		} `xml:"refine-rule"`
	}
	if err := d.DecodeElement(&found, &e); err != nil {
		return err
	}
	p := &Profile{ID: attribute(e, "id"), Title: oneLine(found.Title), extends: attribute(e, "extends"), selects: map[string]bool{}}
	if m := levelName.FindStringSubmatch(p.ID); m != nil {
		p.Level = int(m[1][0] - '0')
	}
	for _, v := range found.Selects {
		p.selects[v.Rule] = v.Selected
	}
	for _, v := range found.Set {
		p.values = append(p.values, fmt.Sprintf("set %s %q", v.Value, v.Text))
	}
	for _, v := range found.Refined {
		p.values = append(p.values, fmt.Sprintf("value %s %q %q", v.Value, v.Selector, v.Operator))
	}
	for _, v := range found.Rules {
		p.values = append(p.values, fmt.Sprintf("rule %s %q", v.Rule, v.Selector))
	}
	if len(s.Profiles) == maxRules {
		return fmt.Errorf("more than %d profiles", maxRules)
	}
	s.Profiles = append(s.Profiles, p)
	return nil
}

// Levels are the profiles for servers of a CIS benchmark up to a level, the
// highest first; without any, the stream's profile "standard", else its first.
func (s *Stream) Levels(level int) ([]*Profile, error) {
	var list []*Profile
	for _, p := range s.Profiles {
		if p.Level > 0 && p.Level <= level {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b *Profile) int { return b.Level - a.Level })
	if len(list) > 0 {
		return list, nil
	}
	for _, p := range s.Profiles {
		if strings.HasSuffix(p.ID, "_profile_standard") {
			return []*Profile{p}, nil
		}
	}
	if len(s.Profiles) == 0 {
		return nil, fault.Inputf("the data stream has no profiles").WithHint("use one of scap-security-guide")
	}
	return s.Profiles[:1], nil
}

// within tells whether the results of another profile hold for this one too: it
// takes no rule that the other one leaves, and sets nothing else.
func (s *Stream) within(p, other *Profile) bool {
	if p.extends != "" || other.extends != "" {
		return false
	}
	for id, taken := range p.selects {
		if _, known := s.Rules[id]; taken && !(known && other.selects[id]) {
			return false
		}
	}
	for id := range other.selects {
		if _, known := s.Rules[id]; !known {
			return false // a group, which would take rules unnamed
		}
	}
	for _, v := range p.values {
		if !slices.Contains(other.values, v) {
			return false
		}
	}
	return true
}
