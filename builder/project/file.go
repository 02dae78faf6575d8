package project

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

// maxConfig is the largest configuration file in bytes that is read.
const maxConfig = 1 << 20

// The keys of imgbuild.yaml that are no Setting.
const trustKey = "trust"

// policyKeys are those of policy: which are no text and have no flag.
var policyKeys = []string{"policy.trial", "policy.two-person", "policy.auto-approve", "policy.hold", "policy.hold-for"}

var trustFields = []string{"name", "key", "catalog", "not-after", "withdrawn", "for"}

// origin is where the value of a setting was written.
type origin struct {
	// subject begins an error about it: "acme/imgbuild.yaml:3:1: mirror",
	// "IMGBUILD_MIRROR" or "--mirror".
	subject string
	// dir is where a relative path in it starts.
	dir string
}

// settingsFile is imgbuild.yaml, its keys and the kinds of its values checked.
type settingsFile struct {
	name string
	// values are texts and lists by the name of the setting, but for trust:,
	// which has maps in its list.
	values map[string]any
	places map[string]node.Position
	// rules are those of policy:, without the mode, which is a setting.
	rules policy.Policy
}

func readFile(name string) (*settingsFile, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	if info.Size() > maxConfig {
		return nil, fault.Inputf("reading settings: %s has %d bytes, more than any configuration", name, info.Size())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	tree, err := node.Parse(name, nil, "", text)
	if err != nil {
		return nil, fmt.Errorf("reading settings: %w", err)
	}
	if tree.Kind != node.Map {
		return nil, fault.Inputf("%s: expected settings such as \"mirror: URL\", found %s", tree.Pos, tree.Kind)
	}
	f := &settingsFile{name: name, values: map[string]any{}, places: map[string]node.Position{}}
	rules := &node.Node{Kind: node.Map, Pos: tree.Pos}
	if err := f.read(tree, "", rules); err != nil {
		return nil, err
	}
	return f, node.Decode(rules, &f.rules)
}

// read takes the values of one map; group is "" at the top, else "archive."
// and the like. What is of the policy's rules is added to those.
func (f *settingsFile) read(m *node.Node, group string, rules *node.Node) error {
	known := append([]string{trustKey}, policyKeys...)
	for _, s := range Settings() {
		known = append(known, s.Key)
	}
	for _, e := range m.Entries {
		key := group + e.Key
		if first, twice := f.places[key]; twice {
			return fault.Inputf("%s: %s was given already at line %d", e.Pos, key, first.Line)
		}
		members := slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.HasPrefix(k, key+".") })
		var err error
		switch {
		case slices.Contains(policyKeys, key):
			f.places[key] = e.Pos
			if e.Value.Kind != node.Null { // as if it were not there
				rules.Entries = append(rules.Entries, node.Entry{Key: strings.TrimPrefix(key, "policy."), Pos: e.Pos, Value: e.Value})
			}
		case slices.Contains(known, key):
			f.places[key] = e.Pos
			err = f.value(key, e.Value)
		case len(members) == 0:
			return unknownKey(e.Pos, key, known)
		case e.Value.Kind == node.Map:
			err = f.read(e.Value, key+".", rules)
		case e.Value.Kind != node.Null: // a group alone on its line harms nothing
			err = fault.Inputf("%s: %s: expected a map, found %s", e.Value.Pos, key, e.Value.Kind).
				WithHint("it holds %s, each on a line of its own below it", strings.Join(members, ", "))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func unknownKey(at node.Position, key string, known []string) error {
	err := fault.Inputf("%s: unknown setting %q", at, key)
	if near := node.Nearest(key, known); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	return err.WithHint("known settings: %s", strings.Join(known, ", "))
}

func (f *settingsFile) value(key string, n *node.Node) error {
	if n.Kind == node.Null {
		return nil // as if it were not there
	}
	isList := key == trustKey || slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Key == key && s.List })
	if !isList || key != trustKey && n.Kind == node.String {
		text, err := scalar(key, n)
		f.values[key] = text
		return err
	}
	if n.Kind != node.List {
		return fault.Inputf("%s: %s: expected a list, found %s", n.Pos, key, n.Kind).WithHint("write each entry on a line of its own, after a hyphen")
	}
	list := []any{}
	for _, item := range n.Items {
		var entry any
		var err error
		if key == trustKey {
			entry, err = trustEntry(item)
		} else {
			entry, err = scalar(key, item)
		}
		if err != nil {
			return err
		}
		list = append(list, entry)
	}
	f.values[key] = list
	return nil
}

func trustEntry(n *node.Node) (map[string]any, error) {
	if n.Kind != node.Map {
		return nil, fault.Inputf("%s: trust: each entry is a mapping with name: and key:, found %s", n.Pos, n.Kind)
	}
	entry := map[string]any{}
	for _, e := range n.Entries {
		if !slices.Contains(trustFields, e.Key) {
			return nil, unknownKey(e.Pos, e.Key, trustFields)
		}
		if e.Value.Kind == node.Null {
			continue
		}
		text, err := scalar("trust: "+e.Key, e.Value)
		if err != nil {
			return nil, err
		}
		entry[e.Key] = text
	}
	return entry, nil
}

// scalar is a value as it was written.
func scalar(key string, n *node.Node) (string, error) {
	if n.Kind != node.String && n.Kind != node.Int {
		return "", fault.Inputf("%s: %s: expected text, found %s", n.Pos, key, n.Kind)
	}
	return n.Text, nil
}

// nested are the values as a tree: archive.dir is dir in archive.
func (f *settingsFile) nested() map[string]any {
	tree := map[string]any{}
	for key, value := range f.values {
		at := tree
		for {
			group, rest, deeper := strings.Cut(key, ".")
			if !deeper {
				at[key] = value
				break
			}
			inner, ok := at[group].(map[string]any)
			if !ok {
				inner = map[string]any{}
				at[group] = inner
			}
			at, key = inner, rest
		}
	}
	return tree
}

func (f *settingsFile) origins() map[string]origin {
	out := map[string]origin{}
	for key, at := range f.places {
		out[key] = origin{subject: fmt.Sprintf("%s: %s", at, key), dir: filepath.Dir(f.name)}
	}
	return out
}
