// Package control is hardening rules: what each demands and why, which sections
// of which benchmarks it meets, which of them a profile takes, what was found
// when they were held against a system, and what of that was accepted by a
// waiver. It reads definitions and adds results up; it never looks at a system,
// and does not know what the resources of a control mean.
package control

import (
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
)

// Severity is how much it matters that a control is not met.
type Severity string

// The severities, from the least.
const (
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

var severities = []Severity{Low, Medium, High, Critical}

// AtLeast tells whether s matters as much as other, or more.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(severities, s) >= slices.Index(severities, other)
}

// Output is a form of an image that a control is held against.
type Output string

// The outputs. A disk is a machine, and so is a live host.
const (
	Container Output = "container"
	Machine   Output = "vm"
)

// Control is one hardening rule: a desired state, and why.
type Control struct {
	// ID is its name in the set of controls.
	ID        string   `json:"-"`
	Title     string   `json:"title" jsonschema:"required"`
	Severity  Severity `json:"severity" jsonschema:"required,enum=low,enum=medium,enum=high,enum=critical"`
	Rationale string   `json:"rationale" jsonschema:"required"`
	// Impact says what stops working, or "" when nothing does.
	Impact string `json:"impact,omitempty"`
	// Platforms it is made for, by the ID of os-release(5) and the first part of
	// its VERSION_ID; all when empty. One that is misspelt would be none.
	Platforms []string `json:"platforms,omitempty" jsonschema:"enum=debian-11,enum=debian-12,enum=debian-13,enum=windows-server-2019,enum=windows-server-2022,enum=windows-server-2025"`
	// Outputs it is held against; all when empty.
	Outputs []Output `json:"outputs,omitempty" jsonschema:"enum=container,enum=vm"`
	// References are what other rule sets call it, by their name, such as
	// "stig". Those to benchmarks and guides are in their files.
	References map[string][]string `json:"references,omitempty"`
	// When is a map of resources: the control is applicable to systems that
	// are in their state. Nil is to every one.
	When *node.Node `json:"when,omitempty"`
	// Resources is the undecoded desired state.
	Resources *node.Node `json:"resources" jsonschema:"required"`

	pos node.Position
}

// Pos is where the control is defined.
func (c *Control) Pos() node.Position { return c.pos }

// On tells whether the control is held against an output of a platform.
func (c *Control) On(platform string, output Output) bool {
	return (len(c.Platforms) == 0 || slices.Contains(c.Platforms, platform)) &&
		(len(c.Outputs) == 0 || slices.Contains(c.Outputs, output))
}

// Validate checks what the types alone cannot say.
func (c *Control) Validate(n *node.Node) error {
	p := &node.Problems{}
	for _, key := range []string{"when", "resources"} {
		if value := n.Get(key); value != nil && (value.Kind != node.Map || len(value.Entries) == 0) {
			p.Addf(value.Pos, "expected a map of resources for %q, found %s", key, value.Kind)
		}
	}
	for _, key := range []string{"when", "resources"} {
		for _, kind := range n.Get(key).Keys() {
			if of := n.Get(key).Get(kind); of.Kind == node.Map && len(of.Entries) == 0 {
				p.Addf(n.Get(key).At(kind), "%q has no resource", kind)
			}
		}
	}
	for _, key := range []string{"title", "rationale"} {
		if value := n.Get(key); value != nil && strings.TrimSpace(value.Text) == "" {
			p.Addf(value.Pos, "%q is empty", key)
		}
	}
	if references := n.Get("references"); references != nil {
		for _, e := range references.Entries {
			checkRequirements(p, e)
		}
	}
	return p.Err()
}

// Set is all that is known of controls.
type Set struct {
	// Controls, Benchmarks, Guides and Profiles are by id.
	Controls   map[string]*Control
	Benchmarks map[string]*Benchmark
	Guides     map[string]*Guide
	Profiles   map[string]*Profile
}

// IDs are the controls' ids, sorted.
func (s *Set) IDs() []string { return sortedKeys(s.Controls) }

// Reference is a section of a benchmark that a control is there for, or a
// requirement that it helps to meet.
type Reference struct {
	// Benchmark is the id of a benchmark or guide.
	Benchmark string `json:"benchmark"`
	// Version is empty for what the control itself refers to.
	Version string `json:"version,omitempty"`
	// Section is its number, or the id of a requirement.
	Section string `json:"section"`
	// Level is of a benchmark's section, else 0.
	Level int `json:"level,omitempty"`
}

// References are the sections that a control meets, by benchmark and then in
// the order of sections; then what guides and the control itself refer to.
func (s *Set) References(control string) []Reference {
	var list []Reference
	for _, id := range sortedKeys(s.Benchmarks) {
		b := s.Benchmarks[id]
		for _, section := range b.Sections {
			if slices.Contains(section.Controls, control) {
				list = append(list, Reference{Benchmark: id, Version: b.Version, Section: section.ID, Level: section.Level})
			}
		}
	}
	for _, id := range sortedKeys(s.Guides) {
		g := s.Guides[id]
		for _, requirement := range g.Controls[control] {
			list = append(list, Reference{Benchmark: id, Version: g.Version, Section: requirement})
		}
	}
	if c := s.Controls[control]; c != nil {
		for _, name := range sortedKeys(c.References) {
			for _, requirement := range c.References[name] {
				list = append(list, Reference{Benchmark: name, Section: requirement})
			}
		}
	}
	return list
}
