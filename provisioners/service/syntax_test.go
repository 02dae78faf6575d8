package service_test

import (
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// TestCommandsAreThoseThatSystemdReads has systemd complain of a program that is not
// there, or of a second one, where its line counts.
func TestCommandsAreThoseThatSystemdReads(t *testing.T) {
	peertest.Need(t, "systemd-analyze")
	const bad = "ExecStart=/nonexistent/x\n"
	for _, text := range []string{
		bad, "# a \\\n" + bad, "ExecStart=/bin/true \\\n" + bad, "ExecStart=/bin/true \\\n\n" + bad, "ExecStart=/bin/true \\\n# a\n" + bad, "ExecStart=/bin/true \\\n# a \\\n; b\n\n" + bad,
		"ExecStart=/bin/true \\\\\n" + bad, "ExecStart=/bin/true a\\\\\\\n" + bad, "ExecStart=/bin/true\r" + bad, "ExecStart=/bin/true \\\r\n" + bad, "  ExecStart = /nonexistent/x\n", "#" + bad,
		"ExecStart=\\\n  /nonexistent/x\n", "Exec\\\nStart=/nonexistent/x\n", bad + "ExecStart=\nExecStart=/bin/true\n",
	} {
		text := "[Service]\n" + text
		root := t.TempDir()
		peertest.Write(t, root, "/x.service", text)
		out, _ := exec.Command("systemd-analyze", "verify", path.Join(root, "x.service")).CombinedOutput() // what it says decides
		s := system.NewMemory()
		if err := system.Replace(s, "/etc/systemd/system/x.service", text, 0o644); err != nil {
			t.Fatal(err)
		}
		ways, err := service.StartedBy(s, "x.service")
		got := false
		for _, way := range ways {
			got = got || way.Words[0] == "/nonexistent/x"
		}
		if want := strings.Contains(string(out), "/nonexistent/x is not executable") || strings.Contains(string(out), "more than one ExecStart="); err != nil || got != want {
			t.Errorf("%q: read %v, %v; systemd says: %s", text, ways, err, out)
		}
	}
}

func TestFlags(t *testing.T) {
	got := service.Flags(strings.Fields("/usr/sbin/x -nf a -f -b -cd e - f -x"), "fc")
	want := []service.Flag{{'n', ""}, {'f', "a"}, {'f', "-b"}, {'c', "d"}, {'x', ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
