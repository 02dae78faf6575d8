// The proof_ tests hold the program to its promises: they build imgbuild and
// bake with it, with Debian's real packages, in places of their own. Packages
// come from the build host's mirror once; after that every bake runs in a
// network namespace without interfaces.
package builder_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"imgbuild/builder/sandbox"
	"imgbuild/builder/shipped"
)

var update = flag.Bool("update", false, "write the golden files of testdata again")

// proofDir holds the program and the archive of this run of the tests.
var proofDir string

func TestMain(m *testing.M) {
	sandbox.Init()
	switch {
	case isGuest():
		guest()
	case standsForShell():
		shellOfRoot()
	}
	flag.Parse()
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "imgbuild-proof-")
	if err == nil {
		// Ordinary users bake from here too.
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	proofDir = dir
	return m.Run()
}

// program builds imgbuild as it is shipped and returns its path.
var program = sync.OnceValues(func() (string, error) { return shipped.Build(proofDir) })

// prepared is what every test starts from: a project with its keys and the
// locks of the tests' baselines, and an archive that has all of their packages.
type prepared struct {
	project, archive string
}

// prepare locks and fetches once a run. The archive is a copy by hard links,
// so that what tests add to it or take from it stays in this run.
var prepare = sync.OnceValues(func() (*prepared, error) {
	p := &prepared{project: filepath.Join(proofDir, "project"), archive: filepath.Join(proofDir, "archive")}
	if err := os.MkdirAll(filepath.Dir(shipped.PackageArchive()), 0o755); err != nil {
		return nil, err
	}
	online := &shop{dir: filepath.Join(proofDir, "online"), project: p.project, archive: shipped.PackageArchive()}
	if _, err := online.run(context.Background(), "init", p.project); err != nil {
		return nil, err
	}
	if err := os.CopyFS(filepath.Join(p.project, "baselines"), os.DirFS("testdata/proof")); err != nil {
		return nil, err
	}
	for _, name := range []string{"proof-all", "proof-small", "proof-server", "proof-vm"} {
		if _, err := online.run(context.Background(), "lock", name); err != nil {
			return nil, err
		}
	}
	if err := keepPackages(online, p); err != nil {
		return nil, err
	}
	return p, nil
})

// requirePrepared skips the test where the real thing cannot be had.
func requirePrepared(t *testing.T) *prepared {
	t.Helper()
	if testing.Short() {
		t.Skip("bakes take too long for -short")
	}
	p, err := prepare()
	if errors.Is(err, errNoMirror) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var errNoMirror = errors.New("this machine's apt sources name no mirror that answers")

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces, users and mounts of the test are root's to make")
	}
}

// users counts the users that the tests have made.
var users atomic.Int64

// lines splits a program's output.
func lines(text string) []string { return strings.Split(strings.TrimRight(text, "\n"), "\n") }
