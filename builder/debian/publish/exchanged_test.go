package publish_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/debian/publish"
)

// aptAt runs apt with all of its state below dir.
func aptAt(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(args[0], append([]string{"-o", "Dir=" + dir, "-o", "Dir::State::status=" + filepath.Join(dir, "status"),
		"-o", "APT::Sandbox::User=root", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64", "-o", "APT::Update::Error-Mode=any"}, args[1:]...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// One key signs all snapshots. apt itself, which got one and then another at the same
// address, says so; and with the preferences it never installs from the other.
func TestAptNoticesAnotherSnapshot(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("it asks apt, which only Debian and its descendants have")
	}
	key, s := newKey(t), newShop(t)
	site, err := publish.NewSite(key, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := s.request()
	other.Name = "test"
	if err := site.Update(t.Context(), made, s.request(), other); err != nil {
		t.Fatal(err)
	}
	www, apt := filepath.Join(t.TempDir(), "www"), t.TempDir()
	if err := site.Write(t.Context(), www); err != nil {
		t.Fatal(err)
	}
	web := site.Edition("web")
	for name, text := range map[string]string{
		"status":                             "",
		"etc/apt/apt.conf.d/none":            "",
		"etc/apt/preferences.d/imgbuild":     web.Preferences(),
		"etc/apt/sources.list.d/our.sources": web.Sources("file://"+www+"/snapshots/web/", filepath.Join(www, "key.asc")),
		"var/lib/apt/lists/partial/x":        "",
		"var/cache/apt/archives/partial/x":   "",
		"var/lib/dpkg/status":                "",
	} {
		path := filepath.Join(apt, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	candidate := func() string {
		out, err := aptAt(t, apt, "apt-cache", "policy", "webdata")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return out
	}
	if out, err := aptAt(t, apt, "apt-get", "update"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out := candidate(); !strings.Contains(out, "Candidate: 1\n") {
		t.Errorf("what is served is no candidate:\n%s", out)
	}
	// Somebody on the way answers with the other one, which the same key has signed.
	dists := filepath.Join(www, "snapshots/web/dists")
	if err := os.RemoveAll(dists); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dists, os.DirFS(filepath.Join(www, "snapshots/test/dists"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dists, "test"), filepath.Join(dists, "web")); err != nil {
		t.Fatal(err)
	}
	if out, err := aptAt(t, apt, "apt-get", "update"); err == nil || !strings.Contains(out, "changed its 'Label' value from 'web' to 'test'") {
		t.Errorf("a server that knew it: %v\n%s", err, out)
	}
	lists, err := filepath.Glob(filepath.Join(apt, "var/lib/apt/lists/*_*"))
	if err != nil || len(lists) == 0 {
		t.Fatal(lists, err)
	}
	for _, list := range lists {
		if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
	}
	if out, _ := aptAt(t, apt, "apt-get", "update"); !strings.Contains(out, "Conflicting distribution") {
		t.Errorf("a server that is new is not warned:\n%s", out)
	}
	if out := candidate(); !strings.Contains(out, "Candidate: (none)\n") {
		t.Errorf("the other snapshot is installed from:\n%s", out)
	}
}
