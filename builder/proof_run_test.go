package builder_test

import (
	"os"
	"path/filepath"
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
