package baseline

import (
	"context"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// maxGenerations bounds a chain of parents.
const maxGenerations = 16

// Load reads the recipe called name with its ancestors and merges them into
// one, for a machine of architecture arch (a Debian name; "" takes the first
// that the recipe has). Errors are fault.Input and list every mistake with
// file, line and column.
func Load(ctx context.Context, src *Source, name, arch string) (*Recipe, error) {
	chain, err := src.chain(ctx, name)
	if err != nil {
		return nil, err
	}
	if arch, err = architecture(chain, arch); err != nil {
		return nil, err
	}
	declared, vars, err := variables(chain, name, arch)
	if err != nil {
		return nil, err
	}
	problems := &node.Problems{}
	for _, generation := range chain {
		problems.Add(fill(generation, vars))
	}
	if err := problems.Err(); err != nil {
		return nil, err
	}
	tree, err := mergeChain(chain)
	if err != nil {
		return nil, err
	}
	if declared != nil {
		set(tree, "vars", declared)
	}
	order := node.Fields(reflect.TypeFor[Recipe]())
	slices.SortStableFunc(tree.Entries, func(a, b node.Entry) int {
		return slices.Index(order, a.Key) - slices.Index(order, b.Key)
	})
	r := &Recipe{}
	if err := node.Decode(tree, r); err != nil {
		return nil, err
	}
	r.Name, r.Architecture, r.tree, r.values = name, arch, tree, vars
	r.Packages = restrict(r.Packages, arch)
	r.Boot.Packages = restrict(r.Boot.Packages, arch)
	r.generations = generations(chain, r)
	if extends := chain[len(chain)-1].Get("extends"); extends != nil {
		r.Extends = extends.Text
	}
	return r, harden(src, r)
}

// harden looks the recipe's controls up.
func harden(src *Source, r *Recipe) error {
	chosen := r.tree.Get("controls")
	if chosen == nil && !r.Gates.Scanned() {
		return nil
	}
	set, err := src.Controls()
	if err != nil {
		return err
	}
	r.controlSet = set
	p := &node.Problems{}
	for _, e := range entries(r.tree.Get("gates").Get("min-score")) {
		if set.Benchmarks[e.Key] == nil {
			p.Addf(e.Pos, "unknown benchmark %q%s", e.Key, node.Suggest(e.Key, slices.Collect(maps.Keys(set.Benchmarks))))
		}
	}
	for _, item := range items(chosen.Get("except")) {
		if set.Controls[item.Text] == nil {
			p.Addf(item.Pos, "unknown control %q%s", item.Text, node.Suggest(item.Text, set.IDs()))
		}
	}
	for _, e := range entries(chosen.Get("waive")) {
		if set.Controls[e.Key] == nil {
			p.Addf(e.Pos, "unknown control %q%s", e.Key, node.Suggest(e.Key, set.IDs()))
		}
	}
	taken := map[control.Output]map[string]*control.Control{control.Container: {}, control.Machine: {}}
	for _, item := range items(chosen.Get("profiles")) {
		for output, by := range taken {
			list, err := set.Select(item.Pos, r.Platform(), output, item.Text)
			if err != nil {
				p.Add(err)
				break
			}
			for _, c := range list {
				by[c.ID] = c
			}
		}
	}
	r.hardening = map[control.Output][]*control.Control{}
	for output, by := range taken {
		for _, id := range slices.Sorted(maps.Keys(by)) {
			if !slices.Contains(r.Controls.Except, id) {
				r.hardening[output] = append(r.hardening[output], by[id])
			}
		}
	}
	return p.Err()
}

// chain reads a recipe and its ancestors, the oldest first.
func (s *Source) chain(ctx context.Context, name string) ([]*node.Node, error) {
	tree, err := s.find(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	chain := []*node.Node{tree}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if tree.Kind != node.Map {
			return nil, node.Errorf(tree.Pos, "expected a map of a recipe's keys, found %s", tree.Kind)
		}
		if err := checkName(tree); err != nil {
			return nil, err
		}
		extends := tree.Get("extends")
		if extends == nil {
			slices.Reverse(chain)
			return chain, nil
		}
		if extends.Kind != node.String {
			return nil, node.Errorf(extends.Pos, `expected the name of one parent for "extends", found %s`, extends.Kind)
		}
		if strings.Contains(extends.Text, "/") || strings.HasSuffix(extends.Text, ".yaml") {
			tree, err = s.relative(extends)
		} else {
			tree, err = s.find(ctx, extends.Text, extends)
		}
		if err != nil {
			return nil, err
		}
		for _, seen := range chain {
			if seen.Pos.Doc.Name == tree.Pos.Doc.Name {
				return nil, node.Errorf(extends.Pos, "%s is its own ancestor by way of %q", seen.Pos.Doc.Name, extends.Text)
			}
			if nameOf(seen) == nameOf(tree) {
				return nil, node.Errorf(extends.Pos, "%s and its ancestor %s have the same name; rename one", seen.Pos.Doc.Name, tree.Pos.Doc.Name)
			}
		}
		if chain = append(chain, tree); len(chain) > maxGenerations {
			return nil, node.Errorf(extends.Pos, "more than %d generations", maxGenerations)
		}
	}
}

// nameOf is the name that a recipe's file gives it.
func nameOf(tree *node.Node) string {
	return strings.TrimSuffix(path.Base(tree.Pos.Doc.Path), ".yaml")
}

func checkName(tree *node.Node) error {
	name := nameOf(tree)
	if !baselineName.MatchString(name) {
		return node.Errorf(tree.Pos, "a recipe's file name has lower-case letters, digits, dots and hyphens only")
	}
	if strings.HasSuffix(name, "-leaf") {
		return node.Errorf(tree.Pos, "a recipe's name does not end in -leaf: the package layers of its parent do")
	}
	if strings.HasSuffix(name, ".amd64") || strings.HasSuffix(name, ".arm64") {
		return node.Errorf(tree.Pos, "a recipe's name does not end in an architecture: locks for further ones do")
	}
	if given := tree.Get("name"); given != nil && given.Text != name {
		return node.Errorf(given.Pos, "expected %q, the name of the file, found %q", name, given.Text)
	}
	return nil
}

// architecture settles what to load for: "" is the first that is left of the
// chain's lists.
func architecture(chain []*node.Node, arch string) (string, error) {
	var have []string
	for _, tree := range chain {
		for _, item := range items(tree.Get("remove").Get("architectures")) {
			have = slices.DeleteFunc(have, func(arch string) bool { return arch == item.Text })
		}
		for _, item := range items(tree.Get("architectures")) {
			if !slices.Contains(have, item.Text) {
				have = append(have, item.Text)
			}
		}
	}
	if arch == "" && len(have) > 0 {
		return have[0], nil
	}
	if len(have) > 0 && !slices.Contains(have, arch) {
		return "", fault.Inputf("baseline %s is not made for %s; its architectures are %s",
			nameOf(chain[len(chain)-1]), arch, strings.Join(have, ", "))
	}
	return arch, nil
}

// fill fills variables into one recipe. What is kept as written: the
// declarations themselves, and the text of scripts, in which ${x} is the
// shell's.
func fill(tree *node.Node, vars node.Vars) error {
	p := &node.Problems{}
	for _, e := range tree.Entries {
		switch e.Key {
		case "vars", "name", "description", "extends":
		case "run":
			fillScripts(p, e.Value, vars)
		case "boot":
			for _, inner := range e.Value.Entries {
				if inner.Key == "run" {
					fillScripts(p, inner.Value, vars)
					continue
				}
				p.Add(node.Substitute(inner.Value, vars))
			}
		default:
			p.Add(node.Substitute(e.Value, vars))
		}
	}
	return p.Err()
}

func fillScripts(p *node.Problems, list *node.Node, vars node.Vars) {
	for _, script := range list.Items {
		for _, e := range script.Entries {
			if e.Key != "script" {
				p.Add(node.Substitute(e.Value, vars))
			}
		}
	}
}

// mergeChain lays each recipe over its ancestors.
func mergeChain(chain []*node.Node) (*node.Node, error) {
	problems := &node.Problems{}
	var tree *node.Node
	for i, generation := range chain {
		own := &node.Node{Kind: node.Map, Pos: generation.Pos}
		for _, e := range generation.Entries {
			last := i == len(chain)-1
			switch {
			case e.Key == "remove":
				if tree == nil {
					problems.Addf(e.Pos, `"remove" drops what a parent has; this recipe extends none`)
					continue
				}
				problems.Add(node.Drop(tree, e.Value))
			case e.Key == "extends" || e.Key == "vars":
			case !last && (e.Key == "name" || e.Key == "description"):
			default:
				own.Entries = append(own.Entries, e)
			}
		}
		if tree == nil {
			tree = &node.Node{Kind: node.Map, Pos: generation.Pos}
		}
		if over := own.Get("gates").Get("cves"); over != nil && over.Kind == node.Map {
			spellOut(tree.Get("gates"))
		}
		tree = node.Merge(tree, own, reflect.TypeFor[Recipe]())
		tree.Pos = generation.Pos
	}
	return tree, problems.Err()
}

// spellOut writes cves: high of gates as the map that it stands for, so that a map
// laid over it adds to it and does not take its place.
func spellOut(gates *node.Node) {
	for i, e := range entries(gates) {
		if e.Key == "cves" && e.Value.Kind == node.String {
			severity := node.Entry{Key: "severity", Pos: e.Pos, Value: e.Value}
			gates.Entries[i].Value = &node.Node{Kind: node.Map, Pos: e.Value.Pos, Entries: []node.Entry{severity}}
		}
	}
}

func set(tree *node.Node, key string, value *node.Node) {
	tree.Entries = append(tree.Entries, node.Entry{Key: key, Pos: value.Pos, Value: value})
}

// restrict applies restriction lists: "x [amd64 arm64]" is for those, "x
// [!arm64]" for all others.
func restrict(list []string, arch string) []string {
	var out []string
	for _, item := range list {
		name, rest, restricted := strings.Cut(item, " [")
		if !restricted {
			out = append(out, name)
			continue
		}
		words := strings.Fields(strings.TrimSuffix(rest, "]"))
		wanted := strings.HasPrefix(words[0], "!")
		for _, w := range words {
			if not, negated := strings.CutPrefix(w, "!"); negated {
				wanted = wanted && not != arch
			} else {
				wanted = wanted || w == arch
			}
		}
		if wanted {
			out = append(out, name)
		}
	}
	return out
}

// generations tells which recipe of the chain brought which package.
func generations(chain []*node.Node, r *Recipe) []Generation {
	claimed := map[string]bool{}
	own := func(set string, list *node.Node, final []string) []string {
		var out []string
		kept := map[string]bool{}
		for _, name := range final {
			kept[name] = true
		}
		for _, item := range items(list) {
			name := node.Identity(item)
			if kept[name] && !claimed[set+name] {
				claimed[set+name] = true
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return out
	}
	var list []Generation
	for _, tree := range chain {
		list = append(list, Generation{
			Name: nameOf(tree), File: tree.Pos.Doc.Name,
			Packages:     own("root ", tree.Get("packages"), r.Packages),
			BootPackages: own("boot ", tree.Get("boot").Get("packages"), r.Boot.Packages),
			Priorities:   own("priority ", tree.Get("priorities"), r.Priorities),
		})
	}
	return list
}
