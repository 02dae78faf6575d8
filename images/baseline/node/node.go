// Package node is the tree that recipes are read into: maps, lists and
// scalars that all know where in which file they stand. It parses YAML
// strictly, decodes trees into Go structs, merges them, fills variables in and
// writes them out again. It knows nothing of what a recipe means, and it never
// evaluates anchors, tags or merge keys.
package node

import (
	"fmt"
	"io/fs"
)

// Kind is what a node is.
type Kind int

// The kinds.
const (
	Null Kind = iota
	String
	Int
	Bool
	List
	Map
)

func (k Kind) String() string {
	switch k {
	case String:
		return "text"
	case Int:
		return "a number"
	case Bool:
		return "true or false"
	case List:
		return "a list"
	case Map:
		return "a map"
	default:
		return "nothing"
	}
}

// Document is one recipe file: its text's name and where files that it names
// are found.
type Document struct {
	// Name is what errors and origins show: baselines/web.yaml.
	Name string
	// Files is the tree that the document lies in; a file that the document
	// names can be nowhere else.
	Files fs.FS
	// Path is the document's place in Files.
	Path string

	lines []string
}

// Position is a place in a document. Lines and columns count from 1.
type Position struct {
	Doc    *Document
	Line   int
	Column int
}

// String gives file:line:column.
func (p Position) String() string {
	if p.Doc == nil {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.Doc.Name, p.Line, p.Column)
}

// Node is one value of a document.
type Node struct {
	Kind Kind
	Pos  Position
	// Text is a scalar as it was written, quotes and escapes resolved.
	Text string
	// Items are the values of a list.
	Items []*Node
	// Entries are the keys and values of a map, in the order of the file; no
	// key occurs twice.
	Entries []Entry

	// block is the line on which the text of a literal block begins, 0 for
	// other scalars.
	block int
	// filled is true for a variable's value, which is text where text is asked.
	filled bool
}

// Entry is one key of a map with its value.
type Entry struct {
	Key   string
	Pos   Position
	Value *Node
}

// Get returns the value of a key, nil when the node is no map or has no such
// key.
func (n *Node) Get(key string) *Node {
	if e := n.entry(key); e != nil {
		return e.Value
	}
	return nil
}

// Keys are the keys of a map in the order of the file.
func (n *Node) Keys() []string {
	if n == nil {
		return nil
	}
	keys := make([]string, len(n.Entries))
	for i, e := range n.Entries {
		keys[i] = e.Key
	}
	return keys
}

func (n *Node) entry(key string) *Entry {
	if n == nil {
		return nil
	}
	for i := range n.Entries {
		if n.Entries[i].Key == key {
			return &n.Entries[i]
		}
	}
	return nil
}

// At returns the position of a map's key, that of the node itself when it has
// no such key.
func (n *Node) At(key string) Position {
	if e := n.entry(key); e != nil {
		return e.Pos
	}
	return n.Pos
}

// Clone copies the tree.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := *n
	c.Items = make([]*Node, len(n.Items))
	for i, item := range n.Items {
		c.Items[i] = item.Clone()
	}
	c.Entries = make([]Entry, len(n.Entries))
	for i, e := range n.Entries {
		e.Value = e.Value.Clone()
		c.Entries[i] = e
	}
	return &c
}

// describe says in a few words what a node is, for errors.
func (n *Node) describe() string {
	switch n.Kind {
	case String:
		if len(n.Text) > 40 {
			return "text"
		}
		return fmt.Sprintf("the text %q", n.Text)
	case Int:
		return "the number " + n.Text
	case Bool:
		return n.Text
	default:
		return n.Kind.String()
	}
}
