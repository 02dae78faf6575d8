package msrc

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"imgbuild/images/advisory"
)

// The part of CVRF that is read. XML and JSON have the same names: what is an
// attribute or an element there is a member here, what is a text there is an
// object with a Value here, and enumerations are numbers here.
type rawDocument struct {
	Title           text               `json:"DocumentTitle"`
	Tracking        rawTracking        `json:"DocumentTracking"`
	Tree            rawTree            `json:"ProductTree"`
	Vulnerabilities []rawVulnerability `json:"Vulnerability"`
}

type text struct {
	Value string `json:"Value" xml:",chardata"`
}

type rawTracking struct {
	Identification struct {
		ID text `json:"ID" xml:"ID"`
	} `json:"Identification" xml:"Identification"`
	Released string `json:"InitialReleaseDate" xml:"InitialReleaseDate"`
	Revised  string `json:"CurrentReleaseDate" xml:"CurrentReleaseDate"`
}

type rawTree struct {
	Branches []rawBranch  `json:"Branch" xml:"Branch"`
	Products []rawProduct `json:"FullProductName" xml:"FullProductName"`
}

// rawBranch is in JSON a branch or a product.
type rawBranch struct {
	Name      string       `json:"Name" xml:"Name,attr"`
	Items     []rawBranch  `json:"Items" xml:"Branch"`
	Products  []rawProduct `json:"-" xml:"FullProductName"`
	ProductID string       `json:"ProductID" xml:"-"`
	Value     string       `json:"Value" xml:"-"`
}

type rawProduct struct {
	ProductID string `json:"ProductID" xml:"ProductID,attr"`
	Value     string `json:"Value" xml:",chardata"`
}

type rawVulnerability struct {
	Title        text             `json:"Title" xml:"Title"`
	CVE          string           `json:"CVE" xml:"CVE"`
	Statuses     []rawStatus      `json:"ProductStatuses" xml:"ProductStatuses>Status"`
	Threats      []rawThreat      `json:"Threats" xml:"Threats>Threat"`
	Scores       []rawScore       `json:"CVSSScoreSets" xml:"CVSSScoreSets>ScoreSet"`
	Remediations []rawRemediation `json:"Remediations" xml:"Remediations>Remediation"`
	Revisions    []struct {
		Date string `json:"Date" xml:"Date"`
	} `json:"RevisionHistory" xml:"RevisionHistory>Revision"`
}

type rawStatus struct {
	Type     enumeration `json:"Type" xml:"Type,attr"`
	Products []string    `json:"ProductID" xml:"ProductID"`
}

type rawThreat struct {
	Type        enumeration `json:"Type" xml:"Type,attr"`
	Description text        `json:"Description" xml:"Description"`
	Products    []string    `json:"ProductID" xml:"ProductID"`
}

type rawScore struct {
	Vector   string   `json:"Vector" xml:"Vector"`
	Products []string `json:"ProductID" xml:"ProductID"`
}

type rawRemediation struct {
	Type         enumeration `json:"Type" xml:"Type,attr"`
	Description  text        `json:"Description" xml:"Description"`
	Supercedence string      `json:"Supercedence" xml:"Supercedence"`
	SubType      string      `json:"SubType" xml:"SubType"`
	FixedBuild   string      `json:"FixedBuild" xml:"FixedBuild"`
	Restart      text        `json:"RestartRequired" xml:"RestartRequired"`
	Products     []string    `json:"ProductID" xml:"ProductID"`
}

// enumeration is a word in XML and a number in JSON.
type enumeration string

// UnmarshalJSONFrom takes a number or a text.
func (e *enumeration) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	t, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch t.Kind() {
	case '0', '"':
		*e = enumeration(t.String())
		return nil
	}
	return fmt.Errorf("a type is %v instead of a number", t.Kind())
}

// decodeXML reads a document element by element, so that what is not read is
// not held.
func decodeXML(data []byte) (*rawDocument, error) {
	if err := checkTags(data); err != nil {
		return nil, err
	}
	d := xml.NewTokenDecoder(&tokens{Decoder: xml.NewDecoder(bytes.NewReader(data))})
	var raw rawDocument
	started, ended := false, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if !ended {
				return nil, fmt.Errorf("%w: it ends before its outermost element does", advisory.ErrTruncated)
			}
			return &raw, nil
		}
		if err != nil {
			return nil, err
		}
		if _, end := token.(xml.EndElement); end {
			ended = true
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case ended:
			return nil, errors.New("something follows its outermost element")
		case !started:
			if start.Name.Local != "cvrfdoc" {
				return nil, fmt.Errorf("it is a document of %.40q, not of cvrfdoc", start.Name.Local)
			}
			started = true
		default:
			if err := raw.element(d, &start); err != nil {
				return nil, err
			}
		}
	}
}

func (raw *rawDocument) element(d *xml.Decoder, start *xml.StartElement) error {
	switch start.Name.Local {
	case "DocumentTitle":
		return d.DecodeElement(&raw.Title, start)
	case "DocumentTracking":
		return d.DecodeElement(&raw.Tracking, start)
	case "ProductTree":
		return d.DecodeElement(&raw.Tree, start)
	case "Vulnerability":
		if len(raw.Vulnerabilities) == maxVulnerabilities {
			return fmt.Errorf("it has more than %d vulnerabilities", maxVulnerabilities)
		}
		var v rawVulnerability
		if err := d.DecodeElement(&v, start); err != nil {
			return err
		}
		raw.Vulnerabilities = append(raw.Vulnerabilities, v)
		return nil
	}
	return d.Skip()
}

// checkTags refuses tags that are longer than maxTag: the decoder would hold all
// of their attributes.
func checkTags(data []byte) error {
	for {
		at := bytes.IndexByte(data, '<')
		if at < 0 || at+1 == len(data) {
			return nil
		}
		data = data[at+1:]
		// Comments and character data, which begin with "!", may be of any length.
		if end := bytes.IndexByte(data[:min(len(data), maxTag)], '>'); end < 0 && data[0] != '!' && len(data) > maxTag {
			return fmt.Errorf("a tag has more than %d bytes", maxTag)
		}
	}
}

// tokens are those of a document within the limits of depth and number: the
// decoder holds a name for every element that is open.
type tokens struct {
	*xml.Decoder
	depth, elements int
}

// Token is the next token as it stands; the decoder behind it matches the ends
// of elements with their starts.
func (t *tokens) Token() (xml.Token, error) {
	token, err := t.RawToken()
	switch token.(type) {
	case xml.StartElement:
		if t.depth++; t.depth > maxDepth {
			return nil, fmt.Errorf("its elements are nested deeper than %d", maxDepth)
		}
		if t.elements++; t.elements > maxElements {
			return nil, fmt.Errorf("it has more than %d elements", maxElements)
		}
	case xml.EndElement:
		t.depth--
	case xml.Directive:
		return nil, errors.New("it has a document type declaration, which is not read")
	}
	return token, err
}
