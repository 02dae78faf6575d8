package node

import (
	"strings"
)

// Vars are the values that ${name} stands for.
type Vars map[string]*Node

// Names are the variables' names, unsorted.
func (v Vars) Names() []string {
	list := make([]string, 0, len(v))
	for name := range v {
		list = append(list, name)
	}
	return list
}

// Expand fills ${name} in text; $${ stands for ${ itself. Numbers and truth
// values are written as in YAML, the items of a list with a space between
// them. where gives the position of an offset in text, for errors.
func (v Vars) Expand(text string, where func(offset int) Position) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var b strings.Builder
	p := &Problems{}
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "$${"):
			b.WriteString("${")
			i += 3
		case strings.HasPrefix(text[i:], "${"):
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				p.Addf(where(i), "${ without its }; write $${ for the two characters themselves")
				return "", p.Err()
			}
			name := text[i+2 : i+end]
			if value, ok := v[name]; ok {
				b.WriteString(value.flat())
				if b.Len() > maxBytes {
					p.Addf(where(i), "the text grows larger than 1 MiB with its variables filled in")
					return "", p.Err()
				}
			} else {
				p.Addf(where(i), "unknown variable %q%s; write $${%s} for the text itself", name, Suggest(name, v.Names()), name)
			}
			i += end + 1
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String(), p.Err()
}

// flat is a value inside a longer text.
func (n *Node) flat() string {
	if n.Kind != List {
		return n.Text
	}
	words := make([]string, len(n.Items))
	for i, item := range n.Items {
		words[i] = item.Text
	}
	return strings.Join(words, " ")
}

// Substitute fills variables into every text value of the tree, in place. A
// text that is nothing but one reference becomes the variable's value with its
// type. Keys are left alone. What is filled in is bounded as a document is, so
// that a short recipe cannot become a huge one.
func Substitute(n *Node, vars Vars) error {
	s := &substitution{vars: vars, left: 8 * maxBytes}
	s.fill(n)
	return s.Err()
}

type substitution struct {
	Problems
	vars Vars
	// left is how many bytes may yet be filled in.
	left int
}

func (s *substitution) fill(n *Node) {
	for _, item := range n.Items {
		s.fill(item)
	}
	for _, e := range n.Entries {
		s.fill(e.Value)
	}
	if n.Kind != String || !strings.Contains(n.Text, "${") || s.left < 0 || s.full() {
		return
	}
	if value, ok := s.vars[whole(n)]; ok {
		s.spend(n, len(value.Text)+nodeCost*len(value.Items))
		filled := value.Clone()
		filled.move(n.Pos)
		filled.filled = true
		*n = *filled
		return
	}
	text, err := s.vars.Expand(n.Text, n.Where)
	s.Add(err)
	s.spend(n, len(text))
	n.Text = text
}

// nodeCost is about what one node takes in memory, in bytes.
const nodeCost = 128

func (s *substitution) spend(n *Node, bytes int) {
	if s.left -= bytes; s.left < 0 {
		s.Addf(n.Pos, "the recipe grows larger than %d MiB with its variables filled in", 8*maxBytes>>20)
	}
}

// whole is the name of the variable that is all of a scalar's text, or "".
func whole(n *Node) string {
	name, ok := strings.CutPrefix(n.Text, "${")
	if !ok || n.block != 0 || strings.IndexByte(name, '}') != len(name)-1 {
		return ""
	}
	return name[:len(name)-1]
}

// move makes a tree stand at pos: a filled-in value stands where it is used.
func (n *Node) move(pos Position) {
	n.Pos = pos
	for _, item := range n.Items {
		item.move(pos)
	}
}

// Where is the position of a byte of a scalar's text: exact in literal blocks,
// the start of the value elsewhere.
func (n *Node) Where(offset int) Position {
	if n.block == 0 || n.Pos.Doc == nil || offset > len(n.Text) {
		return n.Pos
	}
	line := n.block + strings.Count(n.Text[:offset], "\n")
	if line > len(n.Pos.Doc.lines) {
		return n.Pos
	}
	rest, _, _ := strings.Cut(n.Text[offset:], "\n")
	column := strings.Index(n.Pos.Doc.lines[line-1], rest)
	if column < 0 {
		// A folded block: its lines do not stand as they were written.
		return n.Pos
	}
	return Position{Doc: n.Pos.Doc, Line: line, Column: column + 1}
}
