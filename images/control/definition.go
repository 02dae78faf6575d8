package control

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/strictjson"
)

// Definition is a control as it was when an image was made, for a later
// comparison.
type Definition struct {
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Impact   string   `json:"impact,omitempty"`
	// Applied are the outputs that it was applied for; it was held against all
	// that it is for.
	Applied []Output `json:"applied,omitempty"`
	// When and Resources are YAML, a line each. Of a control of which no more
	// than its finding is known Resources is empty.
	When      []string `json:"when,omitempty"`
	Resources []string `json:"resources,omitempty"`
	// References are the sections of benchmarks that ask for it.
	References []Reference `json:"references,omitempty"`
}

// Definitions are controls by id.
type Definitions map[string]Definition

// define is a control of the set as it is now.
func (s *Set) define(c *Control) Definition {
	return Definition{Title: c.Title, Severity: c.Severity, Impact: c.Impact, When: yamlOf(c.When), Resources: yamlOf(c.Resources), References: s.References(c.ID)}
}

func yamlOf(n *node.Node) []string {
	if n == nil {
		return nil
	}
	var lines []string
	for _, line := range node.Lines(ordered(n)) {
		lines = append(lines, line.Text)
	}
	return lines
}

// ordered is a tree with sorted keys, whose order says nothing.
func ordered(n *node.Node) *node.Node {
	o := *n
	o.Entries, o.Items = slices.Clone(n.Entries), slices.Clone(n.Items)
	for i := range o.Entries {
		o.Entries[i].Value = ordered(o.Entries[i].Value)
	}
	for i := range o.Items {
		o.Items[i] = ordered(o.Items[i])
	}
	slices.SortFunc(o.Entries, func(a, b node.Entry) int { return strings.Compare(a.Key, b.Key) })
	return &o
}

// Definitions are of all controls that are held against the outputs of a
// platform, and of those that are applied to it besides.
func (s *Set) Definitions(platform string, applied map[Output][]*Control) (Definitions, error) {
	found := Definitions{}
	for _, output := range []Output{Container, Machine} {
		held, err := s.Of(platform, output, maxLevel)
		if err != nil {
			return nil, err
		}
		for _, c := range slices.Concat(held, applied[output]) {
			if _, known := found[c.ID]; !known {
				found[c.ID] = s.define(c)
			}
		}
		for _, c := range applied[output] {
			d := found[c.ID]
			d.Applied = append(d.Applied, output)
			found[c.ID] = d
		}
	}
	return found, nil
}

// DefinitionsOf are of the controls that a benchmark asks for, with its sections
// alone. An unknown one is a fault of the input.
func (s *Set) DefinitionsOf(benchmark string) (Definitions, error) {
	if err := s.Known(benchmark); err != nil {
		return nil, err
	}
	found := Definitions{}
	for _, section := range s.Benchmarks[benchmark].Sections {
		for _, id := range section.Controls {
			d, known := found[id]
			if !known {
				d = s.define(s.Controls[id])
				d.References = slices.DeleteFunc(d.References, func(r Reference) bool { return r.Benchmark != benchmark })
			}
			found[id] = d
		}
	}
	return found, nil
}

// DefinitionsBy are what the findings of reports tell of controls; without what
// these demand.
func DefinitionsBy(findings []Finding) Definitions {
	found := Definitions{}
	for _, f := range findings {
		found[f.Control] = Definition{Title: f.Title, Severity: f.Severity, References: f.References}
	}
	return found
}

// maxDefinitions bounds the controls of one image.
const maxDefinitions = 20_000

// ReadDefinitions reads definitions from JSON, strictly.
func ReadDefinitions(document []byte) (Definitions, error) {
	d := Definitions{}
	if err := strictjson.Read(document, &d); err != nil {
		return nil, fmt.Errorf("reading the definitions of controls: %w", err)
	}
	if len(d) > maxDefinitions {
		return nil, fmt.Errorf("reading the definitions of controls: %d of them, at most %d are read", len(d), maxDefinitions)
	}
	return d, nil
}

// The kinds of a change, from the first definitions to the second.
const (
	ChangeAdded   = "added"
	ChangeRemoved = "removed"
	ChangeChanged = "changed"
)

