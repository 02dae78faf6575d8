package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"imgbuild/images/fault"
)

func TestThisMachineRunsItsOwnExit(t *testing.T) {
	exit := exits[runtime.GOARCH]
	program := filepath.Join(t.TempDir(), "exit")
	if err := os.WriteFile(program, executable(exit.machine, exit.code), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// Every other architecture's is run by qemu, if that is installed, or refused
// in words.
func TestForeignProgramsAreRunOrRefused(t *testing.T) {
	for architecture := range exits {
		err := Runs(context.Background(), architecture)
		if err == nil {
			continue
		}
		if architecture == runtime.GOARCH || fault.KindOf(err) != fault.World || !strings.Contains(fault.HintOf(err), "qemu-user-static") {
			t.Errorf("%s: %v", architecture, err)
		}
	}
	if err := Runs(context.Background(), "pdp11"); fault.KindOf(err) != fault.Input {
		t.Errorf("pdp11: %v", err)
	}
}
