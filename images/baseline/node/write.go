package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Canonical is an encoding for hashing: JSON with sorted keys, without
// positions, so that comments, white space, quoting and the order of keys
// change nothing. The order of lists counts.
func Canonical(n *Node) []byte {
	var b bytes.Buffer
	canonical(&b, n)
	return b.Bytes()
}

func canonical(b *bytes.Buffer, n *Node) {
	if n == nil {
		b.WriteString("null")
		return
	}
	switch n.Kind {
	case String:
		text, _ := json.Marshal(n.Text) // a string always encodes
		b.Write(text)
	case Int, Bool:
		// As written: a mode of 0644 is not the number 644.
		fmt.Fprintf(b, `{"%s":%q}`, map[Kind]string{Int: "int", Bool: "bool"}[n.Kind], n.Text)
	case List:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			canonical(b, item)
		}
		b.WriteByte(']')
	case Map:
		keys := n.Keys()
		sort.Strings(keys)
		b.WriteByte('{')
		for i, key := range keys {
			if i > 0 {
				b.WriteByte(',')
			}
			text, _ := json.Marshal(key)
			b.Write(text)
			b.WriteByte(':')
			canonical(b, n.Get(key))
		}
		b.WriteByte('}')
	default:
		b.WriteString("null")
	}
}

// MarshalJSON is the canonical encoding.
func (n *Node) MarshalJSON() ([]byte, error) { return Canonical(n), nil }

// Plain is the tree as encoding/json writes it for people and their programs:
// true and 80 are no texts, and a number with a leading zero, which is a mode,
// stays the text that it was. nil is nil.
func Plain(n *Node) any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Int:
		if i, err := strconv.ParseInt(n.Text, 10, 64); err == nil && strconv.FormatInt(i, 10) == n.Text {
			return i
		}
		return n.Text
	case List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			list[i] = Plain(item)
		}
		return list
	case Map:
		m := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			m[e.Key] = Plain(e.Value)
		}
		return m
	case Null:
		return nil
	}
	return n.Text
}

// Line is one line of a tree written as YAML.
type Line struct {
	Text string
	// Origin is where the line's key or item was written; its Doc is nil for
	// the inner lines of a block of text.
	Origin Position
}

// Lines writes a tree as YAML that reads back as the same tree, with the
// origin of every line.
func Lines(n *Node) []Line {
	w := &writer{}
	w.block(n, "")
	return w.lines
}

type writer struct{ lines []Line }

func (w *writer) add(origin Position, text string) {
	w.lines = append(w.lines, Line{Text: text, Origin: origin})
}

func (w *writer) block(n *Node, indent string) {
	for _, e := range n.Entries {
		w.value(indent+quote(e.Key)+":", e.Value, e.Pos, indent+"  ")
	}
	for _, item := range n.Items {
		if item.Kind == Map && len(item.Entries) > 0 {
			first := len(w.lines)
			w.block(item, indent+"  ")
			w.lines[first].Text = indent + "- " + strings.TrimPrefix(w.lines[first].Text, indent+"  ")
			continue
		}
		w.value(indent+"-", item, item.Pos, indent+"  ")
	}
}

func (w *writer) value(head string, n *Node, origin Position, indent string) {
	switch n.Kind {
	case Map, List:
		if len(n.Entries)+len(n.Items) == 0 {
			w.add(origin, head+" "+map[Kind]string{Map: "{}", List: "[]"}[n.Kind])
			return
		}
		w.add(origin, head)
		w.block(n, indent)
	case String:
		if !literal(n.Text) {
			w.add(origin, head+" "+quote(n.Text))
			return
		}
		w.add(origin, head+" |")
		for _, line := range strings.Split(strings.TrimSuffix(n.Text, "\n"), "\n") {
			if line != "" {
				line = indent + line
			}
			w.add(Position{}, line)
		}
	case Null:
		w.add(origin, head)
	default:
		w.add(origin, head+" "+n.Text)
	}
}

// literal says whether a text can stand as a plain "|" block: several lines
// that end by one newline, no control characters, no indented or empty first
// line.
func literal(text string) bool {
	body, ok := strings.CutSuffix(text, "\n")
	if !ok || !strings.Contains(body, "\n") || strings.HasSuffix(body, "\n") ||
		strings.HasPrefix(body, " ") || strings.HasPrefix(body, "\n") || strings.HasPrefix(body, "#") {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return (r < ' ' && r != '\n') || r == 0x7f || r == 0x85 || r == 0x2028 || r == 0x2029 || r == 0xfeff
	}) && !strings.Contains(text, " \n")
}

// quote writes a scalar text, plain where no reader could take it for
// something else.
func quote(text string) string {
	plain := text != ""
	for i, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 && r != '/' || !(r >= '0' && r <= '9') && !strings.ContainsRune("/._+@- =,()", r)) {
			plain = false
		}
	}
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain && !strings.HasSuffix(text, " ") {
		return text
	}
	quoted, _ := json.Marshal(text) // a JSON string is a YAML one
	return string(quoted)
}
