package proofboot_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"imgbuild/builder/host"
	"imgbuild/builder/shipped"
)

// scratch is the directory of this run of the tests: a home with its catalog
// and caches, which all of them share. Its name is short and in lower case, for
// podman takes nothing else in oci:PATH.
var scratch string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "boot"); err == nil {
		defer os.RemoveAll(scratch)
		err = shipped.ShareUnpacked(filepath.Join(scratch, "cache", "imgbuild"))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// program builds imgbuild as it is shipped, with the program that it sends to
// servers, and returns its path.
var program = sync.OnceValues(func() (string, error) {
	if _, err := shipped.BuildGuest(scratch); err != nil {
		return "", err
	}
	return shipped.Build(scratch)
})

// command is imgbuild as the user of this run's home starts it.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return shipped.Command(path, scratch, args...)
}

// imgbuild runs imgbuild and returns what it wrote on standard output.
func imgbuild(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := command(t, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("imgbuild %v: %v\n%s%s", args, err, out, said.Bytes())
	}
	return out
}

// image is what bake --output json says.
type image struct {
	Version, Catalog string
	Stages           map[string]string
	// flags lead to the project it was baked in; none outside of projects.
	flags []string
}

// project makes a project of the test with the recipes of testdata, and gives the
// flags that lead there.
func project(t *testing.T) []string {
	t.Helper()
	dir := filepath.Join(scratch, strings.ToLower(t.Name()))
	imgbuild(t, "init", dir)
	if err := os.CopyFS(filepath.Join(dir, "baselines"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	return []string{"--project", dir}
}

// reach skips the test where it takes too long or no mirror is known.
func reach(t *testing.T, suite string) {
	t.Helper()
	if testing.Short() {
		t.Skip("bakes and boots take too long for -short")
	}
	sources, err := host.AptSources()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sources.Mirror(host.ArchiveDebian, suite); err != nil {
		t.Skip("no mirror in apt's sources: ", err)
	}
}

// bake bakes a baseline, of a project if flags lead to one.
func bake(t *testing.T, baseline string, flags ...string) *image {
	t.Helper()
	baked := image{flags: flags}
	if err := json.Unmarshal(baked.imgbuild(t, "bake", baseline, "--output", "json"), &baked); err != nil {
		t.Fatal(err)
	}
	return &baked
}

// imgbuild runs imgbuild where the image was baked.
func (i *image) imgbuild(t *testing.T, args ...string) []byte {
	t.Helper()
	return imgbuild(t, append(args, i.flags...)...)
}

// disk exports the disk of an image.
func (i *image) disk(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	i.imgbuild(t, "images", "export", i.Version, path)
	if st, err := os.Stat(path); err == nil {
		t.Logf("the qcow2 of %s has %.1f MB", i.Version, float64(st.Size())/1e6)
	}
	return path
}