// Change is a control that two sets of definitions do not agree on.
type Change struct {
	// Kind is added, removed or changed.
	Kind    string `json:"kind"`
	Control string `json:"control"`
	// Title and Severity are the newer ones.
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	// Fields are what changed of what is one text.
	Fields []FieldChange `json:"fields,omitempty"`
	// State is how the desired state changed: the lines of it that went and came,
	// after "- " and "+ ".
	State []string `json:"state,omitempty"`
}

// FieldChange is a text that changed: title, severity, impact, applied, sections.
type FieldChange struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Compare tells what changed from one set of definitions to another, by id.
func Compare(from, to Definitions) []Change {
	changes := []Change{}
	ids := sortedKeys(from)
	for id := range to {
		if _, both := from[id]; !both {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		old, had := from[id]
		now, has := to[id]
		c := Change{Kind: ChangeChanged, Control: id, Title: now.Title, Severity: now.Severity}
		switch {
		case !had:
			c.Kind = ChangeAdded
		case !has:
			c.Kind, c.Title, c.Severity = ChangeRemoved, old.Title, old.Severity
		default:
			if c.compare(old, now); len(c.Fields)+len(c.State) == 0 {
				continue
			}
		}
		changes = append(changes, c)
	}
	return changes
}

func (c *Change) compare(old, now Definition) {
	field := func(name, from, to string) {
		if from != to {
			c.Fields = append(c.Fields, FieldChange{name, from, to})
		}
	}
	field("title", old.Title, now.Title)
	field("severity", string(old.Severity), string(now.Severity))
	field("sections", sectionsOf(old, now), sectionsOf(now, old))
	if len(old.Resources) == 0 || len(now.Resources) == 0 {
		return // all that is known of one is its finding
	}
	field("impact", old.Impact, now.Impact)
	field("applied", outputsOf(old), outputsOf(now))
	c.State = edits(stateOf(old), stateOf(now))
}

// sectionsOf are the sections of a definition, with the name of the benchmark
// where both speak of more than their own one.
func sectionsOf(d, other Definition) string {
	named := len(benchmarksOf(d)) > 1 || len(benchmarksOf(other)) > 1
	var list []string
	for _, r := range d.References {
		text := r.Section
		if r.Level > 0 { // requirements of guides have none
			text = fmt.Sprintf("%s (level %d)", r.Section, r.Level)
		}
		if named {
			text = r.Benchmark + " " + text
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func benchmarksOf(d Definition) map[string]bool {
	names := map[string]bool{}
	for _, r := range d.References {
		names[r.Benchmark] = true
	}
	return names
}

func outputsOf(d Definition) string {
	var list []string
	for _, o := range d.Applied {
		list = append(list, string(o))
	}
	return strings.Join(list, " ")
}

// stateOf are the lines of a desired state with what it depends on.
func stateOf(d Definition) []string {
	if len(d.When) == 0 {
		return d.Resources
	}
	lines := []string{"when:"}
	for _, line := range d.When {
		lines = append(lines, "  "+line)
	}
	return append(lines, d.Resources...)
}

// maxEdited is up to how many lines two states are compared line by line, for
// the time grows with the product of both.
const maxEdited = 2000

// edits are the lines that go and come from one text to another, by their longest
// common subsequence, with the lines that both have left out.
func edits(from, to []string) []string {
	if slices.Equal(from, to) {
		return nil
	}
	if len(from) > maxEdited || len(to) > maxEdited {
		return []string{fmt.Sprintf("- %d lines", len(from)), fmt.Sprintf("+ %d lines", len(to))}
	}
	// common[i][j] is how many lines from[i:] and to[j:] have in common.
	common := make([][]int, len(from)+1)
	for i := range common {
		common[i] = make([]int, len(to)+1)
	}
	for i := len(from) - 1; i >= 0; i-- {
		for j := len(to) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); from[i] == to[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var list []string
	for i, j := 0, 0; i < len(from) || j < len(to); {
		switch {
		case i < len(from) && j < len(to) && from[i] == to[j]:
			i, j = i+1, j+1
		case j == len(to) || i < len(from) && common[i+1][j] >= common[i][j+1]:
			list = append(list, "- "+from[i])
			i++
		default:
			list = append(list, "+ "+to[j])
			j++
		}
	}
	return list
}
