package report

import (
	"time"

	"imgbuild/images/control"
)

// Stray is one thing that must not lie in an image. A secret itself is no part
// of it.
type Stray struct {
	// Kind is such as "private-key" or "world-writable".
	Kind string `json:"kind"`
	// Path is absolute; of a package that is not locked its name.
	Path   string `json:"path"`
	Detail string `json:"detail"`
	// Waiver is the id of the one that accepts it, also of one that does not
	// any more; Why says so.
	Waiver string `json:"waiver,omitempty"`
	Why    string `json:"why,omitempty"`
	// WaivedBefore is the first moment at which the waiver holds no more; zero
	// for what is not waived.
	WaivedBefore time.Time `json:"waived_before,omitzero"`
}

func (s Stray) String() string { return s.Kind + ": " + s.Path + ": " + s.Detail }

// Waived tells whether a waiver accepts it at a moment.
func (s Stray) Waived(now time.Time) bool { return now.Before(s.WaivedBefore) }

// Littered are the strays that no waiver accepts at a moment.
func (r *Report) Littered(now time.Time) []Stray {
	var list []Stray
	for _, s := range r.Strays {
		if !s.Waived(now) {
			list = append(list, s)
		}
	}
	return list
}

// WaiveStrays returns strays with those marked that waivers accept now. One
// whose waivers have all expired is accepted no more, and says so.
func WaiveStrays(strays []Stray, waivers []*control.Waiver, of control.Subject, now time.Time) []Stray {
	out := append([]Stray{}, strays...)
	for i, s := range out {
		if w := control.Accepting(waivers, func(w *control.Waiver) bool { return w.CoversStray(s.Kind, s.Path, of) }, now); w != nil {
			out[i].Waiver, out[i].Why = w.ID, w.Says(now)
			if w.Holds(now) {
				out[i].WaivedBefore = w.Expires.Time
			}
		}
	}
	return out
}
