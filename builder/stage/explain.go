package stage

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Explanation says why a stage is or is not served from the cache.
type Explanation struct {
	Definition Definition
	// Cached is true when the stage is finished; the rest is then empty.
	Cached bool
	// Nearest is the cached stage of the same name and kind with the fewest
	// changes, the most recently used of several; empty when there is none.
	Nearest ID
	// Parent is the name of the parent stage when the nearest stage stands on
	// another one; its own explanation says why.
	Parent string
	// Changes are the inputs that differ from those of the nearest stage.
	Changes []Change
}

// Change is one input that differs.
type Change struct {
	Name string
	// Old and New are the values; Old is nil for an added input, New for a
	// removed one. Both are set and equal when only the order changed.
	Old, New *string
}

func (c Change) String() string {
	switch {
	case c.Old == nil:
		return fmt.Sprintf("added %s: %s", c.Name, brief(*c.New))
	case c.New == nil:
		return fmt.Sprintf("removed %s: %s", c.Name, brief(*c.Old))
	case *c.Old == *c.New:
		return fmt.Sprintf("moved %s", c.Name)
	}
	return fmt.Sprintf("changed %s: %s → %s", c.Name, brief(*c.Old), brief(*c.New))
}

// String is the explanation as lines of text without a final newline.
func (e Explanation) String() string {
	name := e.Definition.Name
	if e.Cached {
		return name + ": cached"
	}
	if e.Nearest == "" {
		return name + ": never made here"
	}
	lines := []string{fmt.Sprintf("%s: differs from cached stage %s:", name, e.Nearest.Short())}
	if e.Parent != "" {
		lines = append(lines, "its parent "+e.Parent+" changed")
	}
	for _, change := range e.Changes {
		lines = append(lines, change.String())
	}
	return strings.Join(lines, "\n  ")
}

// brief shortens digests and long texts for people.
func brief(value string) string {
	if ID(value).valid() {
		return ID(value).Short()
	}
	value = strings.ReplaceAll(value, "\n", " ")
	if r := []rune(value); len(r) > 60 {
		return string(r[:57]) + "…"
	}
	return value
}

// Explain explains a whole chain of stages, ancestors first.
func (c *Cache) Explain(chain []Definition) ([]Explanation, error) {
	cached, err := c.definitions()
	if err != nil {
		return nil, err
	}
	names := map[ID]string{}
	explanations := make([]Explanation, 0, len(chain))
	for _, def := range chain {
		names[def.ID()] = def.Name
		explanations = append(explanations, explain(def, cached, names))
	}
	return explanations, nil
}

func explain(def Definition, cached []cachedDefinition, names map[ID]string) Explanation {
	e := Explanation{Definition: def}
	best := -1
	var bestUsed time.Time
	for _, near := range cached {
		if near.id == def.ID() {
			return Explanation{Definition: def, Cached: true}
		}
		if near.Name != def.Name || near.Kind != def.Kind {
			continue
		}
		changes := diff(near.Definition, def)
		score := len(changes)
		if near.Parent != def.Parent {
			score++
		}
		if best >= 0 && (score > best || score == best && !near.used.After(bestUsed)) {
			continue
		}
		best, bestUsed = score, near.used
		e.Nearest, e.Changes, e.Parent = near.id, changes, ""
		if near.Parent != def.Parent {
			e.Parent = names[def.Parent]
			if e.Parent == "" {
				e.Parent = def.Parent.Short()
			}
		}
	}
	return e
}

// diff compares the inputs by name; of several inputs with one name, the first
// is compared with the first and so on.
func diff(old, now Definition) []Change {
	var changes []Change
	if old.Format != now.Format {
		before, after := fmt.Sprint(old.Format), fmt.Sprint(now.Format)
		changes = append(changes, Change{Name: "stage format", Old: &before, New: &after})
	}
	before := map[string][]string{}
	for _, in := range old.Inputs {
		before[in.Name] = append(before[in.Name], in.Value)
	}
	for _, in := range now.Inputs {
		values := before[in.Name]
		if len(values) == 0 {
			changes = append(changes, Change{Name: in.Name, New: &in.Value})
			continue
		}
		before[in.Name] = values[1:]
		if values[0] != in.Value {
			changes = append(changes, Change{Name: in.Name, Old: &values[0], New: &in.Value})
		}
	}
	// What is left of the old inputs was removed: always the last of a name.
	left := map[string]int{}
	for name, values := range before {
		left[name] = len(values)
	}
	for i := len(old.Inputs) - 1; i >= 0; i-- {
		if in := old.Inputs[i]; left[in.Name] > 0 {
			left[in.Name]--
			changes = append(changes, Change{Name: in.Name, Old: &in.Value})
		}
	}
	if len(changes) == 0 {
		for i, in := range now.Inputs {
			if in.Name != old.Inputs[i].Name {
				changes = append(changes, Change{Name: in.Name, Old: &in.Value, New: &in.Value})
			}
		}
	}
	return changes
}

type cachedDefinition struct {
	Definition
	id   ID
	used time.Time
}

// definitions reads the definitions of all stages that would be served.
func (c *Cache) definitions() ([]cachedDefinition, error) {
	ids, err := c.ids()
	if err != nil {
		return nil, err
	}
	var all []cachedDefinition
	for _, id := range ids {
		s, err := c.read(id)
		if err != nil {
			continue // damaged or just removed: never served, so not near
		}
		d := cachedDefinition{Definition: s.Definition, id: id}
		if info, err := os.Lstat(c.path(id)); err == nil {
			d.used = info.ModTime()
		}
		all = append(all, d)
	}
	return all, nil
}
