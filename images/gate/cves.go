package gate

import (
	"fmt"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/baseline"
	"imgbuild/images/report"
)

// cves are the gate about published vulnerabilities held against the report of
// one form. What was not held against advisories, or against some that cannot be
// relied on, is refused, for that nothing is known of it is no fact.
func cves(gate *baseline.CVEs, form string, r *report.Report, now time.Time) []Refusal {
	var refusals []Refusal
	no := func(name, why string, args ...any) {
		refusals = append(refusals, Refusal{name + "." + form, fmt.Sprintf(why, args...)})
	}
	if r.Advised == nil {
		no("cves", "it was not held against advisories: add a feed (imgbuild feeds add osv-debian) and scan it again (imgbuild scan IMAGE --attach)")
		return refusals
	}
	asked := []report.Says{report.OfPackages}
	if gate.Exploited == baseline.Refuse {
		asked = append(asked, report.OfExploits)
	}
	for _, says := range asked {
		for _, lack := range r.Advised.Lacks(says, now) {
			name := "cves"
			if lack.Aged {
				name = aged
			}
			no(name, "%s", lack)
		}
	}
	for _, unclear := range r.Advised.Unclear() {
		no("cves", "it cannot be told which vulnerabilities it has: %s", unclear)
	}
	if r.Advised.Packages == 0 {
		no("cves", "no package of it was held against advisories")
	}
	for _, v := range r.Vulnerable(now) {
		if refused(gate, &v) {
			no("cves", "%s", said(&v))
		}
	}
	return refusals
}

// refused tells whether a vulnerability is one that the gate is about.
func refused(gate *baseline.CVEs, v *report.Vulnerability) bool {
	dismissed := gate.Dismissed.Or(baseline.Ignore) == baseline.Refuse
	switch {
	case gate.Exploited == baseline.Refuse && (v.Pressing() || v.Exploited != nil && dismissed):
		return true
	case gate.Severity == "" || !v.AtLeast(gate.Severity):
		return false
	case v.Dismissed() && !dismissed:
		return false
	case v.Fixed == "" && v.State != advisory.StateUndetermined:
		// Of what is not determined a fix may be there that could not be read.
		return gate.Unfixed.Or(baseline.Refuse) == baseline.Refuse
	}
	return true
}

func said(v *report.Vulnerability) string {
	text := v.String()
	if v.Severity == "" {
		text += "; what is not rated counts as bad enough"
	}
	if v.Waiver != "" {
		text += "; its waiver holds no more"
	}
	return text
}

// aged is the gate's name where all that speaks against a version is the age of
// what it was held against.
const aged = "cves-aged"

// Aged tells whether all that refusals say is that a scan has grown old: the
// version is not admitted until it is scanned again, but nothing speaks against
// it.
func Aged(refusals []Refusal) bool {
	for _, r := range refusals {
		if len(r.Gate) < len(aged) || r.Gate[:len(aged)] != aged {
			return false
		}
	}
	return len(refusals) > 0
}
