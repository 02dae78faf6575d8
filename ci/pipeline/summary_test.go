package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	"imgbuild/ci/pipeline"
	"imgbuild/images/fault"
	"imgbuild/images/updates/life"
)

// TestASummaryEndsAsTheWorstOfIt has outcomes, and the exit code of them all.
func TestASummaryEndsAsTheWorstOfIt(t *testing.T) {
	for _, c := range []struct {
		states []pipeline.State
		gaps   int
		want   fault.Kind
	}{
		{states: []pipeline.State{pipeline.Rebuilt, pipeline.Unchanged}},
		{states: []pipeline.State{pipeline.Rebuilt, pipeline.Held}, want: fault.Held},
		{states: []pipeline.State{pipeline.Held, pipeline.Refused}, want: fault.Gate},
		{states: []pipeline.State{pipeline.Refused, pipeline.Broken}, want: fault.Failed},
		{states: []pipeline.State{pipeline.Broken, pipeline.Suspended}, want: fault.World},
		{states: []pipeline.State{pipeline.Rebuilt}, gaps: 1, want: fault.World},
		{states: []pipeline.State{pipeline.Held}, gaps: 1, want: fault.World},
		{states: []pipeline.State{pipeline.Refused}, gaps: 1, want: fault.Gate},
	} {
		s := pipeline.Summary{Gaps: make([]pipeline.Gap, c.gaps)}
		for _, state := range c.states {
			s.Baselines = append(s.Baselines, &pipeline.Outcome{Baseline: "shop", State: state})
		}
		err := s.End()
		if (err == nil) != (c.want == 0) || err != nil && fault.KindOf(err) != c.want || s.Exit != int(c.want) {
			t.Errorf("%v with %d gaps: %v (exit code %d)", c.states, c.gaps, err, s.Exit)
		}
	}
}

// TestNothingInASummaryIsMarkup has what feeds and packages say in it.
func TestNothingInASummaryIsMarkup(t *testing.T) {
	hostile := "a | b\n# c <img src=x> [d](http://e) `f` \x1b[31m"
	s := pipeline.Summary{
		For: []string{hostile}, Gaps: []pipeline.Gap{{Where: hostile, Why: hostile}},
		Baselines: []*pipeline.Outcome{{
			Baseline: "shop", Architecture: "amd64", Why: hostile, Reason: hostile, State: pipeline.Refused,
			Trial: &pipeline.Tried{Advised: true, Trial: life.Trial{Difference: life.Difference{Packages: []life.PackageDifference{{Name: hostile, To: hostile}}, Introduced: []string{hostile}}}},
		}},
	}
	var out strings.Builder
	if err := s.WriteMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{"\x1b", " <img", " [d]", " `f`", "a | b", "\n# c"} {
		if strings.Contains(out.String(), raw) {
			t.Errorf("%q is in the summary:\n%s", raw, out.String())
		}
	}
}

// TestTheTitleOfASummaryIsShort: it is that of a pull request.
func TestTheTitleOfASummaryIsShort(t *testing.T) {
	for n, want := range map[int]string{0: "# Rebuild\n", 1: "# Rebuild for CVE-1\n", 300: "# Rebuild for 300 vulnerabilities\n"} {
		var out strings.Builder
		if err := (&pipeline.Summary{For: slices.Repeat([]string{"CVE-1"}, n)}).WriteMarkdown(&out); err != nil || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%d: %s, %v", n, out.String(), err)
		}
	}
}
