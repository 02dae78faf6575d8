package life_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/updates/life"
)

func when(r *life.Record) { r.When = noon }

func samples() map[string]life.Record {
	return map[string]life.Record{
		"discovered": step(life.Discovered, when),
		"evaluated": step(life.Evaluated, when, func(r *life.Record) {
			r.Evaluations[0].Facts = life.Facts{Security: true, Severity: "high", Advisories: []string{"DSA-1-1"}}
		}),
		"trialled":   step(life.Trialled, when, failed),
		"approved":   step(life.Approved, when, rule(life.ByPolicy)),
		"first lock": step(life.Approved, when, rule(life.ByFirstLock)),
		"locked":     step(life.Approved, when, func(r *life.Record) { r.Basis = life.Basis{Lock: lockID, Baseline: "shop", Architecture: "amd64"} }),
		"held":       step(life.Held, when, func(r *life.Record) { r.Until = noon.Add(time.Hour) }),
		"rejected":   step(life.Rejected, when),
	}
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	for name, r := range samples() {
		data, err := r.Encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := life.Decode(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(&r, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		for _, bad := range []string{
			strings.Replace(string(data), `"format":1`, `"format":2`, 1),
			strings.Replace(string(data), `"format":1`, `"format":1,"more":1`, 1),
			string(data) + "{}", string(data[:len(data)-1]), "",
		} {
			if _, err := life.Decode([]byte(bad)); err == nil {
				t.Errorf("%s: took %q", name, bad)
			}
		}
	}
}

func TestWhatNoRecordMaySay(t *testing.T) {
	for name, change := range map[string]struct {
		of     string
		change func(*life.Record)
	}{
		"no update":              {"discovered", func(r *life.Record) { r.Updates = nil }},
		"an update twice":        {"discovered", func(r *life.Record) { r.Updates = append(r.Updates, r.Updates[0]) }},
		"a path out of archives": {"discovered", func(r *life.Record) { r.Updates[0].Path = "pool/../../x" }},
		"a name with a blank":    {"discovered", func(r *life.Record) { r.Updates[0].Name = "a b" }},
		"a name with a slash":    {"discovered", func(r *life.Record) { r.Updates[0].Name = "a/b" }},
		"a path that is unclean": {"discovered", func(r *life.Record) { r.Updates[0].Path = "pool//x" }},
		"no digest":              {"discovered", func(r *life.Record) { r.Updates[0].SHA256 = "x" }},
		"another kind":           {"discovered", func(r *life.Record) { r.Updates[0].Kind = "rpm" }},
		"nobody":                 {"discovered", func(r *life.Record) { r.Who = "" }},
		"no reason":              {"rejected", func(r *life.Record) { r.Why = "" }},
		"what moves a cursor":    {"rejected", func(r *life.Record) { r.Why = "a\x1b[2J" }},
		"no time":                {"discovered", func(r *life.Record) { r.When = time.Time{} }},
		"parts of seconds":       {"discovered", func(r *life.Record) { r.When = r.When.Add(1) }},
		"after what is none":     {"discovered", func(r *life.Record) { r.After = []string{"x"} }},
		"another action":         {"discovered", func(r *life.Record) { r.Action = "eaten" }},
		"evaluation of none":     {"evaluated", func(r *life.Record) { r.Evaluations[0].Applies = nil }},
		"one evaluation more":    {"evaluated", func(r *life.Record) { r.Evaluations = append(r.Evaluations, r.Evaluations[0]) }},
		"a severity of none":     {"evaluated", func(r *life.Record) { r.Evaluations[0].Facts.Severity = "bad" }},
		"passed for reasons":     {"trialled", func(r *life.Record) { r.Trial.Passed = true }},
		"a trial and no lock":    {"trialled", func(r *life.Record) { r.Trial.Lock = "" }},
		"a trial of a rejection": {"rejected", func(r *life.Record) { r.Trial = &life.Trial{} }},
		"no rule":                {"approved", func(r *life.Record) { r.Rule = "" }},
		"another rule":           {"approved", func(r *life.Record) { r.Rule = "dice" }},
		"a policy and no trial":  {"approved", func(r *life.Record) { r.Basis.Trial = "" }},
		"a lock of no baseline":  {"first lock", func(r *life.Record) { r.Basis.Baseline = "" }},
		"a lock of another cpu":  {"first lock", func(r *life.Record) { r.Basis.Architecture = "arm64" }},
		"a hold for ever":        {"held", func(r *life.Record) { r.Until = time.Time{} }},
		"a hold that is over":    {"held", func(r *life.Record) { r.Until = r.When }},
	} {
		r := samples()[change.of]
		change.change(&r)
		if _, err := r.Encode(); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range samples() {
		data, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := life.Decode(data)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		twice, err := life.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := twice.Encode(); err != nil || string(third) != string(again) {
			t.Errorf("written twice, it differs: %v", err)
		}
	})
}
