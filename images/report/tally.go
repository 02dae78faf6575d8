package report

import (
	"fmt"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/control"
)

// Tally is how many vulnerabilities a target has of each sort. Each is of one sort
// alone; Exploited counts across them.
type Tally struct {
	// Fixable have a fix, by severity; what nobody has rated is under "".
	Fixable      map[control.Severity]int `json:"fixable"`
	Unfixed      int                      `json:"unfixed"`
	Undetermined int                      `json:"undetermined"`
	// Dismissed are those about which the distributor plans nothing.
	Dismissed int `json:"dismissed"`
	Waived    int `json:"waived"`
	Exploited int `json:"exploited"`
	// Untold is for how many reasons it is no fact that there are no more.
	Untold int `json:"untold"`
	// Of is when the feed of packages that was read longest ago was; zero when that
	// is not known.
	Of time.Time `json:"of,omitzero"`
}

// Tally counts the vulnerabilities of a report; nil where nobody looked.
func (r *Report) Tally() *Tally {
	if r == nil || r.Advised == nil {
		return nil
	}
	t := &Tally{Fixable: map[control.Severity]int{}, Untold: len(r.Untold())}
	for _, f := range r.Advised.Feeds {
		if f.Says == OfPackages && !f.Read.IsZero() && (t.Of.IsZero() || f.Read.Before(t.Of)) {
			t.Of = f.Read
		}
	}
	for _, v := range r.Vulnerabilities {
		if v.Exploited != nil {
			t.Exploited++
		}
		switch {
		case v.Waived(r.At):
			t.Waived++
		case v.Dismissed():
			t.Dismissed++
		case v.State == advisory.StateUndetermined:
			t.Undetermined++
		case v.Fixed == "":
			t.Unfixed++
		default:
			t.Fixable[v.Severity]++
		}
	}
	return t
}

// WithFix is how many have a fix, of any severity.
func (t *Tally) WithFix() int {
	n := 0
	for _, count := range t.Fixable {
		n += count
	}
	return n
}

// String is the tally in one line, without what there is none of: "3 fixable (1
// high, 2 low), 34 without a fix, 57 dismissed; feeds of 2026-11-28".
func (t *Tally) String() string {
	if t == nil {
		return "not looked at"
	}
	text := fmt.Sprintf("%d fixable", t.WithFix())
	var rated []string
	for _, s := range []control.Severity{control.Critical, control.High, "", control.Medium, control.Low} {
		if n := t.Fixable[s]; n > 0 {
			rated = append(rated, fmt.Sprintf("%d %s", n, (&Vulnerability{Severity: s}).Rating()))
		}
	}
	if len(rated) > 0 {
		text += " (" + strings.Join(rated, ", ") + ")"
	}
	text += fmt.Sprintf(", %d without a fix", t.Unfixed)
	for _, sort := range []struct {
		n    int
		word string
	}{{t.Undetermined, "undetermined"}, {t.Dismissed, "dismissed"}, {t.Waived, "waived"}} {
		if sort.n > 0 {
			text += fmt.Sprintf(", %d %s", sort.n, sort.word)
		}
	}
	if t.Exploited > 0 {
		text += fmt.Sprintf("; known to be exploited: %d", t.Exploited)
	}
	if t.Untold > 0 {
		text += "; not all could be told"
	}
	if !t.Of.IsZero() {
		text += "; feeds of " + t.Of.UTC().Format(time.DateOnly)
	}
	return text
}
