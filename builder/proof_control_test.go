package builder_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestControlsHaveTheLastWord bakes a recipe whose controls undo what its
// resources say, and need nothing of what is right already.
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
	if err := os.WriteFile(s.recipeFile(), append(recipe, "controls: {profiles: [proof-l1]}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
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
}
