package pipeline

import (
	"context"
	"fmt"
	"time"

	"imgbuild/builder/scan"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// mostReadings is how often two lists are held against advisories that change meanwhile.
const mostReadings = 3

// CompareCVEs holds what was and what is installed against the same advisories, and tells
// what only one of them has. doubt is why these could not tell all, or empty.
func CompareCVEs(ctx context.Context, advisor scan.Advisor, before, after []installed.Package) (fixed, introduced []string, doubt string, err error) {
	for range mostReadings {
		first, had, err := advisor.Advise(ctx, before)
		if err != nil {
			return nil, nil, "", err
		}
		second, has, err := advisor.Advise(ctx, after)
		if err != nil {
			return nil, nil, "", err
		}
		now := time.Now()
		if !first.Answers(second.Feeds, now) {
			continue // they were read anew in between: what is new in them was not introduced
		}
		lacks := second.Lacks(report.OfPackages, now)
		switch {
		case len(lacks) > 0:
			doubt = lacks[0].Reason
		case len(second.Unjudged) > 0:
			doubt = fmt.Sprintf("%d packages cannot be judged, such as %s: %s", len(second.Unjudged), second.Unjudged[0].Package, second.Unjudged[0].Reason)
		}
		return without(ids(had), ids(has)), without(ids(has), ids(had)), doubt, nil
	}
	return nil, nil, "", fault.Worldf("comparing vulnerabilities: the feeds change all the time").WithHint("run the same command again when imgbuild advisories sync has ended")
}

func ids(found []report.Vulnerability) map[string]bool {
	set := map[string]bool{}
	for _, v := range found {
		set[v.ID] = true
	}
	return set
}
