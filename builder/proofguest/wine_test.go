package proofguest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/integrity"
)

// wineEnv is how Wine finds its drive C:, which lies in the root as drive.
var wineEnv = []string{"WINEPREFIX=/root/wine", "WINESERVER=/usr/lib/wine/wineserver64", "WINEDEBUG=-all", "LC_ALL=C.UTF-8"}

const drive = "root/wine/drive_c"

// alone has Wine start none of the programs that Windows runs beside others; the
// list of drives is one of theirs.
const alone = "WINEDLLOVERRIDES=explorer.exe,plugplay.exe,winedevice.exe="

var prepared sync.Once

// prepareWine makes what Wine keeps its drive C: and its registry in, and has it
// all written before its server ends. zlib1.dll is made as libwine's postinst does.
func prepareWine(t *testing.T, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "usr/x86_64-w64-mingw32/lib/zlib1.dll"))
	must(t, err)
	data = slices.Concat(data[:64], []byte("Wine builtin DLL"), make([]byte, 16), data[96:])
	must(t, os.WriteFile(filepath.Join(dir, "usr/lib/x86_64-linux-gnu/wine/x86_64-windows/zlib1.dll"), data, 0o644))
	for _, name := range []string{"root", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	const script = "/usr/lib/wine/wine64 wineboot -i && $WINESERVER -k && $WINESERVER -w"
	if s := inside(t, dir, "", wineEnv, "/bin/sh", "-c", script); s.code != 0 {
		t.Fatalf("starting Wine: exit %d\n%s\n%s", s.code, s.stdout, s.stderr)
	}
}

// wine runs a program of Windows that lies in the root.
func wine(t *testing.T, stdin string, env []string, args ...string) said {
	t.Helper()
	dir := theRoot(t)
	prepared.Do(func() { prepareWine(t, dir) })
	return inside(t, dir, stdin, append(env, wineEnv...), append([]string{"/usr/lib/wine/wine64"}, args...)...)
}

func TestRootOnWindows(t *testing.T) {
	dir := theRoot(t)
	build(t, "windows", "amd64", filepath.Join(dir, "system.test.exe"), "imgbuild/provisioners/system", "test", "-c")
	s := wine(t, "", nil, "/system.test.exe", "-test.v", "-test.run", "Windows")
	if s.code != 0 || strings.Count(s.stdout, "--- PASS") < 7 || strings.Contains(s.stdout, "--- SKIP") {
		t.Errorf("exit %d\n%s\n%s", s.code, s.stdout, s.stderr)
	}
}

// onWindows are controls of files that Windows has too, and one of Linux's.
const onWindows = `motd:
  title: the text at login is ours
  severity: low
  rationale: people know where they are
  platforms: [windows-server-2022]
  resources:
    directories:
      /C:/data/site: {from: site}
      /C:/data/old: {absent: true}
    files:
      /C:/data/motd.txt: {content: "welcome\r\n"}
    lines:
      level: {path: /C:/data/app.ini, line: level=3, match: '^level='}
forwarding:
  title: packets are not forwarded
  severity: low
  rationale: a server is no router
  resources:
    sysctls: {net.ipv4.ip_forward: "0"}
owned:
  title: a file is root's
  severity: low
  rationale: nobody else writes it
  resources:
    files:
      /C:/data/app.ini: {owner: root}
debian:
  title: a file of Debian's
  severity: low
  rationale: it is only there
  platforms: [debian-12]
  resources:
    files:
      /etc/hosts.equiv: {absent: true}
stray:
  title: a file of Linux's
  severity: low
  rationale: it is on no drive
  resources:
    files:
      /etc/hosts.equiv: {absent: true}
`

