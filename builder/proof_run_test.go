package builder_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// saw is what the scripts of proof-child have to see of their project: what
// they declare, as it lies there, and nothing else of it.
const saw = `in /tmp/imgbuild/project/baselines as /tmp/imgbuild/script, WORD=a b, may not write
/tmp/imgbuild/project 755
/tmp/imgbuild/project/baselines 755
/tmp/imgbuild/project/baselines/proof-run 755
/tmp/imgbuild/project/baselines/proof-run/one 644 one
/tmp/imgbuild/project/baselines/proof-run/tree 755
/tmp/imgbuild/project/baselines/proof-run/tree/deep 755
/tmp/imgbuild/project/baselines/proof-run/tree/deep/file 644 deep
/tmp/imgbuild/project/baselines/proof-run/tree/link -> deep/file
/tmp/imgbuild/project/baselines/proof-run/tree/tool 755 #!/bin/sh|echo tool
gone: 
`

// TestScriptsSeeTheirInputs bakes a recipe with scripts: one from a file, with
// another interpreter, inputs and a variable of its own; one with none of that.
func TestScriptsSeeTheirInputs(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all").as(t, "proof-child")
	first := s.bake(t)
	made, err := filepath.Glob(filepath.Join(s.stages(), "*/diff/etc/proof-saw"))
	if err != nil || len(made) != 1 {
		t.Fatalf("stages with what the scripts wrote: %v, %v", made, err)
	}
	got, err := os.ReadFile(made[0])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(saw, string(got)); diff != "" {
		t.Errorf("what the scripts saw (-want +got):\n%s", diff)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(made[0]), "../tmp/*")); err != nil || len(left) > 0 {
		t.Errorf("scripts left behind: %v, %v", left, err)
	}

	// What they do not declare is no input; what they do is.
	for _, c := range []struct {
		file  string
		known bool
	}{{"neighbour", true}, {"tree/deep/file", false}} {
		if err := os.WriteFile(filepath.Join(s.project, "baselines/proof-run", c.file), []byte("changed\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if again := s.bake(t); again.Known != c.known || c.known != (again.Container == first.Container) {
			t.Errorf("%s changed: known %v, want %v; container %s, before %s", c.file, again.Known, c.known, again.Container, first.Container)
		}
	}
}

// TestInputsStayInTheirPlace has links that stay within the project as it lies
// there, and lead to the root of this machine from where a script's inputs are
// laid out.
func TestInputsStayInTheirPlace(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all")
	outside := filepath.Join(t.TempDir(), "made", "file")
	const up = "../../../../../.."
	folder := filepath.Join(s.project, "a/b/c/d/e/f")
	for path, text := range map[string]string{
		filepath.Join(s.project, "a", outside):                          "hostile\n",
		filepath.Join(folder, "parent.yaml"):                            "name: parent\ndescription: x\nextends: " + up + "/baselines/proof-all.yaml\nrun:\n  - name: x\n    script: \"true\"\n    inputs: [in, in/l" + outside + "]\n",
		filepath.Join(folder, "in/1/2/3/4/5/6/x"):                       "",
		filepath.Join(filepath.Dir(s.recipeFile()), "proof-links.yaml"): "name: proof-links\ndescription: x\nextends: ../a/b/c/d/e/f/parent.yaml\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"in/1/2/3/4/5/6/up": up, "in/l": "1/2/3/4/5/6/up/" + up} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	said := s.as(t, "proof-links").mustFail(t, 1)
	if !strings.Contains(said, "preparing script x: ") || !strings.Contains(said, "path escapes from parent") {
		t.Errorf("it said %s", said)
	}
	if _, err := os.Lstat(outside); err == nil {
		t.Errorf("%s was written", outside)
	}
}
