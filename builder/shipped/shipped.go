// Package shipped has imgbuild as it is given out, for tests that run the program
// as its users do, and the places for what they make. It is for tests alone, and
// tests nothing itself.
package shipped

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds imgbuild in a directory and returns its path.
func Build(dir string) (string, error) { return build(dir, "imgbuild") }

// BuildGuest builds the program that imgbuild sends to servers, where imgbuild
// looks for it: beside itself.
func BuildGuest(dir string) (string, error) { return build(dir, "imgbuild-guest") }

func build(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "imgbuild/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return path, nil
}

// Command is imgbuild as the user of a home starts it, in that directory. Package
// files are in PackageArchive.
func Command(program, home string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+home,
		"XDG_DATA_HOME="+home+"/data", "XDG_CACHE_HOME="+home+"/cache",
		"XDG_STATE_HOME="+home+"/state", "XDG_CONFIG_HOME="+home+"/config",
		"IMGBUILD_ARCHIVE_DIR="+PackageArchive(),
	)
	cmd.Dir = home
	return cmd
}
