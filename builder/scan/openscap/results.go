package openscap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// result is what a rule came to.
type result struct {
	// Value is such as "pass" (NIST IR 7275r4, 6.6.4.2, table 26).
	Value string
	// checks are what it was told by.
	checks []check
}

// check is one thing that a rule was told by: a definition of OVAL, or a script.
type check struct{ system, name string }

// The systems of checks that are known.
const (
	ovalSystem   = "http://oval.mitre.org/XMLSchema/oval-definitions-5"
	scriptSystem = "http://open-scap.org/page/SCE"
)

// values are the results that a rule can have.
var values = map[string]bool{
	"pass": true, "fail": true, "error": true, "unknown": true, "notapplicable": true,
	"notchecked": true, "notselected": true, "informational": true, "fixed": true,
}

// results are those of one evaluation.
type results struct {
	// Engine is its name and version: "OpenSCAP 1.3.7".
	Engine  string
	Profile string
	Rules   map[string]result
}

// readResults reads a file of results (XCCDF 1.2, TestResult) to its end. One
// without results of the profile, or with a result that is none, is an error.
func readResults(r io.Reader, profile string) (*results, error) {
	found := &results{Rules: map[string]result{}}
	whole, d := false, document(r)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading the results: %w", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name == (xml.Name{Space: xccdf, Local: "TestResult"}) {
			if whole {
				return nil, errors.New("reading the results: they are those of two runs")
			}
			if err := found.read(d); err != nil {
				return nil, fmt.Errorf("reading the results: %w", err)
			}
			whole = attribute(e, "end-time") != ""
		}
	}
	switch {
	case !whole:
		return nil, errors.New("reading the results: no run is in them that came to its end")
	case found.Profile != profile:
		return nil, fmt.Errorf("reading the results: they are of the profile %q", found.Profile)
	case len(found.Rules) == 0:
		return nil, errors.New("reading the results: they have no rule")
	}
	return found, nil
}

// read reads a TestResult to its end.
func (r *results) read(d *xml.Decoder) error {
	facts := map[string]string{}
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			if e.Name.Local == "TestResult" {
				r.Engine = oneLine(facts["urn:xccdf:fact:scanner:name"] + " " + facts["urn:xccdf:fact:scanner:version"])
				return nil
			}
		case xml.StartElement:
			switch e.Name.Local {
			case "target-facts": // what is in it follows
			case "fact":
				var text string
				if err = d.DecodeElement(&text, &e); err == nil && len(facts) < 100 {
					facts[attribute(e, "name")] = text
				}
			case "profile":
				r.Profile = attribute(e, "idref")
				err = d.Skip()
			case "rule-result":
				err = r.rule(d, e)
			default:
				err = d.Skip()
			}
			if err != nil {
				return err
			}
		}
	}
}

// ruleChecks are checks as they are written, also combined ones.
type ruleChecks struct {
	Checks []struct {
		System string `xml:"system,attr"`
		Refs   []struct {
			Name string `xml:"name,attr"`
			Href string `xml:"href,attr"`
		} `xml:"check-content-ref"`
	} `xml:"check"`
	Combined []ruleChecks `xml:"complex-check"`
}

func (c ruleChecks) list() []check {
	var list []check
	for _, one := range c.Checks {
		for _, ref := range one.Refs {
			name := ref.Name
			if one.System != ovalSystem {
				name = ref.Href
			}
			list = append(list, check{one.System, name})
		}
	}
	for _, more := range c.Combined {
		list = append(list, more.list()...)
	}
	return list
}

func (r *results) rule(d *xml.Decoder, e xml.StartElement) error {
	var found struct {
		Result string `xml:"result"`
		ruleChecks
	}
	if err := d.DecodeElement(&found, &e); err != nil {
		return err
	}
	id := attribute(e, "idref")
	switch _, twice := r.Rules[id]; {
	case !values[found.Result]:
		return fmt.Errorf("%s has the result %q", id, found.Result)
	case twice:
		return fmt.Errorf("%s has two results", id)
	case len(r.Rules) == maxRules:
		return fmt.Errorf("more than %d rules", maxRules)
	}
	r.Rules[id] = result{found.Result, found.list()}
	return nil
}
