package proofguest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const onLinux = `motd:
  title: the message of the day is ours
  severity: low
  rationale: people know where they are
  resources:
    files: {/etc/motd: {content: "welcome\n", mode: "0640", group: "4"}}
    sysctls: {net.ipv4.ip_forward: "0"}
`

// TestGuestOnARM has the program for 64-bit ARM do on a small root what it does
// on a server.
func TestGuestOnARM(t *testing.T) {
	dir := theRoot(t)
	build(t, "linux", "arm64", filepath.Join(dir, "imgbuild-guest-arm64"), "imgbuild/cmd/imgbuild-guest", "build")
	etc := filepath.Join(dir, "server/etc")
	must(t, os.MkdirAll(etc, 0o755))
	must(t, os.Symlink("/etc", filepath.Join(dir, "server/elsewhere")))
	ask := guest(func(stdin string, args ...string) said {
		return inside(t, dir, stdin, nil, append([]string{"/usr/bin/qemu-aarch64", "/imgbuild-guest-arm64"}, args...)...)
	})
	if s := ask("", "version"); s.code != 0 || !strings.HasSuffix(s.stdout, "linux/arm64\n") {
		t.Fatalf("exit %d\n%s\n%s", s.code, s.stdout, s.stderr)
	}
	if a := ask.answer(t, 0, onLinux, nil, "check", "--root", "/server"); a.Findings[0].Result != "fail" || len(a.Findings[0].Differences) < 2 {
		t.Errorf("before: %+v", a.Findings)
	}
	for _, want := range []int{1, 0} {
		if a := ask.answer(t, 0, onLinux, nil, "apply", "--yes", "--root", "/server"); len(a.Changed) != want {
			t.Errorf("changed %v, want %d", a.Changed, want)
		}
	}
	if a := ask.answer(t, 0, onLinux, nil, "check", "--root", "/server"); a.Findings[0].Result != "pass" {
		t.Errorf("after: %+v", a.Findings)
	}
	e, ok := ask.manifest(t, "--root", "/server").Find("etc/motd")
	if !ok || e.Mode != 0o640 || e.GID != 4 || e.Size != 8 {
		t.Errorf("the manifest has %+v", e)
	}
}
