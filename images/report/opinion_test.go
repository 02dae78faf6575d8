package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"imgbuild/images/control"
	"imgbuild/images/report"
)

// opinion has a rule of each standing; text is of a stream.
func opinion(text string) *report.Opinion {
	o := &report.Opinion{
		Engine: "OpenSCAP 1.3.7", Content: "SMALL 1.0", ContentDigest: strings.Repeat("0", 64),
		Profiles: []report.OpinionProfile{
			{ID: "one", Title: "Level 1", Level: 1, Counts: map[string]int{"pass": 3, "fail": 1, "unknown": 1}},
			{ID: "two", Title: "All of it", Counts: map[string]int{"notapplicable": 1}},
		},
		Rules: []report.OpinionRule{
			{ID: "x_rule_mode", Title: "Mode " + text, Sections: []string{"10.1.1"}, Result: "fail", Why: []string{"a file " + text}, Ours: control.Pass, Controls: []string{"motd"}, Standing: report.Differs},
			{ID: "x_rule_cron", Title: "Cron", Sections: []string{"9.1.1"}, Result: "fail", Ours: control.NotApplicable, Standing: report.Alone},
			{ID: "x_rule_at", Title: "At", Sections: []string{"9.1.2"}, Result: "pass", Ours: control.NotApplicable, Standing: report.Alone},
			{ID: "x_rule_log1", Title: "Log", Sections: []string{"9.2"}, Result: "pass", Ours: control.Fail, Controls: []string{"logs"}, Standing: report.Differs},
			{ID: "x_rule_log2", Title: "Log 2", Sections: []string{"9.2"}, Result: "pass", Ours: control.Fail, Controls: []string{"logs"}, Standing: report.Differs},
			{ID: "odd", Title: "Odd", Result: "fail", Standing: report.Unmapped},
			{ID: "x_rule_path", Title: "Path", Sections: []string{"9.1.3"}, Result: "fail", Ours: control.Pass, Standing: report.Untold},
			{ID: "x_rule_same", Title: "Same", Sections: []string{"9.1.4"}, Result: "pass", Ours: control.Pass, Standing: report.Agrees},
		},
	}
	o.Sort()
	return o
}

func TestASecondOpinionIsInEveryForm(t *testing.T) {
	r := found(t, "0666")
	r.Opinion = opinion(hostile)
	var table, page, machine, junit bytes.Buffer
	if err := report.Table(&table, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"second opinion: OpenSCAP 1.3.7 by SMALL 1.0", "1          75.0 %  3     1     0      1        0            0\n", "All of it  0.0 %",
		"rules next to our controls: differs: 3, alone: 2, unmapped: 1, not to be told offline: 1, agrees: 1",
		"differs  mode: Mode", "differs  log1: Log\n         9.2: OpenSCAP 1.3.7 says pass, imgbuild fail (logs)\n         besides: further rules of the section that pass: 1\n", "10.1.1: OpenSCAP 1.3.7 says fail, imgbuild pass (motd)", "not met: a file",
		"alone    cron: Cron", "unmapped  odd: Odd", "OpenSCAP 1.3.7 says fail, imgbuild nothing",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &table)
		}
	}
	if strings.Contains(table.String(), "At\n") || strings.Contains(table.String(), "Log 2") || strings.Contains(table.String(), "\x1b") {
		t.Errorf("the table shows what it should not:\n%s", &table)
	}
	if err := report.Page(&page, r, nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Second opinion: OpenSCAP 1.3.7", "75.0 %", "<code>path</code>, 9.1.3", "asks about a machine that runs"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.String(), "<script>alert") {
		t.Error("a stream's text is markup of the page")
	}
	if err := report.SARIF(&machine, r, "v1"); err != nil {
		t.Fatal(err)
	}
	read, err := sarif.FromBytes(machine.Bytes())
	if err != nil || read.Validate() != nil {
		t.Fatal(err, read.Validate())
	}
	results := read.Runs[0].Results
	// After it there is only that nobody looked for vulnerabilities.
	if last := results[len(results)-2]; *last.RuleID != "second-opinion-odd" || last.Kind != "review" || last.Level != "none" {
		t.Errorf("%s %s %s", *last.RuleID, last.Kind, last.Level)
	}
	if err := report.JUnit(&junit, r); err != nil || strings.Count(junit.String(), `classname="second-opinion-`) != 4 {
		t.Errorf("%v:\n%s", err, &junit)
	}
}

// TestAnOpinionDecidesNothing: what fails is what this program says.
func TestAnOpinionDecidesNothing(t *testing.T) {
	r := found(t, "0666")
	before := len(r.Failed(control.Low, r.At))
	r.Opinion = opinion("")
	if after := len(r.Failed(control.Low, r.At)); after != before {
		t.Errorf("%d fail, then %d", before, after)
	}
	if first := r.Opinion.Rules[0].ID; first != "odd" || r.Opinion.Rules[7].ID != "x_rule_mode" {
		t.Errorf("sections are not in their order: %s first", first)
	}
}
