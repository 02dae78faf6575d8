package report_test

import (
	"fmt"
	"io/fs"
	"testing"
	"time"

	"imgbuild/images/baselines"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
)

// whole is a report of every shipped control, of each result some.
func whole(t *testing.T) *report.Report {
	t.Helper()
	files, err := fs.Sub(baselines.FS(), "controls")
	if err != nil {
		t.Fatal(err)
	}
	set, err := control.Load(control.Source{Name: "shipped", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	var findings []control.Finding
	for n, id := range set.IDs() {
		c := set.Controls[id]
		if !c.On("debian-12", control.Machine) {
			continue
		}
		f := control.Finding{Control: id, Title: c.Title, Severity: c.Severity, Result: control.Pass, Asked: true, Looked: []string{"file /etc/" + id}}
		switch n % 10 {
		case 0:
			f.Result = control.Fail
			for line := range 1 + n%4 {
				f.Differences = append(f.Differences, control.Difference{Subject: fmt.Sprintf("/etc/%s.conf:%d", id, line), Have: "not in the file", Want: "what the control demands"})
			}
		case 3:
			f.Result, f.Why = control.NotApplicable, "the program is not installed"
		case 7:
			f.Result, f.Why = control.Waived, "the hoster's console needs it (ops@example.com, before 2027-03-31)"
			f.Waiver, f.WaivedBefore = "console", time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)
		case 9:
			if n%20 == 9 {
				f.Result, f.Why = control.Error, "reading /etc/"+id+": line 3: a quote is not closed"
			}
		}
		findings = append(findings, f)
	}
	r := &report.Report{
		Target: "debian-12-nginx:20261128.1", Baseline: "debian-12-nginx", At: time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC), Files: 21140,
		Report: set.NewReport("debian-12", control.Machine, findings, 2), Compared: true,
		Drift:  []integrity.Difference{},
		Strays: []report.Stray{{Kind: "world-writable", Path: "/srv/shared/a rather long name of a directory that goes on and on/upload", Detail: "mode 0777"}},
	}
	for n := range 40 {
		r.Drift = append(r.Drift, integrity.Difference{Path: fmt.Sprintf("usr/lib/x/%d", n), Kind: integrity.Changed, Class: integrity.Immutable,
			Fields: []integrity.Field{{Name: "mode", From: "0644", To: "0755"}}})
	}
	r.Trial = &report.Trial{Runs: "machine (kvm)", Isolation: []report.Answer{{Name: "dns", Asked: "a name"}},
		Starts: []report.Start{{Ready: 8.5, Answers: []report.Answer{{Name: "http", Asked: "GET /, port 80", Error: "status 500"}}}}}
	r.Opinion = opinion("0644")
	return r
}
