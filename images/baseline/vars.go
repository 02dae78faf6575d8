package baseline

import (
	"imgbuild/images/baseline/node"
)

// builtIn are the variables every recipe has.
var builtIn = []string{"arch", "name", "suite"}

// variables merges the declarations of a chain. It returns them as a node of
// the resolved recipe (nil without any) and the values, built-in ones included:
// arch, the Debian name of the machine; suite; name, the recipe's.
func variables(chain []*node.Node, name, arch string) (*node.Node, node.Vars, error) {
	problems := &node.Problems{}
	var declared *node.Node
	suite := ""
	for _, tree := range chain {
		if s := tree.Get("suite"); s != nil {
			suite = s.Text
		}
		list := tree.Get("vars")
		if list == nil {
			continue
		}
		if list.Kind != node.Map {
			problems.Addf(list.Pos, "expected a map of variables, found %s", list.Kind)
			continue
		}
		if declared == nil {
			declared = &node.Node{Kind: node.Map, Pos: list.Pos}
		}
		for _, e := range list.Entries {
			declare(problems, declared, e)
		}
	}
	vars := node.Vars{}
	for _, e := range declaredEntries(declared) {
		if e.Value.Get("default") == nil {
			problems.Addf(e.Pos, "variable %q has no value; set it under vars in the recipe that extends this one", e.Key)
			continue
		}
		vars[e.Key] = e.Value.Get("default")
	}
	pos := chain[len(chain)-1].Pos
	for i, text := range []string{arch, name, suite} {
		vars[builtIn[i]] = &node.Node{Kind: node.String, Pos: pos, Text: text}
	}
	return declared, vars, problems.Err()
}

func declaredEntries(declared *node.Node) []node.Entry {
	if declared == nil {
		return nil
	}
	return declared.Entries
}

// declare lays one declaration over those of the ancestors. The short form
// "port: 80" gives a value, and a type by it when the variable is new.
func declare(p *node.Problems, declared *node.Node, e node.Entry) {
	for _, taken := range builtIn {
		if e.Key == taken {
			p.Addf(e.Pos, "variable %q is built in and cannot be set", e.Key)
			return
		}
	}
	if !variableName.MatchString(e.Key) {
		p.Addf(e.Pos, "%q is not the name of a variable: lower-case letters, digits, _ and -", e.Key)
		return
	}
	own := e.Value
	if own.Kind != node.Map {
		own = &node.Node{Kind: node.Map, Pos: e.Value.Pos, Entries: []node.Entry{{Key: "default", Pos: e.Pos, Value: e.Value}}}
	}
	var v Variable
	if err := node.Decode(own, &v); err != nil {
		p.Add(err)
		return
	}
	old := declared.Get(e.Key)
	merged := own.Clone()
	if old != nil {
		merged = node.Merge(old, own, nil)
		if v.Default != nil && v.Default.Kind == node.List {
			set(drop(merged, "default"), "default", v.Default)
		}
	}
	kind := merged.Get("type")
	if kind == nil {
		if v.Default == nil {
			p.Addf(e.Pos, `variable %q: expected a "type" or a "default"`, e.Key)
			return
		}
		kind = &node.Node{Kind: node.String, Pos: v.Default.Pos, Text: typeOf(v.Default)}
		set(merged, "type", kind)
	}
	if value := merged.Get("default"); value != nil && typeOf(value) != kind.Text {
		p.Addf(value.Pos, "variable %q is of type %s (%s), found %s", e.Key, kind.Text, kind.Pos, value.Kind)
		return
	}
	set(drop(declared, e.Key), e.Key, merged)
}

// typeOf names the type of a value, "" for what no variable holds.
func typeOf(n *node.Node) string {
	switch n.Kind {
	case node.String:
		return "string"
	case node.Int:
		return "int"
	case node.Bool:
		return "bool"
	case node.List:
		for _, item := range n.Items {
			if item.Kind == node.Map || item.Kind == node.List || item.Kind == node.Null {
				return ""
			}
		}
		return "list"
	default:
		return ""
	}
}

func drop(tree *node.Node, key string) *node.Node {
	for i, e := range tree.Entries {
		if e.Key == key {
			tree.Entries = append(tree.Entries[:i:i], tree.Entries[i+1:]...)
			break
		}
	}
	return tree
}
