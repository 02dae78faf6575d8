package control

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
)

// Waiver is an accepted exception to a control, for something that lies in an
// image that must not, or for a vulnerability. It accepts a failure, never that
// something could not be told.
type Waiver struct {
	// ID is its name, for reports.
	ID string `json:"-"`
	// Control is the id of what is not met; empty for a stray.
	Control string `json:"control,omitempty"`
	// Stray is what may lie in the image; nil for a control.
	Stray *WaivedStray `json:"stray,omitempty"`
	// CVE is the id, or another name, of a vulnerability; Package is the source
	// package that may have it, any when empty.
	CVE     string `json:"cve,omitempty"`
	Package string `json:"package,omitempty"`
	Reason  string `json:"reason" jsonschema:"required"`
	// Owner is who answers for it.
	Owner string `json:"owner" jsonschema:"required"`
	// Expires is the first day on which it holds no more, in UTC. How far off that
	// may be is a house's rule, not one of this program.
	Expires Date `json:"expires" jsonschema:"required"`
	// Baselines and Outputs that it is for; all when empty.
	Baselines []string `json:"baselines,omitempty"`
	Outputs   []Output `json:"outputs,omitempty" jsonschema:"enum=container,enum=vm"`
	// Customers, or Fleets (CUSTOMER/FLEET), that it is for: it accepts nothing
	// of what is not judged for one of them. It is for all when both are empty.
	Customers []string `json:"customers,omitempty"`
	Fleets    []string `json:"fleets,omitempty"`

	pos node.Position
}

// WaivedStray is a finding of a scan that is no control's.
type WaivedStray struct {
	// Kind is such as "setuid".
	Kind string `json:"kind" jsonschema:"required"`
	// Path is what the scan calls it: an absolute path, of a package its name
	// and architecture.
	Path string `json:"path" jsonschema:"required"`
}

// Validate refuses blanks, and what is about nothing or about two things.
func (w *Waiver) Validate(n *node.Node) error {
	p := &node.Problems{}
	for key, text := range map[string]string{"reason": w.Reason, "owner": w.Owner} {
		if value := n.Get(key); value != nil && strings.TrimSpace(text) == "" {
			p.Addf(value.Pos, "%q is empty", key)
		}
	}
	about := 0
	for _, key := range []string{"control", "stray", "cve"} {
		if n.Get(key) != nil {
			about++
		}
	}
	if about != 1 {
		p.Addf(n.Pos, `expected one of "control", "stray" and "cve"`)
	}
	if cve := n.Get("cve"); cve != nil && !vulnerabilityName.MatchString(w.CVE) {
		p.Addf(cve.Pos, "%q is not the name of a vulnerability, such as CVE-2026-1234", w.CVE)
	}
	if n.Get("package") != nil && w.CVE == "" {
		p.Addf(n.At("package"), `"package" goes with "cve": the source package that may have it`)
	}
	for _, item := range items(n.Get("customers")) {
		if _, err := ParseScope(item.Text, ""); err != nil || item.Text == "" {
			p.Addf(item.Pos, "%q is not the name of a customer", item.Text)
		}
	}
	for _, item := range items(n.Get("fleets")) {
		if _, err := ParseScope("", item.Text); err != nil || item.Text == "" {
			p.Addf(item.Pos, "%q is not the name of a fleet: expected CUSTOMER/FLEET, such as acme/web", item.Text)
		}
	}
	if len(w.Customers) > 0 && len(w.Fleets) > 0 {
		p.Addf(n.At("fleets"), `"customers" and "fleets" are both given: a customer has all of their fleets`)
	}
	return p.Err()
}

func items(n *node.Node) []*node.Node {
	if n == nil {
		return nil
	}
	return n.Items
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

// Subject is what waivers are held against: an output of a baseline, and whom it
// is judged for.
type Subject struct {
	Baseline string
	Output   Output
	For      Scope
}

// covers tells whether the waiver is about a subject.
func (w *Waiver) covers(of Subject) bool {
	theirs := len(w.Customers)+len(w.Fleets) == 0
	for _, name := range slices.Concat(w.Customers, w.Fleets) {
		theirs = theirs || Scope(name).Covers(of.For)
	}
	return theirs &&
		(len(w.Baselines) == 0 || slices.Contains(w.Baselines, of.Baseline)) &&
		(len(w.Outputs) == 0 || slices.Contains(w.Outputs, of.Output))
}

// CoversStray tells whether the waiver is about something that lies in a subject.
func (w *Waiver) CoversStray(kind, path string, of Subject) bool {
	return w.Stray != nil && *w.Stray == WaivedStray{kind, path} && w.covers(of)
}

// CoversCVE tells whether the waiver is about a vulnerability, given by all its
// names, in a source package of a subject. Whether letters are large means nothing.
func (w *Waiver) CoversCVE(names []string, source string, of Subject) bool {
	named := slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, w.CVE) })
	return w.CVE != "" && named && (w.Package == "" || w.Package == source) && w.covers(of)
}

// vulnerabilityName is a name as advisories give it: CVE-2026-1234, TEMP-0000000-ABCDEF,
// GHSA-xxxx-xxxx-xxxx, DEBIAN-CVE-2026-1234.
var vulnerabilityName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(?:[-_:.][A-Za-z0-9]+)+$`)

// Says is why a waiver accepts, or that it does not any more.
func (w *Waiver) Says(now time.Time) string {
	if !w.Holds(now) {
		return "the waiver expired on " + w.Expires.Format(time.DateOnly)
	}
	return fmt.Sprintf("%s (%s, before %s)", w.Reason, w.Owner, w.Expires.Format(time.DateOnly))
}

// Accepting is the first of the waivers about something that holds now, else
// the last that did; nil without any.
func Accepting(waivers []*Waiver, about func(*Waiver) bool, now time.Time) *Waiver {
	var last *Waiver
	for _, w := range waivers {
		if !about(w) {
			continue
		}
		if last = w; w.Holds(now) {
			break
		}
	}
	return last
}

// Waive returns findings with those failures waived that waivers accept now. A
// failure whose waivers have all expired stays one, and says so.
func Waive(findings []Finding, waivers []*Waiver, of Subject, now time.Time) []Finding {
	out := slices.Clone(findings)
	for i, f := range out {
		if f.Result != Fail {
			continue
		}
		w := Accepting(waivers, func(w *Waiver) bool { return w.Control == f.Control && w.covers(of) }, now)
		if w == nil {
			continue
		}
		out[i].Waiver, out[i].Why = w.ID, w.Says(now)
		if w.Holds(now) {
			out[i].Result, out[i].WaivedBefore = Waived, w.Expires.Time
		}
	}
	return out
}

// LoadWaivers reads the file called name, a map of waivers by id, of controls
// of the set and of the kinds of strays that there are.
func LoadWaivers(files fs.FS, name string, set *Set, kinds []string) ([]*Waiver, error) {
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
		if w.Stray != nil && w.Stray.Kind != "" && !slices.Contains(kinds, w.Stray.Kind) {
			p.Addf(e.Value.Get("stray").At("kind"), "unknown kind %q%s", w.Stray.Kind, node.Suggest(w.Stray.Kind, kinds))
		}
		list = append(list, w)
	}
	return list, p.Err()
}
