package gate_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/gate"
	"imgbuild/images/report"
)

// names are the gates of refusals.
func names(refusals []gate.Refusal) []string {
	var list []string
	for _, r := range refusals {
		list = append(list, r.Gate)
	}
	return list
}

// TestNoWorse holds a version against the one before, which had 90 % at level 1
// and 80 % at level 2 on its disk, and was no container.
func TestNoWorse(t *testing.T) {
	count := func(pass, fail, waived int) map[control.Result]int {
		return map[control.Result]int{control.Pass: pass, control.Fail: fail, control.Waived: waived}
	}
	for name, c := range map[string]struct {
		change func(*report.Report)
		want   []string
	}{
		"the same":                 {nil, nil},
		"the same share of more":   {func(r *report.Report) { r.Scores[0].Counts = count(18, 2, 0) }, nil},
		"better":                   {func(r *report.Report) { r.Scores[0].Counts = count(10, 0, 0) }, nil},
		"worse":                    {func(r *report.Report) { r.Scores[0].Counts = count(899, 101, 0) }, []string{"no-worse.cis.level-1.vm"}},
		"worse but for waivers":    {func(r *report.Report) { r.Scores[1].Counts = count(7, 0, 3) }, []string{"no-worse.cis.level-2.vm"}},
		"a benchmark more":         {func(r *report.Report) { r.Scores = append(r.Scores, control.Score{Benchmark: "other", Level: 1}) }, nil},
		"a level less":             {func(r *report.Report) { r.Scores = r.Scores[:1] }, []string{"no-worse.cis.level-2.vm"}},
		"a benchmark less":         {func(r *report.Report) { r.Scores = nil }, []string{"no-worse.cis.level-1.vm", "no-worse.cis.level-2.vm"}},
		"another platform":         {func(r *report.Report) { r.Platform, r.Scores = "debian-13", nil }, nil},
		"worse, another platform":  {func(r *report.Report) { r.Platform, r.Scores[0].Counts = "debian-13", count(0, 1, 0) }, []string{"no-worse.cis.level-1.vm"}},
		"a form that is not whole": {func(r *report.Report) { r.Narrowed = true }, []string{"scan.vm"}},
	} {
		facts := gate.Facts{
			Forms: []control.Output{control.Machine}, Reports: map[control.Output]*report.Report{control.Machine: scanned(control.Machine, c.change)},
			Before: &gate.Before{Version: "web:1", Reports: map[control.Output]*report.Report{control.Machine: scanned(control.Machine, nil)}},
		}
		if d := cmp.Diff(c.want, names(gate.Judge(baseline.Gates{NoWorse: true}, facts))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if got := gate.Judge(baseline.Gates{}, facts); len(got) != 0 {
			t.Errorf("%s: a recipe without the gate is refused: %v", name, got)
		}
		// A form may be gone, one may be new, and there may be no version before.
		facts.Reports[control.Container], facts.Forms = scanned(control.Container, func(r *report.Report) { r.Scores = nil }), []control.Output{control.Container}
		if got := gate.Judge(baseline.Gates{NoWorse: true}, facts); len(got) != 0 {
			t.Errorf("%s: another form is held against the disk: %v", name, got)
		}
		facts.Before = nil
		if got := gate.Judge(baseline.Gates{NoWorse: true}, facts); len(got) != 0 {
			t.Errorf("%s: the first version is refused: %v", name, got)
		}
	}
	if got := names(gate.Judge(baseline.Gates{NoWorse: true}, gate.Facts{Forms: []control.Output{control.Machine}})); len(got) != 1 || got[0] != "scan.vm" {
		t.Errorf("a form that was not scanned: %v", got)
	}
}

func TestBootTrial(t *testing.T) {
	answered := []report.Answer{{Name: "web"}}
	for name, c := range map[string]struct {
		trial *report.Trial
		want  int
	}{
		"not started":    {nil, 1},
		"nothing asked":  {&report.Trial{}, 2},
		"all answered":   {&report.Trial{Isolation: answered, Starts: []report.Start{{Answers: answered}, {Answers: answered}}}, 0},
		"one did not":    {&report.Trial{Isolation: answered, Starts: []report.Start{{Answers: []report.Answer{{Name: "web", Error: "404"}}}}}, 1},
		"not after boot": {&report.Trial{Isolation: answered, Starts: []report.Start{{Answers: answered}, {}}}, 1},
		"not isolated":   {&report.Trial{Isolation: []report.Answer{{Name: "dns", Error: "it answers"}}, Starts: []report.Start{{Answers: answered}}}, 1},
	} {
		facts := gate.Facts{
			Forms: []control.Output{control.Machine}, Reports: map[control.Output]*report.Report{control.Machine: scanned(control.Machine, nil)},
			Trials: map[control.Output]*report.Trial{control.Machine: c.trial},
		}
		got := gate.Judge(baseline.Gates{BootTrial: true}, facts)
		if len(got) != c.want || len(got) > 0 && got[0].Gate != "boot-trial.vm" {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestRefusalsAreFew has more strays, and a longer name, than anybody reads.
func TestRefusalsAreFew(t *testing.T) {
	facts := gate.Facts{Forms: []control.Output{control.Machine}, Reports: map[control.Output]*report.Report{control.Machine: scanned(control.Machine, func(r *report.Report) {
		for i := range 5000 {
			r.Strays = append(r.Strays, report.Stray{Kind: "token", Path: fmt.Sprintf("/%04d", i), Detail: strings.Repeat("é", 5000)})
		}
	})}}
	got := gate.Judge(baseline.Gates{Clean: true}, facts)
	if len(got) != 11 || got[10].Why != "and 4990 more" || len(got[0].Why) > 500 || !utf8.ValidString(got[0].Why) {
		t.Errorf("got %d, %+v", len(got), got)
	}
}
