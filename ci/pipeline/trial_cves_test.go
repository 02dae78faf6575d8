package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// oracle knows a vulnerability of each package, and more once its feed was read anew, which
// happens at the calls that reads names.
type oracle struct {
	calls, version int
	reads          []int
	alarms         []report.Alarm
}

func (o *oracle) Feeds(context.Context) ([]report.Feed, error) { return nil, nil }

func (o *oracle) Advise(_ context.Context, packages []installed.Package) (*report.Advised, []report.Vulnerability, error) {
	if o.calls++; slices.Contains(o.reads, o.calls) {
		o.version++
	}
	var found []report.Vulnerability
	for _, p := range packages {
		for v := range o.version + 1 {
			found = append(found, report.Vulnerability{ID: fmt.Sprintf("CVE-%s-%d", p.Name, v)})
		}
	}
	return &report.Advised{Feeds: []report.Feed{{Name: "a", Says: report.OfPackages, Digest: fmt.Sprint(o.version), Alarms: o.alarms}}}, found, nil
}

// TestTwoLocksAreHeldAgainstTheSameAdvisories has feeds that are read anew meanwhile, and
// feeds that cannot be relied on.
func TestTwoLocksAreHeldAgainstTheSameAdvisories(t *testing.T) {
	before, after := []installed.Package{{Name: "old"}, {Name: "same"}}, []installed.Package{{Name: "same"}, {Name: "new"}}
	for _, c := range []struct {
		reads             []int
		fixed, introduced string
	}{
		{nil, "CVE-old-0", "CVE-new-0"}, {[]int{2}, "CVE-old-0 CVE-old-1", "CVE-new-0 CVE-new-1"},
	} {
		fixed, introduced, doubt, err := pipeline.CompareCVEs(t.Context(), &oracle{reads: c.reads}, before, after)
		if err != nil || strings.Join(fixed, " ") != c.fixed || strings.Join(introduced, " ") != c.introduced || doubt != "" {
			t.Errorf("%v: %v, %v, %q, %v", c.reads, fixed, introduced, doubt, err)
		}
	}
	if _, _, _, err := pipeline.CompareCVEs(t.Context(), &oracle{reads: []int{2, 4, 6}}, before, after); fault.KindOf(err) != fault.World {
		t.Errorf("always read: %v", err)
	}
	if _, _, doubt, err := pipeline.CompareCVEs(t.Context(), &oracle{alarms: []report.Alarm{{What: "stale", Reason: "it is old"}}}, before, after); err != nil || !strings.Contains(doubt, "it is old") {
		t.Errorf("in alarm: %q, %v", doubt, err)
	}
}
