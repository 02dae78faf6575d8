package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/gate"
	"imgbuild/images/report"
)

func TestJudge(t *testing.T) {
	facts := gate.Facts{Sizes: map[string]int64{"container": 50 << 20, "qcow2": 300 << 20}, Packages: []string{"nginx", "telnet"}}
	for name, c := range map[string]struct {
		gates baseline.Gates
		want  []gate.Refusal
	}{
		"none":    {},
		"at most": {gates: baseline.Gates{MaxSize: map[string]baseline.Bytes{"container": 50 << 20}, ForbidPackages: []string{"rsh-client"}}},
		"too large, and forbidden": {
			gates: baseline.Gates{MaxSize: map[string]baseline.Bytes{"container": 50<<20 - 1, "qcow2": 1 << 30}, ForbidPackages: []string{"telnet", "gcc"}},
			want: []gate.Refusal{
				{Gate: "forbid-packages.telnet", Why: "the package is installed"},
				{Gate: "max-size.container", Why: "it has 50.0 MiB, at most 50.0 MiB are allowed"},
			},
		},
		"an output that is not there": {
			gates: baseline.Gates{MaxSize: map[string]baseline.Bytes{"raw": 1 << 40}},
			want:  []gate.Refusal{{Gate: "max-size.raw", Why: "the version has no such output"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := gate.Judge(c.gates, facts)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if err := gate.Error("web:1", "", got); (err != nil) != (len(c.want) > 0) || err != nil && fault.KindOf(err) != fault.Gate {
				t.Errorf("got %v", err)
			}
		})
	}
}

// scanned is a report of a form with one score and one finding.
func scanned(form control.Output, change func(*report.Report)) *report.Report {
	r := &report.Report{Compared: true, Report: &control.Report{
		Output:   form,
		Findings: []control.Finding{{Control: "a", Severity: control.High, Result: control.Pass, Asked: true}},
		Scores: []control.Score{
			{Benchmark: "cis", Level: 1, Counts: map[control.Result]int{control.Pass: 9, control.Fail: 1}},
			{Benchmark: "cis", Level: 2, Counts: map[control.Result]int{control.Pass: 8, control.Fail: 2}},
		},
	}}
	if change != nil {
		change(r)
	}
	return r
}

// TestWhatWasNotLookedAtIsNotPassed has a version of two forms and the ways in
// which a report can say too little.
func TestWhatWasNotLookedAtIsNotPassed(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	all := baseline.Gates{MinScore: map[string]baseline.MinScore{"cis": {Level1: 90, Level2: 80}}, NoFail: control.Low, Clean: true}
	for name, c := range map[string]struct {
		gates  baseline.Gates
		change func(*report.Report)
		want   []string
	}{
		"all is well":       {all, nil, nil},
		"no gate":           {baseline.Gates{}, func(r *report.Report) { r.Narrowed = true }, nil},
		"narrowed":          {all, func(r *report.Report) { r.Narrowed = true }, []string{"scan.vm"}},
		"score":             {all, func(r *report.Report) { r.Scores[1].Counts[control.Fail] = 3 }, []string{"min-score.cis.level-2.vm"}},
		"failure":           {all, func(r *report.Report) { r.Findings[0].Result = control.Fail }, []string{"no-fail.a.vm"}},
		"untold":            {all, func(r *report.Report) { r.Findings[0].Result = control.Error }, []string{"no-fail.a.vm"}},
		"not asked for":     {all, func(r *report.Report) { r.Findings[0].Result, r.Findings[0].Asked = control.Fail, false }, nil},
		"waived":            {all, func(r *report.Report) { r.Findings[0].Result, r.Findings[0].WaivedBefore = control.Waived, now.Add(1) }, nil},
		"waived before":     {all, func(r *report.Report) { r.Findings[0].Result, r.Findings[0].WaivedBefore = control.Waived, now }, []string{"no-fail.a.vm"}},
		"no control":        {all, func(r *report.Report) { r.Findings = nil }, []string{"no-fail.vm"}},
		"not compared":      {all, func(r *report.Report) { r.Compared = false }, []string{"clean.vm"}},
		"unseen":            {all, func(r *report.Report) { r.Unseen = []string{"partition 3"} }, []string{"scan.vm"}},
		"unseen, not clean": {baseline.Gates{NoFail: control.High}, func(r *report.Report) { r.Unseen = []string{"partition 3"} }, []string{"scan.vm"}},
		"stray":             {all, func(r *report.Report) { r.Strays = []report.Stray{{Kind: "token"}} }, []string{"clean.vm"}},
		"waived stray":      {all, func(r *report.Report) { r.Strays = []report.Stray{{Kind: "token", WaivedBefore: now.Add(1)}} }, nil},
		"waived once":       {all, func(r *report.Report) { r.Strays = []report.Stray{{Kind: "token", WaivedBefore: now}} }, []string{"clean.vm"}},
	} {
		facts := gate.Facts{Now: now, Forms: []control.Output{control.Container, control.Machine}, Reports: map[control.Output]*report.Report{
			// Nothing of the benchmark is for containers.
			control.Container: scanned(control.Container, func(r *report.Report) { r.Scores = nil }),
			control.Machine:   scanned(control.Machine, c.change),
		}}
		var got []string
		for _, r := range gate.Judge(c.gates, facts) {
			got = append(got, r.Gate)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		delete(facts.Reports, control.Machine)
		if got := gate.Judge(all, facts); len(got) == 0 {
			t.Errorf("%s: a form that was not scanned passes", name)
		}
	}
	nothing := gate.Facts{Now: now, Forms: []control.Output{control.Container}, Reports: map[control.Output]*report.Report{
		control.Container: scanned(control.Container, func(r *report.Report) { r.Scores = nil }),
	}}
	if got := gate.Judge(baseline.Gates{MinScore: all.MinScore}, nothing); len(got) != 2 {
		t.Errorf("a benchmark that says nothing of any form: %v", got)
	}
	for name, gates := range map[string]baseline.Gates{
		"no-fail": {NoFail: control.Low}, "clean": {Clean: true}, "boot-trial": {BootTrial: true}, "no-worse": {NoWorse: true}, "cves": {CVEs: &baseline.CVEs{Severity: control.Low}},
	} {
		if got := gate.Judge(gates, gate.Facts{Now: now}); len(got) != 1 || got[0].Gate != "scan" {
			t.Errorf("%s of a version without any form: %v", name, got)
		}
	}
}

// TestTheHintMends: a command scans one form, so each that is refused has its own, and
// one whose trial is wanting is started.
func TestTheHintMends(t *testing.T) {
	for gates, want := range map[string]string{
		"cves.vm no-fail.a.vm":                "imgbuild scan web:1 --attach",
		"forbid-packages.x":                   "imgbuild scan web:1 --attach",
		"cves.container":                      "imgbuild scan web:1 --form container --attach",
		"boot-trial.container cves.container": "imgbuild scan web:1 --form container --boot-trial --attach",
		"cves.container cves.vm":              "imgbuild scan web:1 --attach; imgbuild scan web:1 --form container --attach",
		"boot-trial.vm cves.container":        "imgbuild scan web:1 --boot-trial --attach; imgbuild scan web:1 --form container --attach",
	} {
		var refusals []gate.Refusal
		for name := range strings.FieldsSeq(gates) {
			refusals = append(refusals, gate.Refusal{Gate: name})
		}
		want = "change the recipe or its gates and bake again; after a change of waivers, " + want
		if got := fault.HintOf(gate.Error("web:1", "", refusals)); got != want {
			t.Errorf("of %s the hint is %q, not %q", gates, got, want)
		}
	}
}
