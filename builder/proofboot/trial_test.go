package proofboot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/peertest"
	"imgbuild/images/report"
)

// bootTrial bakes once more, with a boot trial of the image that the catalog has
// by then, by BIOS: everything of both its forms is as it should be, also after a
// restart.
func bootTrial(t *testing.T, baked *image) {
	var again struct {
		Version string
		Known   bool
		Trials  map[control.Output]*report.Trial
	}
	baseline, _, _ := strings.Cut(baked.Version, ":")
	if err := json.Unmarshal(baked.imgbuild(t, "bake", baseline, "--boot-trial", "--firmware", string(launch.BIOS), "--patience", patience.String(), "--output", "json"), &again); err != nil {
		t.Fatal(err)
	}
	if again.Version != baked.Version || !again.Known || len(again.Trials) != 2 {
		t.Errorf("it tried %d forms of %s, known %v", len(again.Trials), again.Version, again.Known)
	}
	for form, found := range again.Trials {
		for _, wrong := range found.Failed() {
			t.Errorf("%s: %s", form, wrong)
		}
		if len(found.Starts) != 2 || len(found.Isolation) < 10 {
			t.Errorf("%s: %d starts, %d ways out tried", form, len(found.Starts), len(found.Isolation))
		}
		if last := len(found.Starts) - 1; form == control.Machine && last >= 0 && !asked(found.Starts[last], "aide") {
			t.Error("aide was not asked at last")
		}
		for i, start := range found.Starts {
			t.Logf("%s, start %d: ready after %.1f s, %d answers", form, i+1, start.Ready, len(start.Answers))
		}
	}
}

// asked tells whether a start has an answer of a name.
func asked(s report.Start, name string) bool {
	for _, a := range s.Answers {
		if a.Name == name {
			return true
		}
	}
	return false
}

// TestABrokenServerIsFound tries one with three faults, by BIOS and with a screen
// that a probe of its looks at: all are found at its first start, and nothing else
// is, there is no second one, and its journal and console are kept.
func TestABrokenServerIsFound(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "qemu-system-x86_64", "qemu-img")
	reach(t, "bookworm")
	baked := bake(t, "proof-broken", project(t)...)
	logs := t.TempDir()
	cmd := command(t, append([]string{"scan", baked.Version, "--boot-trial", "--trial-logs", logs, "--patience", patience.String(), "--output", "json"}, baked.flags...)...)
	cmd.Env = append(cmd.Env, "PATH="+(&hypervisor{screen: true}).path(t))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != int(fault.Gate) {
		t.Fatalf("it ended with %v\n%s", err, said.Bytes())
	}
	var found report.Report
	if err := json.Unmarshal(out, &found); err != nil || found.Trial == nil {
		t.Fatalf("%v\n%s", err, said.Bytes())
	}
	wrong := strings.Join(found.Trial.Failed(), "\n")
	for _, want := range []string{
		"start 1: missing (GET /no-such-page, port 80): not within ", "the answer is 404",
		"start 1: units (no unit has failed): failed: proof-fails.service\n",
		"start 1: ports (it listens on 22/tcp, 80/tcp alone): 8081/tcp on :: by systemd is not declared",
	} {
		if !strings.Contains(wrong+"\n", want) {
			t.Errorf("it does not say %q:\n%s", want, wrong)
		}
	}
	if len(found.Trial.Starts) != 1 || len(found.Trial.Failed()) != 3 {
		t.Errorf("%d starts:\n%s", len(found.Trial.Starts), wrong)
	}
	for what, want := range map[string]string{"journal": "proof-fails.service: Failed with result", "console": "Welcome to"} {
		path := filepath.Join(logs, strings.ReplaceAll(baked.Version, ":", "-")+"-vm-"+what+".log")
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("the %s lacks %q (%v)", what, want, err)
		}
		if what == "console" {
			// It is of the root that the shipped server boots.
			own := identity{keys: keysOf(shownKeys(string(text)))}
			if len(own.keys) != 3 {
				t.Errorf("the console shows the host keys %q", own.keys)
			}
			own.own(t)
		}
		if !strings.Contains(said.String(), path) {
			t.Errorf("it does not say where the %s is:\n%s", what, said.Bytes())
		}
	}
}
