package builder_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/images/gate"
)

// TestControlsHaveTheLastWord bakes a recipe whose controls undo what its
// resources say, and need nothing of what is right already; and one that leaves
// a control out.
func TestControlsHaveTheLastWord(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all").as(t, "proof-child")
	plain := s.bake(t)
	for name, text := range map[string]string{
		"controls/proof.yaml": `
child: {title: t, severity: low, rationale: r, resources: {files: {/etc/proof-child: {mode: "0600"}}}}
shells: {title: t, severity: low, rationale: r, resources: {files: {/etc/shells: {mode: "0644"}}}}
elsewhere: {title: t, severity: low, rationale: r, when: {files: {/etc/not-there: {mode: "0644"}}}, resources: {files: {/etc/shells: {absent: true}}}}
`,
		"controls/benchmarks/proof.yaml": "{title: t, version: '1', sections: {1.1.1: {level: 1, controls: [child, shells, elsewhere]}}}",
		"controls/profiles.yaml":         "proof-l1: {description: d, level: 1, benchmarks: [proof]}\n",
	} {
		at := filepath.Join(s.project, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := os.ReadFile(s.recipeFile())
	if err != nil {
		t.Fatal(err)
	}
	write := func(more string) {
		t.Helper()
		if err := os.WriteFile(s.recipeFile(), []byte(string(recipe)+more), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const gates = "gates: {clean: true, no-fail: low, min-score: {proof: {level-1: 100}}}\n"
	write("controls: {profiles: [proof-l1]}\n" + gates)
	hard := s.bake(t)
	if hard.Known || hard.Container == plain.Container {
		t.Fatalf("the hardened image is the plain one: %+v", hard)
	}
	made, err := filepath.Glob(filepath.Join(s.stages(), "*/diff/etc/proof-child"))
	if err != nil || len(made) != 2 {
		t.Fatalf("stages that made the file: %v, %v", made, err)
	}
	modes := map[fs.FileMode]string{}
	for _, path := range made {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		modes[info.Mode()] = filepath.Dir(path)
	}
	if modes[0o644] == "" || modes[0o600] == "" {
		t.Fatalf("the file has the modes %v", modes)
	}
	if _, err := os.Lstat(filepath.Join(modes[0o600], "shells")); err == nil {
		t.Error("a file that was right already was changed, or a control was applied that was not applicable")
	}

	// What it is held against is kept with it, as it is defined.
	told, err := s.run(t.Context(), "controls", "diff", plain.Version, hard.Version)
	if err != nil || !strings.Contains(string(told), "\n+ low       child ") || strings.Contains(string(told), "\n- ") {
		t.Errorf("controls diff: %v:\n%s", err, told)
	}

	// What is not applied is found out, and keeps the version out of every channel
	// until a waiver accepts it.
	write("controls: {profiles: [proof-l1], except: [child]}\n" + gates)
	said := s.mustFail(t, 3)
	for _, want := range []string{"no-fail.child.container", "min-score.proof.level-1.container: the score is 0.00 %"} {
		if !strings.Contains(said, want) {
			t.Errorf("the bake does not say %q:\n%s", want, said)
		}
	}
	if out, err := s.run(t.Context(), "images", "list", s.baseline); err != nil || strings.Count(string(out), " rejected: min-score.proof.level-1.container") != 1 {
		t.Errorf("the list, %v:\n%s", err, out)
	}
	promote := func() int {
		_, err := s.run(t.Context(), "images", "promote", s.baseline, "released")
		var refused *failed
		if errors.As(err, &refused) {
			return refused.code
		}
		return 0
	}
	if code := promote(); code != 3 {
		t.Errorf("what the gates refuse was promoted: %d", code)
	}
	// The rejected version is passed over: the one before it is the hardened one.
	write("controls: {profiles: [proof-l1], except: [child]}\ngates: {no-worse: true}\n")
	if said := s.mustFail(t, 3); !strings.Contains(said, "no-worse.proof.level-1.container: the score is 0.00 %, that of "+hard.Version+" is 100.00 %") {
		t.Errorf("the bake says:\n%s", said)
	}
	write("controls: {profiles: [proof-l1], except: [child]}\ngates: {no-fail: low}\n")
	out, err := s.run(t.Context(), "bake", s.baseline, "--promote", "candidate", "--output", "json")
	var refused *failed
	if !errors.As(err, &refused) || refused.code != 3 || !strings.Contains(refused.stderr, "does not pass the gates of its recipe") {
		t.Fatalf("got %v", err)
	}
	var answer struct {
		Version  string
		Rejected bool
		Refusals []gate.Refusal
		Exit     int
	}
	if err := json.Unmarshal(out, &answer); err != nil || !answer.Rejected || answer.Exit != 3 || len(answer.Refusals) != 1 || answer.Refusals[0].Gate != "no-fail.child.container" {
		t.Errorf("got %+v, %v:\n%s", answer, err, out)
	}
	waiver := "child: {control: child, reason: r, owner: o, expires: " + time.Now().AddDate(0, 0, 7).Format(time.DateOnly) + "}\n"
	if err := os.WriteFile(filepath.Join(s.project, "waivers.yaml"), []byte(waiver), 0o644); err != nil {
		t.Fatal(err)
	}
	if code := promote(); code != 3 {
		t.Errorf("a waiver that no report has was applied: %d", code)
	}
	if _, err := s.run(t.Context(), "images", "show", s.baseline+":candidate"); err == nil {
		t.Error("a bake moved a channel to what its gates refuse")
	}
	if _, err := s.run(t.Context(), "scan", answer.Version, "--attach"); err != nil {
		t.Fatal(err)
	}
	if out, err := s.run(t.Context(), "images", "show", answer.Version); err != nil || !strings.Contains(string(out), "  accepted   by its gates, which had rejected it; by ") {
		t.Errorf("got %v:\n%s", err, out)
	}
	if code := promote(); code != 0 {
		t.Errorf("what was accepted is not promoted: %d", code)
	}
	if out, err := s.run(t.Context(), "bake", s.baseline, "--promote", "candidate"); err != nil || !strings.Contains(string(out), "\n  channel    candidate\n") {
		t.Errorf("a known version that its gates accept now: %v\n%s", err, out)
	}
	if out, err := s.run(t.Context(), "scan"); err != nil || !strings.Contains(string(out), answer.Version) {
		t.Errorf("the scan of what was baked last: %v\n%s", err, out)
	}
}
