package proofpeers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"imgbuild/builder/sandbox"
	"imgbuild/builder/shipped"
)

// scratch is the directory of this run of the tests. Its name is short and in
// lower case, for podman takes nothing else in oci:PATH.
var scratch string

func TestMain(m *testing.M) {
	sandbox.Init()
	// Sealed roots are looked at as mounted; the mounts end with the tests.
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, remove, err := shipped.Scratch("peers", 6<<30)
	if err == nil {
		defer remove()
		scratch = dir
		err = shipped.ShareUnpacked(filepath.Join(scratch, "cache"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program builds imgbuild as it is shipped and returns its path.
var program = sync.OnceValues(func() (string, error) { return shipped.Build(scratch) })

// newDir makes a directory with a short name; t.TempDir's are long and name
// the test in upper case.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
