package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
)

// found is a report that has one of everything; hostile is text of an image.
func found(t *testing.T, hostile string) *report.Report {
	t.Helper()
	const definition = ": {title: t, severity: high, rationale: r, resources: {files: {/a: {absent: true}}}}\n"
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{
		"c.yaml": {Data: []byte("a" + definition + "b" + definition + "c" + definition + "d" + definition + "e" + definition)},
		"benchmarks/house.yaml": {Data: []byte("{title: t, version: 1.0.0, sections: {1.1.1: {level: 1, controls: [a]}, 1.1.2: {level: 1, controls: [b]}, " +
			"2.1.1: {level: 1, controls: [c]}, 2.1.2: {level: 2, controls: [d]}, 2.1.3: {level: 2, controls: [e]}}}")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	findings := []control.Finding{
		{Control: "a", Title: "the first one", Severity: control.Low, Result: control.Pass, Looked: []string{"file /a"}},
		{Control: "b", Title: "the second one", Severity: control.High, Result: control.Fail,
			Differences: []control.Difference{{Subject: "/etc/motd: mode", Have: hostile, Want: "0644"}}},
		{Control: "c", Title: "the third one", Severity: control.Medium, Result: control.Error, Why: "it does not parse"},
		{Control: "d", Title: "the fourth one", Severity: control.Critical, Result: control.Waived, Why: "we need it (ops, until 2027-01-01)", Waiver: "w"},
		{Control: "e", Title: "the fifth one", Severity: control.Medium, Result: control.NotApplicable, Why: "no apache2"},
	}
	return &report.Report{
		Target: "web:20261128.1", At: time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC), Files: 3,
		Report:   set.NewReport("debian-12", control.Machine, findings, 2),
		Compared: true,
		Drift:    []integrity.Difference{{Path: "etc/" + hostile, Kind: integrity.Added, Class: integrity.Immutable}},
		Strays:   []report.Stray{{Kind: "token", Path: "/etc/app.conf", Detail: "line 1"}, {Kind: "token", Path: "/etc/b.conf", Detail: "line 2"}},
	}
}

const hostile = `"]]><script>alert(1)</script>&amp;` + "\x1b[31m"

func TestSARIFIsValid(t *testing.T) {
	var b bytes.Buffer
	if err := report.SARIF(&b, found(t, hostile), "v1"); err != nil {
		t.Fatal(err)
	}
	read, err := sarif.FromBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Validate(); err != nil {
		t.Errorf("against the schema: %v", err)
	}
	var kinds []string
	for _, r := range read.Runs[0].Results {
		kinds = append(kinds, *r.RuleID+" "+r.Kind+" "+r.Level)
	}
	want := "a pass none, b fail error, c fail warning, d fail error, e notApplicable none, integrity fail error, seen pass none, hygiene-token fail error, advisories notApplicable none"
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("results:\n got %s\nwant %s", got, want)
	}
	if len(read.Runs[0].Results[3].Suppressions) != 1 {
		t.Error("what is waived is not suppressed")
	}
}

func TestJUnitCounts(t *testing.T) {
	var b bytes.Buffer
	if err := report.JUnit(&b, found(t, hostile)); err != nil {
		t.Fatal(err)
	}
	var read struct {
		XMLName  xml.Name `xml:"testsuites"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatalf("%v\n%s", err, b.Bytes())
	}
	if read.Tests != 9 || read.Failures != 3 || read.Errors != 1 || read.Skipped != 3 {
		t.Errorf("%+v", read)
	}
}

func TestTheTableShowsWhatIsWrong(t *testing.T) {
	var b bytes.Buffer
	if err := report.Table(&b, found(t, "0666")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"house 1.0.0  1      33.3 %  33.3 %", "house 1.0.0  2      25.0 %  50.0 %",
		"fail    high      b: the second one\n                  /etc/motd: mode is 0666, should be 0644\n",
		"error   medium    c: the third one", "waived  critical  d: the fourth one", "fail    high      integrity", "/etc/b.conf: line 2",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "the first one") || strings.Contains(b.String(), "the fifth one") {
		t.Error("the table shows what passes")
	}
	b.Reset()
	server := found(t, "0666")
	server.Files = 0
	if err := report.Table(&b, server); err != nil || strings.Contains(b.String(), " files\n") {
		t.Errorf("files are counted of what had none compared: %v\n%s", err, &b)
	}
}

func TestThePageEscapesWhatImagesSay(t *testing.T) {
	before := found(t, "0666")
	before.Target = "web:20261127.1"
	before.Findings[1].Result = control.Pass
	var b bytes.Buffer
	if err := report.Page(&b, found(t, hostile), before); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if strings.Contains(page, "<script>alert") {
		t.Error("an image's text is markup of the page")
	}
	for _, want := range []string{"was pass", "compared with web:20261127.1", "33.3 %", "house 1.1.2"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, leads := range []string{"http://", "https://", "src=", "@import", "url("} {
		if strings.Contains(page, leads) {
			t.Errorf("the page needs something else: %q", leads)
		}
	}
}

func TestReportsAreReadAgain(t *testing.T) {
	was := found(t, hostile)
	data, err := json.Marshal(was)
	if err != nil {
		t.Fatal(err)
	}
	var read report.Report
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(read)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("written %s\nread    %s (%v)", data, again, err)
	}
}
