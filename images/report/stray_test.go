package report_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"imgbuild/images/control"
	"imgbuild/images/report"
)

// TestWaiversOfStrays has two strays of a kind, one of which is accepted until
// the end of the year.
func TestWaiversOfStrays(t *testing.T) {
	text := `
ping: {stray: {kind: setuid, path: /usr/bin/probe}, reason: it sends ICMP, owner: ops, expires: 2027-01-01, outputs: [vm]}
`
	waivers, err := control.LoadWaivers(fstest.MapFS{"w.yaml": {Data: []byte(text)}}, "w.yaml", &control.Set{}, []string{"setuid"})
	if err != nil {
		t.Fatal(err)
	}
	found := []report.Stray{{Kind: "setuid", Path: "/usr/bin/other", Detail: "root"}, {Kind: "setuid", Path: "/usr/bin/probe", Detail: "root"}}
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		output control.Output
		now    time.Time
		left   int
		lines  []string
	}{
		"holds":        {control.Machine, end.Add(-1), 1, []string{"fail    high      hygiene-setuid", "waived  high      hygiene-setuid", "/usr/bin/probe: root; it sends ICMP (ops, before 2027-01-01)"}},
		"expired":      {control.Machine, end, 2, []string{"fail    high      hygiene-setuid", "/usr/bin/probe: root; the waiver expired on 2027-01-01"}},
		"another form": {control.Container, end.Add(-1), 2, []string{"/usr/bin/probe: root\n"}},
	} {
		r := &report.Report{At: c.now, Report: &control.Report{}}
		r.Strays = report.WaiveStrays(found, waivers, control.Subject{Output: c.output}, c.now)
		if got := len(r.Littered(c.now)); got != c.left {
			t.Errorf("%s: %d are left, want %d", name, got, c.left)
		}
		if len(r.Littered(end)) != 2 {
			t.Errorf("%s: a waiver holds after its end", name)
		}
		var table bytes.Buffer
		if err := report.Table(&table, r); err != nil {
			t.Fatal(err)
		}
		for _, line := range c.lines {
			if !strings.Contains(table.String(), line) {
				t.Errorf("%s: no %q in\n%s", name, line, table.String())
			}
		}
	}
	if found[1].Waiver != "" {
		t.Error("what was found was changed")
	}
}
