package node

import (
	"reflect"
	"strings"
)

// Identity is what makes two items of a list the same one: the text of a
// scalar without what follows a space ("grub-pc-bin [amd64]" is grub-pc-bin),
// the name of a map.
func Identity(n *Node) string {
	switch n.Kind {
	case String, Int, Bool:
		word, _, _ := strings.Cut(n.Text, " ")
		return word
	case Map:
		if name := n.Get("name"); name != nil {
			return name.Text
		}
	}
	return ""
}

// Merge lays child over parent, both shaped like the struct type t: maps by
// key, lists by identity, scalars and lists tagged merge:"replace" whole. An
// inherited item keeps its place; what the child adds comes after. Neither
// argument is changed. t is nil below a raw *Node field, where lists of
// scalars are joined as well.
func Merge(parent, child *Node, t reflect.Type) *Node {
	return merge(parent, child, t, field{})
}

func merge(parent, child *Node, t reflect.Type, f field) *Node {
	if parent == nil || parent.Kind != child.Kind {
		return child.Clone()
	}
	for t != nil && t.Kind() == reflect.Pointer && t != reflect.TypeFor[*Node]() {
		t = t.Elem()
	}
	if t == reflect.TypeFor[*Node]() {
		t = nil
	}
	switch {
	case parent.Kind == Map:
		out := parent.Clone()
		place := map[string]int{}
		for i, old := range out.Entries {
			place[old.Key] = i
		}
		for _, e := range child.Entries {
			below, inner := step(t, e.Key)
			if i, found := place[e.Key]; found {
				old := &out.Entries[i]
				old.Value = merge(old.Value, e.Value, below, inner)
				if old.Value.Kind != Map {
					old.Pos = e.Pos
				}
				continue
			}
			out.Entries = append(out.Entries, Entry{Key: e.Key, Pos: e.Pos, Value: e.Value.Clone()})
		}
		return out
	case parent.Kind == List && !f.replace:
		var item reflect.Type
		if t != nil && t.Kind() == reflect.Slice {
			item = t.Elem()
		}
		out := parent.Clone()
		place := map[string]int{}
		for i, old := range out.Items {
			place[Identity(old)] = i
		}
		for _, add := range child.Items {
			id := Identity(add)
			if i, found := place[id]; found && id != "" {
				out.Items[i] = merge(out.Items[i], add, item, field{})
				continue
			}
			place[id] = len(out.Items)
			out.Items = append(out.Items, add.Clone())
		}
		return out
	default:
		return child.Clone()
	}
}

// step finds the type below a key, nil where it is not known.
func step(t reflect.Type, key string) (reflect.Type, field) {
	if t == nil {
		return nil, field{}
	}
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), field{name: key}
	case reflect.Struct:
		for _, f := range fieldsOf(t) {
			if f.name == key {
				return t.FieldByIndex(f.index).Type, f
			}
		}
	}
	return nil, field{}
}

// Drop removes from tree what the node drop names: where drop is a map, its
// keys lead into the tree; a list names keys of a map or identities of a list.
// Naming what is not there is a problem. The tree is changed in place.
func Drop(tree, drop *Node) error {
	p := &Problems{}
	dropFrom(tree, drop, "the parent", p)
	return p.Err()
}

func dropFrom(tree, drop *Node, where string, p *Problems) {
	switch drop.Kind {
	case Map:
		for _, e := range drop.Entries {
			below := tree.Get(e.Key)
			if below == nil {
				p.Addf(e.Pos, "cannot remove from %q: %s has none%s", e.Key, where, Suggest(e.Key, tree.Keys()))
				continue
			}
			dropFrom(below, e.Value, where+"'s "+e.Key, p)
		}
	case List:
		for _, item := range drop.Items {
			if p.full() {
				return
			}
			if item.Kind == Map || item.Kind == List || item.Kind == Null {
				p.Addf(item.Pos, "expected a name to remove, found %s", item.describe())
				continue
			}
			dropOne(tree, item, where, p)
		}
	default:
		p.Addf(drop.Pos, "expected a list of names to remove, found %s; write [%s]", drop.describe(), drop.Text)
	}
}

func dropOne(tree, item *Node, where string, p *Problems) {
	var have []string
	for i, e := range tree.Entries {
		if e.Key == item.Text {
			tree.Entries = append(tree.Entries[:i], tree.Entries[i+1:]...)
			return
		}
		have = append(have, e.Key)
	}
	for i, old := range tree.Items {
		id := Identity(old)
		if id == item.Text {
			tree.Items = append(tree.Items[:i], tree.Items[i+1:]...)
			return
		}
		have = append(have, id)
	}
	p.Addf(item.Pos, "cannot remove %q: %s has none%s", item.Text, where, Suggest(item.Text, have))
}
