package openscap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// oval is how definitions of OVAL came to their results: the parts they are made
// of, and what each part came to. Ids are unique in all of OVAL.
type oval struct {
	// parts are tests, objects, states and variables by id.
	parts       map[string]*part
	definitions map[string]*criteria
}

// part is a test, object, state or variable.
type part struct {
	// kind is the name of its element without "_test" or "_object", "file".
	kind string
	// comment says what a test is about.
	comment string
	// refs are the parts that it uses.
	refs []string
	// paths are those of files that an object names, or their patterns.
	paths []string
}

// criteria is a definition or a part of one. A leaf is a test, or another
// definition.
type criteria struct {
	operator string
	negate   bool
	result   truth
	all      []*criteria
	// test or definition is the id of what a leaf refers to.
	test, definition string
}

// maxParts bounds the parts of all files, and the criteria of all definitions.
const maxParts = 500_000

// readOVAL adds a file of results (OVAL results schema 5) to what is known.
func (o *oval) readOVAL(r io.Reader) error {
	d := document(r)
	var within []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			switch e := token.(type) {
			case xml.EndElement:
				within = within[:len(within)-1]
			case xml.StartElement:
				var read bool
				if read, err = o.element(d, e, within); !read {
					within = append(within, e.Name.Local)
				}
			}
		}
		if err != nil {
			return fmt.Errorf("reading the results of OVAL: %w", err)
		}
	}
}

// element reads one element to its end where it is a part or a result; read is
// false for those around them.
func (o *oval) element(d *xml.Decoder, e xml.StartElement, within []string) (read bool, err error) {
	if len(within) < 2 {
		return false, nil
	}
	switch parent, above := within[len(within)-1], within[len(within)-2]; {
	case above == "oval_definitions" && (parent == "tests" || parent == "objects" || parent == "states" || parent == "variables"):
		return true, o.part(d, e)
	case above == "oval_definitions" && parent == "definitions":
		return true, d.Skip() // their results are below
	case above == "system" && parent == "definitions" && e.Name.Local == "definition":
		return true, o.definition(d, e)
	case above == "system" && parent != "definitions":
		return true, d.Skip()
	}
	return false, nil
}

func (o *oval) room() error {
	if len(o.parts)+len(o.definitions) > maxParts {
		return fmt.Errorf("more than %d parts", maxParts)
	}
	return nil
}

// part reads a test, object, state or variable with all it refers to: by
// attributes named …_ref, or by the text of elements that name a part.
func (o *oval) part(d *xml.Decoder, e xml.StartElement) error {
	p := &part{kind: e.Name.Local, comment: oneLine(attribute(e, "comment"))}
	for _, ending := range []string{"_test", "_object", "_state", "_variable"} {
		p.kind = strings.TrimSuffix(p.kind, ending)
	}
	o.parts[attribute(e, "id")] = p
	var text strings.Builder
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.StartElement:
			depth++
			text.Reset()
			for _, a := range e.Attr {
				if strings.HasSuffix(a.Name.Local, "_ref") {
					p.refs = append(p.refs, a.Value)
				}
			}
		case xml.CharData:
			text.Write(e)
		case xml.EndElement:
			depth--
			switch value := strings.TrimSpace(text.String()); e.Name.Local {
			case "object_reference", "filter", "var_ref":
				p.refs = append(p.refs, value)
			case "filepath", "path":
				p.paths = append(p.paths, value)
			}
			text.Reset()
		}
	}
	return o.room()
}

// definition reads what one definition came to.
func (o *oval) definition(d *xml.Decoder, e xml.StartElement) error {
	all, err := readCriteria(d, 0)
	if err != nil {
		return err
	}
	id := attribute(e, "definition_id")
	found := &criteria{operator: "AND", result: truth(attribute(e, "result")), all: all}
	// What applies where is a file of its own, in which others of its definitions
	// stand without a result.
	if known := o.definitions[id]; known == nil || known.result == notEvaluated {
		o.definitions[id] = found
	}
	return o.room()
}

// readCriteria reads what is in a definition or criteria, to its end.
func readCriteria(d *xml.Decoder, depth int) ([]*criteria, error) {
	const deepest = 64
	if depth > deepest {
		return nil, fmt.Errorf("more than %d criteria in one another", deepest)
	}
	var list []*criteria
	for {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		if _, ok := token.(xml.EndElement); ok {
			return list, nil
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		c := &criteria{
			operator: attribute(e, "operator"), negate: attribute(e, "negate") == "true", result: truth(attribute(e, "result")),
			test: attribute(e, "test_ref"), definition: attribute(e, "definition_ref"),
		}
		switch e.Name.Local {
		case "criteria":
			c.all, err = readCriteria(d, depth+1)
		case "criterion", "extend_definition":
			err = d.Skip()
		default:
			if err := d.Skip(); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
}
