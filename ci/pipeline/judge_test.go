package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"imgbuild/ci/pipeline"
	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/records"
	"imgbuild/images/updates/roster"
)

// TestEachBaselineGoesByItsOwnTrial has an update that passed in one baseline, and failed
// afterwards in another: the first one's outcome must not be the second one's.
func TestEachBaselineGoesByItsOwnTrial(t *testing.T) {
	ssl := life.Update{Kind: life.Deb, Name: "ssl", Version: "2", Architecture: "amd64", Source: "ssl", SourceVersion: "2", SHA256: strings.Repeat("a", 64), Size: 1, Archive: "debian-security"}
	applies := []life.Applies{{Baseline: "shop", Architecture: "amd64", Sets: []string{"root"}, Why: "x"}, {Baseline: "strict", Architecture: "amd64", Sets: []string{"root"}, Why: "x"}}
	trial := func(baseline string, failed ...string) *life.Trial {
		return &life.Trial{ID: strings.Repeat(baseline[:1], 64), Baseline: baseline, Architecture: "amd64", Passed: len(failed) == 0, Failed: failed}
	}
	var all []life.Signed
	for i, r := range []life.Record{
		{Action: life.Discovered},
		{Action: life.Evaluated, Evaluations: []life.Evaluation{{Applies: applies, Facts: life.Facts{Security: true, Severity: control.High}}}},
		{Action: life.Trialled, Trial: trial("shop")},
		{Action: life.Trialled, Trial: trial("strict", "gate forbid-packages: ssl")},
	} {
		r.Updates, r.When = []life.Update{ssl}, now.Add(time.Duration(i)*time.Minute)
		all = append(all, life.Signed{Digest: strings.Repeat(string(rune('1'+i)), 64), Record: &r, By: life.Signer{Name: "ci", Role: life.Pipeline, Key: "c"}})
	}
	history, err := life.Replay(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode     policy.Mode
		baseline string
		want     policy.Verdict
		why      string
	}{
		{policy.Open, "shop", policy.Approve, "its trial passed"},
		{policy.Open, "strict", policy.Wait, "its trial failed: gate forbid-packages"},
		{policy.Approved, "shop", policy.Wait, "its trial passed; it waits for an approver, and the roster has nobody who could; auto-approve does not cover it: its trial failed in strict"},
		{policy.Approved, "strict", policy.Wait, "its trial failed: gate forbid-packages"},
	} {
		b := pipeline.Bench{
			History: func(context.Context) (*life.History, error) { return history, nil }, Now: func() time.Time { return now.Add(time.Hour) },
			Policy:  policy.Policy{Mode: c.mode, AutoApprove: &policy.AutoApprove{Severity: control.High}},
			Records: records.Open(t.TempDir(), &roster.Roster{}, time.Now),
		}
		judged, err := b.Judge(t.Context(), &baseline.Recipe{Name: c.baseline, Architecture: "amd64"}, []life.Update{ssl})
		if err != nil || judged[0].Decision.Verdict != c.want || !strings.HasPrefix(judged[0].Decision.Why, c.why) {
			t.Errorf("%s in mode %s: %+v, %v", c.baseline, c.mode, judged, err)
		}
	}
}
