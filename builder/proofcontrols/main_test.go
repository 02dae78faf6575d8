package proofcontrols_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"imgbuild/builder/sandbox"
	"imgbuild/builder/shipped"
)

var update = flag.Bool("update", false, "write the golden files of testdata again")

// scratch is the directory of this run of the tests: a home with its catalog
// and caches.
var scratch string

func TestMain(m *testing.M) {
	sandbox.Init()
	// What is mounted ends with the tests.
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, remove, err := shipped.Scratch("imgbuild-controls-", 8<<30)
	if err == nil {
		defer remove()
		scratch = dir
		err = shipped.ShareUnpacked(filepath.Join(scratch, "cache", "imgbuild"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program builds imgbuild as it is shipped and returns its path.
var program = sync.OnceValues(func() (string, error) { return shipped.Build(scratch) })

// imgbuild runs imgbuild as the user of this run's home does, and returns what it
// wrote on standard output.
func imgbuild(t *testing.T, args ...string) []byte {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := shipped.Command(path, scratch, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("imgbuild %v: %v\n%s%s", args, err, out, said.Bytes())
	}
	return out
}

// bake bakes a recipe of a project and returns the version.
func bake(t *testing.T, project, baseline string) string {
	t.Helper()
	var baked struct{ Version string }
	if err := json.Unmarshal(imgbuild(t, "bake", baseline, "--project", project, "--output", "json"), &baked); err != nil {
		t.Fatal(err)
	}
	return baked.Version
}
