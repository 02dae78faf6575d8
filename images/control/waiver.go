package control

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
)

// Waiver is an accepted exception to a control. It accepts a failure, never
// that something could not be told.
type Waiver struct {
	// ID is its name, for reports.
	ID string `json:"-"`
	// Control is the id of what is not met.
	Control string `json:"control" jsonschema:"required"`
	Reason  string `json:"reason" jsonschema:"required"`
	// Owner is who answers for it.
	Owner string `json:"owner" jsonschema:"required"`
	// Expires is the first day on which it holds no more, in UTC.
	Expires Date `json:"expires" jsonschema:"required"`
	// Baselines and Outputs that it is for; all when empty.
	Baselines []string `json:"baselines,omitempty"`
	Outputs   []Output `json:"outputs,omitempty" jsonschema:"enum=container,enum=vm"`

	pos node.Position
}

// Validate refuses blanks.
func (w *Waiver) Validate(n *node.Node) error {
	p := &node.Problems{}
	for key, text := range map[string]string{"reason": w.Reason, "owner": w.Owner} {
		if value := n.Get(key); value != nil && strings.TrimSpace(text) == "" {
			p.Addf(value.Pos, "%q is empty", key)
		}
	}
	return p.Err()
}

// Date is a day.
type Date struct{ time.Time }

// UnmarshalNode reads 2006-01-02.
func (d *Date) UnmarshalNode(n *node.Node) error {
	t, err := time.Parse(time.DateOnly, n.Text)
	if err != nil {
		return node.Errorf(n.Pos, "expected a day such as 2027-03-31, found %q", n.Text)
	}
	d.Time = t
	return nil
}

// Holds tells whether the waiver accepts failures on a day.
func (w *Waiver) Holds(now time.Time) bool { return now.Before(w.Expires.Time) }

// covers tells whether the waiver is about a control on an output of a baseline.
func (w *Waiver) covers(f Finding, baseline string, output Output) bool {
	return w.Control == f.Control &&
		(len(w.Baselines) == 0 || slices.Contains(w.Baselines, baseline)) &&
		(len(w.Outputs) == 0 || slices.Contains(w.Outputs, output))
}

// Waive returns findings with those failures waived that waivers accept now. A
// failure whose waivers have all expired stays one, and says so.
func Waive(findings []Finding, waivers []*Waiver, baseline string, output Output, now time.Time) []Finding {
	out := slices.Clone(findings)
	for i, f := range out {
		if f.Result != Fail {
			continue
		}
		for _, w := range waivers {
			if !w.covers(f, baseline, output) {
				continue
			}
			out[i].Waiver = w.ID
			if w.Holds(now) {
				out[i].Result, out[i].WaivedBefore = Waived, w.Expires.Time
				out[i].Why = fmt.Sprintf("%s (%s, before %s)", w.Reason, w.Owner, w.Expires.Format(time.DateOnly))
				break
			}
			out[i].Why = "the waiver expired on " + w.Expires.Format(time.DateOnly)
		}
	}
	return out
}

// LoadWaivers reads the file called name, a map of waivers by id, of controls
// of the set.
func LoadWaivers(files fs.FS, name string, set *Set) ([]*Waiver, error) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("reading waivers: %w", err)
	}
	tree, err := node.Parse(name, files, name, data)
	if err != nil {
		return nil, err
	}
	if tree.Kind != node.Map {
		return nil, node.Errorf(tree.Pos, "expected a map of waivers by id, found %s", tree.Kind)
	}
	p := &node.Problems{}
	var list []*Waiver
	for _, e := range tree.Entries {
		w := &Waiver{ID: e.Key, pos: e.Pos}
		p.Add(node.Decode(e.Value, w))
		if w.Control != "" && set.Controls[w.Control] == nil {
			p.Addf(e.Value.At("control"), "unknown control %q%s", w.Control, node.Suggest(w.Control, set.IDs()))
		}
		list = append(list, w)
	}
	return list, p.Err()
}
