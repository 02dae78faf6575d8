package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// TestStrangersCrowdNobodyOut has an archive of many projects: each has locked the
// same package.
func TestStrangersCrowdNobodyOut(t *testing.T) {
	record := strings.Repeat("a", 64)
	steps := []updateStep{{Action: life.Discovered, By: "ci", Record: record, Why: "it is offered"}}
	for i := range 40 {
		steps = append(steps, updateStep{Action: life.Approved, Record: record, Why: fmt.Sprintf("lock %d", i), Void: "nobody's"})
	}
	steps = append(steps, updateStep{Action: life.Approved, By: "ada", Record: record, Why: "it is needed"})
	var out strings.Builder
	shownUpdate{Steps: steps}.write(&out, policy.Approved)
	for text, want := range map[string]int{"discovered by ci": 1, "by a stranger": 3, "approved by ada": 1, "and 37 records by keys of nobody": 1} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q is there %d times, expected %d:\n%s", text, got, want, out.String())
		}
	}
}

func TestAnUpdateWaitsForWhoeverLocksItInModeOpen(t *testing.T) {
	trial := policy.Decision{Verdict: policy.Wait, Why: "it waits for a trial"}
	failed := policy.Decision{Verdict: policy.Wait, Why: "its trial failed: a gate"}
	rejected := policy.Decision{Verdict: policy.Reject, Why: "ada rejected it: it hangs"}
	for name, c := range map[string]struct {
		update listedUpdate
		mode   policy.Mode
		want   string
	}{
		"approved":           {listedUpdate{State: "evaluated", Decision: trial}, policy.Approved, trial.Why},
		"open":               {listedUpdate{State: "evaluated", Decision: trial}, policy.Open, "whoever locks it approves it"},
		"open, and failed":   {listedUpdate{State: "failed", Decision: failed}, policy.Open, "its trial failed: a gate; whoever locks it approves it all the same"},
		"open, and locked":   {listedUpdate{State: "locked", Decision: trial}, policy.Open, trial.Why},
		"open, and rejected": {listedUpdate{State: "rejected", Decision: rejected}, policy.Open, rejected.Why},
	} {
		if _, why := verdictIn(c.update, c.mode); why != c.want {
			t.Errorf("%s: got %q, want %q", name, why, c.want)
		}
	}
}

func TestANoteIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	env := newEnvironment("imgbuild", os.Stdin, os.Stdout, stderr)
	for range 3 {
		env.noteOnce("%d records count for nothing", 2)
	}
	data, err := os.ReadFile(path)
	if got := strings.Count(string(data), "2 records count for nothing"); err != nil || got != 1 {
		t.Errorf("noted %d times: %q, %v", got, data, err)
	}
}
