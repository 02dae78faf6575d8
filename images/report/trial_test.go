package report_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"imgbuild/images/report"
)

// tried is a boot trial in which the restart went wrong.
func tried() *report.Trial {
	answered := []report.Answer{{Name: "web", Asked: "GET /, port 80"}, {Name: "units", Asked: "no unit has failed"}}
	return &report.Trial{
		Runs: "virtual machine (tcg)", Isolation: []report.Answer{{Name: "metadata service", Asked: "169.254.169.254 port 80/tcp"}},
		Starts: []report.Start{
			{Ready: 31.2, Answers: answered},
			{Ready: 25, Answers: []report.Answer{answered[0], {Name: "units", Asked: "no unit has failed", Error: "failed: " + hostile}}},
		},
	}
}

func TestATrialIsShownEverywhere(t *testing.T) {
	r := found(t, "0666")
	before := len(r.Findings)
	r.Trial = tried()
	var table, page, results, xml bytes.Buffer
	for _, write := range []func() error{
		func() error { return report.Table(&table, r) },
		func() error { return report.Page(&page, r, nil) },
		func() error { return report.SARIF(&results, r, "v1") },
		func() error { return report.JUnit(&xml, r) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		"pass    boot trial: nothing is reached from inside (ways out tried: 1)\n",
		"pass    boot trial: it starts, as a virtual machine (tcg), ready after 31.2 s\n",
		"fail    high      boot-trial-start-2: boot trial: it restarts, ready after 25.0 s\n                  units (no unit has failed): failed: ",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &table)
		}
	}
	for _, want := range []string{"ready after 31.2 s", "as it should be: web: GET /, port 80", "boot-trial-isolation"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.String(), "<script>alert") || strings.Contains(table.String(), "\x1b") {
		t.Error("an image's answer is markup, or commands the terminal")
	}
	log, err := sarif.FromBytes(results.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Validate(); err != nil {
		t.Errorf("against the schema of SARIF: %v", err)
	}
	at := slices.IndexFunc(log.Runs[0].Results, func(r *sarif.Result) bool { return *r.RuleID == "boot-trial-start-2" })
	if at < 0 || log.Runs[0].Results[at].Kind != "fail" || log.Runs[0].Results[at].Level != "error" {
		t.Error("SARIF lacks the failed restart")
	}
	if !strings.Contains(xml.String(), `classname="boot-trial-start-2"`) {
		t.Errorf("JUnit lacks the restart:\n%s", &xml)
	}
	if len(r.Findings) != before {
		t.Error("a trial is no finding of a control")
	}
}

func TestWhatATrialDidNotShow(t *testing.T) {
	whole := tried()
	whole.Starts[1].Answers = whole.Starts[0].Answers
	for name, c := range map[string]struct {
		change func(*report.Trial)
		want   []string
	}{
		"nothing":       {func(*report.Trial) {}, nil},
		"not started":   {func(t *report.Trial) { t.Starts = nil }, []string{"it was not started"}},
		"not asked":     {func(t *report.Trial) { t.Starts[1].Answers = nil }, []string{"start 2: nothing was asked"}},
		"not tried out": {func(t *report.Trial) { t.Isolation = nil }, []string{"isolation: nothing was asked"}},
	} {
		data, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		var read report.Trial
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		c.change(&read)
		if d := cmp.Diff(c.want, read.Failed()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		r := found(t, "0666")
		r.Trial = &read
		var table bytes.Buffer
		if err := report.Table(&table, r); err != nil {
			t.Fatal(err)
		}
		if fails := strings.Contains(table.String(), "fail    high      boot-trial-"); fails != (c.want != nil) {
			t.Errorf("%s: the table\n%s", name, &table)
		}
	}
}
