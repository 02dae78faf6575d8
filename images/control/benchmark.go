package control

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// Benchmark is a published list of recommendations, by section, with what of
// ours meets each. Its text is not ours to repeat: a section is its number.
type Benchmark struct {
	ID      string `json:"-"`
	Title   string `json:"title" jsonschema:"required"`
	Version string `json:"version" jsonschema:"required"`
	// Platforms it was written for; all when empty, as for a benchmark of a
	// program.
	Platforms []string `json:"platforms,omitempty" jsonschema:"enum=debian-11,enum=debian-12,enum=debian-13,enum=windows-server-2019,enum=windows-server-2022,enum=windows-server-2025"`
	// Sections that are recommendations, in their order.
	Sections Sections `json:"sections" jsonschema:"required"`
}

// For tells whether the benchmark speaks of a platform.
func (b *Benchmark) For(platform string) bool {
	return len(b.Platforms) == 0 || slices.Contains(b.Platforms, platform)
}

// Section is one recommendation.
type Section struct {
	// ID is its number, "5.1.20".
	ID string `json:"-"`
	// Level is the least profile level that asks for it: 1 or 2.
	Level int `json:"level" jsonschema:"required"`
	// Controls that together meet it.
	Controls []string `json:"controls,omitempty"`
	// Manual is what a person looks at, where no control can tell; it has a
	// Title then.
	Manual string `json:"manual,omitempty"`
	Title  string `json:"title,omitempty"`

	pos node.Position
}

// Validate checks that it is met by something.
func (s *Section) Validate(n *node.Node) error {
	p := &node.Problems{}
	if s.Level != 1 && s.Level != 2 {
		p.Addf(n.At("level"), "expected level 1 or 2, found %d", s.Level)
	}
	if (len(s.Controls) == 0) == (s.Manual == "") {
		p.Addf(n.Pos, `expected exactly one of "controls" and "manual"`)
	}
	if (s.Manual == "") != (s.Title == "") {
		p.Addf(n.Pos, `"title" goes with "manual", and "manual" with "title"`)
	}
	return p.Err()
}

// Sections are in the order of their numbers.
type Sections []*Section

var sectionID = regexp.MustCompile(`^[1-9][0-9]{0,2}(\.[1-9][0-9]{0,2}){1,6}$`)

// UnmarshalNode reads a map of sections by number.
func (s *Sections) UnmarshalNode(n *node.Node) error {
	if n.Kind != node.Map {
		return node.Errorf(n.Pos, "expected a map of sections by number, found %s", n.Kind)
	}
	p := &node.Problems{}
	for _, e := range n.Entries {
		if !sectionID.MatchString(e.Key) {
			p.Addf(e.Pos, "%q is not the number of a section", e.Key)
			continue
		}
		section := &Section{ID: e.Key, pos: e.Pos}
		p.Add(node.Decode(e.Value, section))
		*s = append(*s, section)
	}
	slices.SortFunc(*s, func(a, b *Section) int { return CompareSections(a.ID, b.ID) })
	return p.Err()
}

// CompareSections orders numbers as a table of contents does: 1.9 before 1.10.
func CompareSections(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), func(x, y string) int {
		m, _ := strconv.Atoi(x) // sectionID has digits only
		n, _ := strconv.Atoi(y)
		return cmp.Compare(m, n)
	})
}

// Profile is a choice of controls: what benchmarks ask for up to a level.
type Profile struct {
	ID          string   `json:"-"`
	Description string   `json:"description" jsonschema:"required"`
	Benchmarks  []string `json:"benchmarks" jsonschema:"required"`
	// Level is the highest that is taken.
	Level int `json:"level" jsonschema:"required"`
	// Outputs it is for; all when empty.
	Outputs []Output `json:"outputs,omitempty" jsonschema:"enum=container,enum=vm"`

	pos node.Position
}

// Validate checks the level.
func (p *Profile) Validate(n *node.Node) error {
	if p.Level != 1 && p.Level != 2 {
		return node.Errorf(n.At("level"), "expected level 1 or 2, found %d", p.Level)
	}
	return nil
}

// Select are the controls that profiles take for an output of a platform,
// sorted by id. An unknown profile is a fault of the input at pos.
func (s *Set) Select(pos node.Position, platform string, output Output, profiles ...string) ([]*Control, error) {
	taken := map[string]bool{}
	for _, name := range profiles {
		profile, ok := s.Profiles[name]
		if !ok {
			return nil, node.Errorf(pos, "unknown profile %q%s", name, node.Suggest(name, sortedKeys(s.Profiles)))
		}
		if len(profile.Outputs) > 0 && !slices.Contains(profile.Outputs, output) {
			continue
		}
		for _, id := range profile.Benchmarks {
			s.Benchmarks[id].take(taken, platform, profile.Level)
		}
	}
	return s.on(platform, output, taken), nil
}

// NoteAsked notes which findings are of what profiles take for an output of a
// platform; all are without any profile. An unknown one is a fault of the input.
func (s *Set) NoteAsked(findings []Finding, platform string, output Output, profiles ...string) error {
	chosen, err := s.Select(node.Position{}, platform, output, profiles...)
	if err != nil {
		return err
	}
	for i := range findings {
		findings[i].Asked = len(profiles) == 0 || slices.ContainsFunc(chosen, func(c *Control) bool { return c.ID == findings[i].Control })
	}
	return nil
}

// Of are the controls that benchmarks ask for up to a level, sorted by id: of
// all benchmarks that speak of the platform when none is named. An unknown one,
// and one that does not speak of the platform, is a fault of the input.
func (s *Set) Of(platform string, output Output, level int, named ...string) ([]*Control, error) {
	benchmarks := named
	if len(named) == 0 {
		benchmarks = sortedKeys(s.Benchmarks)
	}
	if err := s.Known(benchmarks...); err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	for _, id := range benchmarks {
		b := s.Benchmarks[id]
		if !b.For(platform) && len(named) > 0 {
			var others []string
			for _, other := range sortedKeys(s.Benchmarks) {
				if s.Benchmarks[other].For(platform) {
					others = append(others, other)
				}
			}
			return nil, fault.Inputf("benchmark %s does not speak of %s", id, platform).WithHint("those that do: %s", strings.Join(others, ", "))
		}
		b.take(taken, platform, level)
	}
	return s.on(platform, output, taken), nil
}

// Known refuses names that no benchmark has, as a fault of the input.
func (s *Set) Known(benchmarks ...string) error {
	for _, id := range benchmarks {
		if s.Benchmarks[id] == nil {
			return fault.Inputf("unknown benchmark %q%s", id, node.Suggest(id, sortedKeys(s.Benchmarks)))
		}
	}
	return nil
}

// take notes the controls of the benchmark's sections up to a level.
func (b *Benchmark) take(taken map[string]bool, platform string, level int) {
	if !b.For(platform) {
		return
	}
	for _, section := range b.Sections {
		if section.Level <= level {
			for _, id := range section.Controls {
				taken[id] = true
			}
		}
	}
}

// on are those of the taken controls that are held against an output of a
// platform.
func (s *Set) on(platform string, output Output, taken map[string]bool) []*Control {
	var list []*Control
	for _, id := range sortedKeys(taken) {
		if c := s.Controls[id]; c.On(platform, output) {
			list = append(list, c)
		}
	}
	return list
}
