package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"imgbuild/images/catalog"
)

// newestVerdicts are the last of the verdicts for each.
func newestVerdicts(all []*catalog.Verdict) []*catalog.Verdict {
	var list []*catalog.Verdict
	for i, v := range all {
		if i+1 == len(all) || all[i+1].For != v.For {
			list = append(list, v)
		}
	}
	return list
}

func writeVerdict(w io.Writer, v *catalog.Verdict) {
	if !v.Rejects() {
		fmt.Fprintf(w, "  accepted   by its gates%s, which had rejected it; by %s on %s\n", forWhom(v), v.Who, v.When.Format(time.DateOnly))
		return
	}
	fmt.Fprintf(w, "  REJECTED   by its gates%s, by %s on %s\n", forWhom(v), v.Who, v.When.Format(time.DateOnly))
	for _, r := range v.Refusals {
		fmt.Fprintf(w, "  gate       %s: %s\n", r.Gate, harmless(r.Why))
	}
}

// gatesOf are the first few gates that refused.
func gatesOf(refusals []catalog.Refusal, most int) string {
	var names []string
	for _, r := range refusals[:min(most, len(refusals))] {
		names = append(names, r.Gate)
	}
	text := strings.Join(names, ", ")
	if more := len(refusals) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func forWhom(v *catalog.Verdict) string {
	if v.For == "" {
		return ""
	}
	return " for " + v.For
}
