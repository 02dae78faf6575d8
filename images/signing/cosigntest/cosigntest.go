// Package cosigntest finds cosign for tests that hold signatures to it.
package cosigntest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const version = "v2.4.1"

// Program returns the path of cosign: from the PATH, or built once into the
// user's cache directory. Where it cannot be had the test is skipped, and fails
// where CI=true says that it can.
func Program(t *testing.T) string {
	t.Helper()
	if path, err := exec.LookPath("cosign"); err == nil {
		return path
	}
	if testing.Short() {
		t.Skip("cosign is not installed, and building it takes minutes")
	}
	unavailable := t.Skipf
	if os.Getenv("CI") == "true" {
		unavailable = t.Fatalf
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		unavailable("no place for a built cosign: %v", err)
	}
	dir := filepath.Join(cache, "imgbuild-test", "cosign-"+version)
	path := filepath.Join(dir, "cosign")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	cmd := exec.Command("go", "install", "github.com/sigstore/cosign/v2/cmd/cosign@"+version)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		unavailable("cosign %s cannot be built here: %v\n%s", version, err, out)
	}
	return path
}
