package term

import (
	"slices"

	"imgbuild/images/baseline/node"
)

// Short gives the short form of a state that of a map: one of words says that
// what it names is true, anything else is the value.
func Short(n *node.Node, words ...string) *node.Node {
	switch {
	case n.Kind == node.Map:
		return n
	case n.Kind == node.String && slices.Contains(words, n.Text):
		return Under(n.Text, &node.Node{Kind: node.Bool, Text: "true", Pos: n.Pos})
	}
	return Under("value", n)
}

// Under is the map with n alone.
func Under(key string, n *node.Node) *node.Node {
	return &node.Node{Kind: node.Map, Pos: n.Pos, Entries: []node.Entry{{Key: key, Pos: n.Pos, Value: n}}}
}
