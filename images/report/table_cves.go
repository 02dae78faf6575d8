package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"imgbuild/images/advisory"
)

// listed is how many vulnerabilities the table has, the worst ones.
const listed = 20

// writeCVEs writes what is known of vulnerabilities for a terminal: whether that can
// be relied on, how many there are of each sort, and the worst.
func (r *Report) writeCVEs(w io.Writer) error {
	if r.Live || !r.Looked(CVEs) {
		return nil
	}
	if len(r.Scores)+len(rules(r)) > 0 {
		fmt.Fprintln(w)
	}
	if r.Advised == nil {
		fmt.Fprintln(w, NotLooked)
		return nil
	}
	fmt.Fprintf(w, "CVEs: %d packages held against %s\n", r.Advised.Packages, r.Advised.Sources())
	if n := len(r.Advised.Accepted); n > 0 {
		fmt.Fprintf(w, "  %d not held against anything, as the recipe accepts: %s\n", n, plain(r.Advised.accepted()))
	}
	untold := r.Untold()
	for _, line := range untold[:min(len(untold), shown)] {
		fmt.Fprintf(w, "  %s\n", plain(line))
	}
	if len(untold) > shown {
		fmt.Fprintf(w, "  and %d more\n", len(untold)-shown)
	}
	if len(untold) > 0 {
		fmt.Fprintln(w, "  that nothing more is said is no fact")
	}
	fmt.Fprintf(w, "  %s\n", r.Counted())
	if r.Advised.Has(OfLikelihood) {
		for _, lack := range r.Advised.Lacks(OfLikelihood, r.At) {
			fmt.Fprintf(w, "  %s\n", plain(lack.String()))
		}
	}
	return r.writeWorst(w)
}

// writeWorst writes those that nobody has dismissed, or that are pressing all the
// same, and that no waiver accepts.
func (r *Report) writeWorst(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for _, v := range r.Vulnerable(r.At) {
		if v.Dismissed() && !v.Pressing() {
			continue
		}
		if n++; n > listed {
			continue
		}
		if n == 1 {
			fmt.Fprintf(table, "\n  id\tsource\tversion\tseverity\texploited\tEPSS\tfixed in\n")
		}
		exploited, epss := "no", "-"
		if !r.Advised.Has(OfExploits) {
			exploited = "?"
		}
		if v.Exploited != nil {
			exploited = "YES"
		}
		if v.EPSS != nil {
			epss = v.EPSS.String()
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(v.ID), plain(v.Source), plain(v.Version), v.Rating(), exploited, epss, plain(v.fix()))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if n > listed {
		fmt.Fprintf(w, "  and %d more: --report FILE and --output json have all\n", n-listed)
	}
	r.writeWaivers(w)
	return nil
}

// writeWaivers writes which vulnerabilities waivers accept, or accept no more.
func (r *Report) writeWaivers(w io.Writer) {
	n := 0
	for _, v := range r.Vulnerabilities {
		if v.Waiver == "" {
			continue
		}
		if n++; n == 1 {
			fmt.Fprintln(w)
		}
		word := "expired"
		if v.Waived(r.At) {
			word = "waived"
		}
		if n <= listed {
			fmt.Fprintf(w, "  %-7s  %s in %s: %s\n", word, plain(v.ID), plain(v.Source), plain(v.Why))
		}
	}
	if n > listed {
		fmt.Fprintf(w, "  and %d more waivers\n", n-listed)
	}
}

// fix is the version that is without it, and where that can be had, in a word.
func (v *Vulnerability) fix() string {
	switch {
	case v.State == advisory.StateUndetermined:
		return "undetermined"
	case v.Dismissed():
		return string(v.State)
	case v.Fixed == "":
		return "none yet"
	}
	if where := offeredWords[v.Offered]; where != "" {
		return v.Fixed + " (" + where + ")"
	}
	return v.Fixed
}

var offeredWords = map[Offered]string{InLock: "in the lock", InSuites: "in the suites", NotInLock: "not in the lock", Nowhere: "not in the suites"}

// Sources names the feeds of vulnerabilities, and of when they are.
func (a *Advised) Sources() string {
	var list []string
	for _, f := range a.feeds() {
		if f.Says == OfSupport {
			continue
		}
		text := plain(f.Name)
		if f.Records > 0 {
			text += fmt.Sprintf(" (%d records", f.Records)
			if !f.AsOf.IsZero() {
				text += ", the newest of " + minute(f.AsOf)
			}
			text += ")"
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}

// Counted is how many vulnerabilities there are of each sort, in a few words, of a
// report with Advised.
func (r *Report) Counted() string {
	if len(r.Vulnerabilities) == 0 {
		return "none is known"
	}
	t := r.Tally()
	text := fmt.Sprintf("%d with a fix, %d without one yet, %d dismissed by the distributor, %d waived", t.WithFix(), t.Unfixed, t.Dismissed, t.Waived)
	if t.Undetermined > 0 {
		text += fmt.Sprintf(", %d undetermined", t.Undetermined)
	}
	if r.Advised.Has(OfExploits) {
		text += fmt.Sprintf("; known to be exploited: %d", t.Exploited)
	} else {
		text += "; which are exploited is not known (imgbuild feeds add kev)"
	}
	return text
}
