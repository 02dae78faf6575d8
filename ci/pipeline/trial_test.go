package pipeline_test

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/debian/install"
	"imgbuild/ci/pipeline"
)

// TestWhatRefutesACandidate has what bakes end with: a machine that has no room or no
// memory says nothing about what was baked on it.
func TestWhatRefutesACandidate(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&install.ScriptError{Reason: "exit status 3"}, true},
		{&install.ScriptError{Reason: "signal (Segmentation fault)"}, true},
		{&install.ScriptError{Reason: "exit status 1", Output: "update-initramfs: No space left on device"}, false},
		{errors.Join(&install.ScriptError{Reason: "exit status 1"}, unix.EDQUOT), false},
		{&install.ScriptError{Reason: "signal (Killed)"}, false},
		{&install.ScriptError{Reason: "exit status 137"}, false},
		{errors.New("the mirror does not answer"), false},
	} {
		if got := pipeline.Refutes(fmt.Errorf("baking: %w", c.err)); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
}
