package node

import (
	"errors"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The limits of a document.
const (
	maxBytes = 1 << 20
	maxNodes = 100_000
	maxDepth = 32
)

// Parse reads one YAML document. Refused with a position are: anchors,
// aliases, tags, merge keys, decimals, keys that are not scalars, keys given
// twice, a second document, and anything above the limits (1 MiB, 100,000
// nodes, 32 levels). An empty document is an empty map.
func Parse(name string, files fs.FS, path string, data []byte) (root *Node, err error) {
	doc := &Document{Name: name, Files: files, Path: path}
	start := Position{Doc: doc, Line: 1, Column: 1}
	if len(data) > maxBytes {
		return nil, Errorf(start, "the file is larger than 1 MiB")
	}
	if !utf8.Valid(data) {
		return nil, Errorf(start, "the file is not UTF-8 text")
	}
	text := string(data)
	doc.lines = strings.Split(text, "\n")
	if pos, ok := tooDeep(doc.lines); ok {
		pos.Doc = doc
		return nil, Errorf(pos, "nested deeper than %d levels", maxDepth)
	}
	// The parser is recursive and knows inputs that it panics on; neither may
	// take the program down with a file that somebody sent.
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, Errorf(start, "the file is not valid YAML: %v", r)
		}
	}()
	tokens := lexer.Tokenize(text)
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			return nil, Errorf(at(doc, syntax.GetToken()), "%s", syntax.GetMessage())
		}
		return nil, Errorf(start, "%v", err)
	}
	c := &converter{doc: doc}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if root != nil {
			return nil, Errorf(at(doc, d.Body.GetToken()), "a second document; a file is one")
		}
		if root, err = c.node(d.Body, start, 0); err != nil {
			return nil, err
		}
	}
	if root == nil {
		root = &Node{Kind: Map, Pos: start}
	}
	return root, nil
}

// tooDeep finds nesting that the recursive parser should not be given. It
// counts opened brackets and sequence dashes of a line without regard for
// quotes, far above what a recipe has.
func tooDeep(lines []string) (Position, bool) {
	open := 0
	for i, line := range lines {
		dashes := 0
		for j := 0; j < len(line); j++ {
			switch line[j] {
			case '[', '{':
				open++
			case ']', '}':
				open = max(0, open-1)
			case '-', '?', ':':
				if j+1 < len(line) && line[j+1] == ' ' {
					dashes++
				}
			}
			if open > 64*maxDepth || dashes > 64*maxDepth {
				return Position{Line: i + 1, Column: j + 1}, true
			}
		}
	}
	return Position{}, false
}

func at(doc *Document, t *token.Token) Position {
	p := Position{Doc: doc, Line: 1, Column: 1}
	if t != nil && t.Position != nil {
		p.Line, p.Column = max(1, t.Position.Line), max(1, t.Position.Column)
	}
	return p
}

type converter struct {
	doc   *Document
	count int
}

func (c *converter) node(n ast.Node, pos Position, depth int) (*Node, error) {
	if c.count++; c.count > maxNodes {
		return nil, Errorf(pos, "more than %d values", maxNodes)
	}
	if depth > maxDepth {
		return nil, Errorf(pos, "nested deeper than %d levels", maxDepth)
	}
	if n == nil {
		return &Node{Kind: Null, Pos: pos}, nil
	}
	here := at(c.doc, n.GetToken())
	switch v := n.(type) {
	case *ast.MappingNode:
		return c.mapping(v.Values, here, depth)
	case *ast.MappingValueNode:
		return c.mapping([]*ast.MappingValueNode{v}, here, depth)
	case *ast.SequenceNode:
		list := &Node{Kind: List, Pos: here}
		for _, item := range v.Values {
			child, err := c.node(item, here, depth+1)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, child)
		}
		return list, nil
	case *ast.StringNode:
		return &Node{Kind: String, Pos: here, Text: v.Value}, nil
	case *ast.LiteralNode:
		here = at(c.doc, v.Start)
		return &Node{Kind: String, Pos: here, Text: v.Value.Value, block: here.Line + 1}, nil
	case *ast.IntegerNode:
		return &Node{Kind: Int, Pos: here, Text: v.GetToken().Value}, nil
	case *ast.BoolNode:
		return &Node{Kind: Bool, Pos: here, Text: strings.ToLower(v.GetToken().Value)}, nil
	case *ast.NullNode:
		return &Node{Kind: Null, Pos: pos}, nil
	case *ast.AnchorNode, *ast.AliasNode:
		return nil, Errorf(here, "anchors and aliases are not read; write the value out, or in a recipe name it under vars and write ${name}")
	case *ast.TagNode:
		return nil, Errorf(here, "tags are not read; quote a value that is text")
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return nil, Errorf(here, "decimals are not read; quote the value if it is text")
	default:
		return nil, Errorf(here, "unexpected %s", strings.ToLower(n.Type().String()))
	}
}

func (c *converter) mapping(values []*ast.MappingValueNode, here Position, depth int) (*Node, error) {
	m := &Node{Kind: Map, Pos: here}
	seen := map[string]Position{}
	for _, v := range values {
		key := v.Key.GetToken()
		pos := at(c.doc, key)
		switch v.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.BoolNode:
		case *ast.FloatNode:
			return nil, Errorf(pos, "decimals are not read; quote a key that looks like one")
		default:
			return nil, Errorf(pos, "expected a plain key")
		}
		if first, twice := seen[key.Value]; twice {
			return nil, Errorf(pos, "key %q was given already at line %d", key.Value, first.Line)
		}
		seen[key.Value] = pos
		child, err := c.node(v.Value, pos, depth+1)
		if err != nil {
			return nil, err
		}
		m.Entries = append(m.Entries, Entry{Key: key.Value, Pos: pos, Value: child})
	}
	if len(m.Entries) > 0 && m.Pos.Line >= m.Entries[0].Pos.Line && m.Pos.Column > m.Entries[0].Pos.Column {
		// A block map has no token of its own; it stands where its first key does.
		m.Pos = m.Entries[0].Pos
	}
	return m, nil
}
