package control

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
)

// The places of definitions in a tree of them: controls are in every .yaml at
// its top, many in a file; each benchmark and each guide is a file of its own.
const (
	benchmarkDir = "benchmarks"
	guideDir     = "references"
	profilesFile = "profiles.yaml"
)

// maxFiles bounds the files of one tree.
const maxFiles = 1000

var idPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Source is a tree of definitions.
type Source struct {
	// Name begins the names of its files in errors.
	Name  string
	Files fs.FS
}

// Load reads the definitions of all sources into one set, in which every id is
// known and given once. Errors are fault.Input and list every mistake with
// file, line and column.
func Load(sources ...Source) (*Set, error) {
	l := &loader{set: &Set{
		Controls: map[string]*Control{}, Benchmarks: map[string]*Benchmark{}, Guides: map[string]*Guide{}, Profiles: map[string]*Profile{},
	}}
	for _, source := range sources {
		if err := l.read(source); err != nil {
			return nil, err
		}
	}
	l.link()
	if err := l.Err(); err != nil {
		return nil, err
	}
	return l.set, nil
}

type loader struct {
	node.Problems
	set *Set
}

func (l *loader) read(source Source) error {
	var files []string
	for _, pattern := range []string{"*.yaml", benchmarkDir + "/*.yaml", guideDir + "/*.yaml"} {
		found, err := fs.Glob(source.Files, pattern)
		if err != nil {
			return fmt.Errorf("reading controls: %w", err)
		}
		files = append(files, found...)
	}
	if len(files) > maxFiles {
		return fmt.Errorf("reading controls: %s has more than %d files", source.Name, maxFiles)
	}
	for _, name := range files {
		data, err := fs.ReadFile(source.Files, name)
		if err != nil {
			return fmt.Errorf("reading controls: %w", err)
		}
		tree, err := node.Parse(path.Join(source.Name, name), source.Files, name, data)
		switch {
		case err != nil:
			l.Add(err)
		case tree.Kind != node.Map:
			l.Addf(tree.Pos, "expected a map by id, found %s", tree.Kind)
		case path.Dir(name) == benchmarkDir:
			l.benchmark(strings.TrimSuffix(path.Base(name), ".yaml"), tree)
		case path.Dir(name) == guideDir:
			l.guide(strings.TrimSuffix(path.Base(name), ".yaml"), tree)
		case name == profilesFile:
			l.profiles(tree)
		default:
			l.controls(tree)
		}
	}
	return nil
}

func (l *loader) controls(tree *node.Node) {
	for _, e := range tree.Entries {
		c := &Control{ID: e.Key, pos: e.Pos}
		l.Add(node.Decode(e.Value, c))
		if !idPattern.MatchString(e.Key) {
			l.Addf(e.Pos, "%q is not an id: lower-case letters and digits, in words with a hyphen between", e.Key)
		}
		if first, twice := l.set.Controls[e.Key]; twice {
			l.Addf(e.Pos, "control %q is defined already at %s", e.Key, first.pos)
			continue
		}
		l.set.Controls[e.Key] = c
	}
}

func (l *loader) benchmark(id string, tree *node.Node) {
	b := &Benchmark{ID: id}
	l.Add(node.Decode(tree, b))
	if _, twice := l.set.Benchmarks[id]; twice {
		l.Addf(tree.Pos, "benchmark %q is defined already", id)
		return
	}
	l.set.Benchmarks[id] = b
}

func (l *loader) guide(id string, tree *node.Node) {
	g := &Guide{ID: id}
	l.Add(node.Decode(tree, g))
	if _, twice := l.set.Guides[id]; twice {
		l.Addf(tree.Pos, "guide %q is defined already", id)
		return
	}
	l.set.Guides[id] = g
}

func (l *loader) profiles(tree *node.Node) {
	for _, e := range tree.Entries {
		p := &Profile{ID: e.Key, pos: e.Pos}
		l.Add(node.Decode(e.Value, p))
		if first, twice := l.set.Profiles[e.Key]; twice {
			l.Addf(e.Pos, "profile %q is defined already at %s", e.Key, first.pos)
			continue
		}
		l.set.Profiles[e.Key] = p
	}
}

// link checks that what is named is there.
func (l *loader) link() {
	for _, id := range sortedKeys(l.set.Benchmarks) {
		for _, section := range l.set.Benchmarks[id].Sections {
			for _, name := range section.Controls {
				if l.set.Controls[name] == nil {
					l.Addf(section.pos, "section %s: unknown control %q%s", section.ID, name, node.Suggest(name, l.set.IDs()))
				}
			}
		}
	}
	for _, id := range sortedKeys(l.set.Guides) {
		g := l.set.Guides[id]
		for _, name := range sortedKeys(g.Controls) {
			if l.set.Controls[name] == nil {
				l.Addf(g.pos[name], "unknown control %q%s", name, node.Suggest(name, l.set.IDs()))
			}
		}
	}
	for _, id := range sortedKeys(l.set.Profiles) {
		for _, name := range l.set.Profiles[id].Benchmarks {
			if l.set.Benchmarks[name] == nil {
				l.Addf(l.set.Profiles[id].pos, "profile %s: unknown benchmark %q%s", id, name, node.Suggest(name, sortedKeys(l.set.Benchmarks)))
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
