package openscap

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The limits of a file of XML: of its bytes, and of elements in one another.
const (
	maxXML   = 256 << 20
	maxNests = 256
)

// document reads a file of XML token by token. It is an error when the file is
// cut off, larger or deeper than the limits, or names entities of its own.
func document(r io.Reader) *xml.Decoder {
	return xml.NewTokenDecoder(&tokens{of: xml.NewDecoder(&bounded{of: r, left: maxXML})})
}

// tokens are raw ones, so that the decoder above them sees to names and to
// elements that were never closed.
type tokens struct {
	of    *xml.Decoder
	depth int
}

func (t *tokens) Token() (xml.Token, error) {
	token, err := t.of.RawToken()
	switch token.(type) {
	case xml.StartElement:
		if t.depth++; t.depth > maxNests {
			return nil, fmt.Errorf("more than %d elements in one another", maxNests)
		}
	case xml.EndElement:
		t.depth--
	}
	return token, err
}

// bounded is a reader that fails when there is more than is left to be read.
type bounded struct {
	of   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("larger than %d MiB", maxXML>>20)
	}
	n, err := b.of.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// attribute is the value of an attribute without a name space; "" without it.
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// oneLine is a text without its breaks and indents, cut where it is long.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
