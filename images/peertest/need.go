package peertest

import (
	"os/exec"
	"testing"
)

// Need skips a test where a program is not installed. make test installs all
// that tests need.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}