func TestGuestOnWindows(t *testing.T) {
	dir := theRoot(t)
	build(t, "windows", "amd64", filepath.Join(dir, "imgbuild-guest.exe"), "imgbuild/cmd/imgbuild-guest", "build")
	if s := wine(t, "", []string{alone}, "/imgbuild-guest.exe", "version"); s.code != 0 || !strings.HasPrefix(s.stdout, "imgbuild-guest devel windows/amd64") {
		t.Fatalf("exit %d\n%s\n%s", s.code, s.stdout, s.stderr)
	}
	data := filepath.Join(dir, drive, "data")
	must(t, os.RemoveAll(data))
	for name, text := range map[string]string{"app.ini": "a=1\r\nlevel=1\r\n", "old/deep/file": "gone soon", "Ünï cödé/x": "x"} {
		must(t, os.MkdirAll(filepath.Join(data, filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(data, name), []byte(text), 0o644))
	}
	ask := guest(func(stdin string, args ...string) said {
		return wine(t, stdin, []string{alone}, append([]string{"/imgbuild-guest.exe"}, args...)...)
	})
	files := map[string]string{"site/index.html": "hello\n", "site/css/a.css": "b{}\n"}

	results := map[string]string{}
	for _, f := range ask.answer(t, 0, onWindows, files, "check").Findings {
		results[f.Control] = string(f.Result) + " " + f.Why
	}
	for id, want := range map[string]string{
		"motd": "fail ", "debian": "not-applicable it is for debian-12, and this system is Windows",
		"forwarding": "sysctls describe Linux, and this system is Windows", "owned": "neither owner, group nor mode",
		"stray": "on Windows a path begins with a drive",
	} {
		if got := results[id]; !strings.Contains(got, want) || id != "motd" && id != "debian" && !strings.HasPrefix(got, "error ") {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}

	motd, _, ok := strings.Cut(onWindows, "forwarding:")
	if !ok {
		t.Fatal("the controls are others")
	}
	if a := ask.answer(t, 2, motd, files, "apply"); !strings.Contains(a.Error, "--yes") {
		t.Errorf("apply without consent: %+v", a)
	}
	if _, err := os.Stat(filepath.Join(data, "motd.txt")); err == nil {
		t.Error("something was written without consent")
	}
	for _, want := range []int{1, 0} {
		if a := ask.answer(t, 0, motd, files, "apply", "--yes"); len(a.Changed) != want {
			t.Errorf("changed %v, want %d", a.Changed, want)
		}
	}
	if a := ask.answer(t, 0, motd, files, "check"); a.Findings[0].Result != "pass" {
		t.Errorf("after apply: %+v", a.Findings)
	}
	for name, want := range map[string]string{"motd.txt": "welcome\r\n", "app.ini": "a=1\r\nlevel=3\r\n", "site/css/a.css": "b{}\n"} {
		if got, err := os.ReadFile(filepath.Join(data, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, want)
		}
	}
	if a := ask.answer(t, 1, strings.ReplaceAll(onWindows, "motd:", "zz:"), files, "apply", "--yes"); !strings.Contains(a.Error, "this system is Windows") && !strings.Contains(a.Error, "neither owner") {
		t.Errorf("what cannot be applied: %+v", a)
	}

	// The same tree as another program reads it, by way of the same form.
	m := ask.manifest(t, "--root", `C:\data`)
	var paths []string
	for _, e := range m {
		paths = append(paths, e.Path)
		if e.Mode.Perm() != 0 || e.UID != 0 || e.GID != 0 || !strings.HasPrefix(e.Xattrs["windows.security"], "O:S-1-") {
			t.Errorf("%s: %+v", e.Path, e)
		}
		if e.Mode.IsRegular() {
			content, err := os.ReadFile(filepath.Join(data, e.Path))
			must(t, err)
			if sum := sha256.Sum256(content); e.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: digest %s", e.Path, e.SHA256)
			}
		}
	}
	want := []string{".", "app.ini", "motd.txt", "site", "site/css", "site/css/a.css", "site/index.html", "Ünï cödé", "Ünï cödé/x"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("the manifest (-want +got):\n%s", diff)
	}
	if drift := integrity.Drift(m, ask.manifest(t, "--root", `c:/DATA`)); len(drift) > 0 {
		t.Errorf("the same directory: %v", drift)
	}
	must(t, os.WriteFile(filepath.Join(data, "motd.txt"), []byte("Welcome\r\n"), 0o644))
	if drift := integrity.Drift(m, ask.manifest(t, "--root", `C:\data`)); len(drift) != 1 || drift[0].Path != "motd.txt" {
		t.Errorf("a file changed: %v", drift)
	}
}
