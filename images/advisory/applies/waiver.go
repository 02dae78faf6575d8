package applies

import (
	"slices"

	"imgbuild/images/control"
)

// accepts tells whether a waiver is about a vulnerability, by its id or another
// of its names, in what it is judged in.
func accepts(w *control.Waiver, v Vulnerability, of control.Subject) bool {
	if w.ID != v.ID && !slices.Contains(v.Aliases, w.ID) {
		return false
	}
	theirs := len(w.Customers)+len(w.Fleets) == 0
	for _, name := range slices.Concat(w.Customers, w.Fleets) {
		theirs = theirs || control.Scope(name).Covers(of.For)
	}
	return theirs &&
		(len(w.Baselines) == 0 || slices.Contains(w.Baselines, of.Baseline)) &&
		(len(w.Outputs) == 0 || slices.Contains(w.Outputs, of.Output))
}
