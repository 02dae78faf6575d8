package service_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

func list(t *testing.T, dir string) map[string]service.Listed {
	t.Helper()
	r, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := service.List(r)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]service.Listed{}
	for _, u := range all {
		byName[u.Name] = u
	}
	return byName
}

// TestListIsThatOfSystemctl has units of every state, made so by systemctl, and
// compares with what it lists.
func TestListIsThatOfSystemctl(t *testing.T) {
	systemctl, err := exec.LookPath("systemctl")
	if err != nil {
		t.Skip("systemctl is not installed")
	}
	dir := root(t)
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put("opt/own/far.service", "[Service]\nExecStart=/bin/true\n")
	put("etc/systemd/system/local.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
	put("etc/systemd/system/static.service", "[Service]\nExecStart=/bin/false\n")
	put("usr/lib/systemd/system/also.service", "[Service]\nExecStart=/bin/true\n[Install]\nAlso=with.socket\n")
	put("usr/lib/systemd/system/off.service", "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
	put("usr/lib/systemd/system/empty.service", "")
	for _, step := range []string{"enable plain required aliased with long.timer local", "enable port@ttyS0", "mask absent.service off.service", "link /opt/own/far.service"} {
		if out, err := exec.Command(systemctl, append([]string{"--root=" + dir}, strings.Fields(step)...)...).CombinedOutput(); err != nil {
			t.Fatalf("systemctl %s: %v\n%s", step, err, out)
		}
	}
	got := list(t, dir)
	out, err := exec.Command(systemctl, "--root="+dir, "list-unit-files", "--no-legend", "--no-pager").Output()
	if err != nil {
		t.Fatal(err)
	}
	want, have := map[string]string{}, map[string]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if words[1] != "alias" && !strings.Contains(words[0], "@.") {
			want[words[0]] = words[1]
		}
	}
	for name, u := range got {
		if !strings.Contains(name, "@") { // systemctl lists no instances
			have[name] = u.State
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-systemctl +got):\n%s", diff)
	}
	for name, by := range map[string]string{
		"port@ttyS0.service": "dev-ttyS0.device, port.target", "required.service": "c.target, requires a.target",
		"aliased.service": "alias dbus-org.example.service, alias other.service, multi-user.target",
	} {
		if u := got[name]; strings.Join(u.By, ", ") != by || !u.On() {
			t.Errorf("%s: %+v", name, u)
		}
	}
	for name, chosen := range map[string]bool{"empty.service": false, "off.service": true, "plain.service": true, "far.service": true, "static.service": false} {
		if u := got[name]; u.Chosen() != chosen {
			t.Errorf("%s: %+v", name, u)
		}
	}
	if file := got["port@ttyS0.service"].File; file != "usr/lib/systemd/system/port@.service" {
		t.Errorf("the instance's file: %q", file)
	}
}

// Scripts of init start by links, where no unit has their name.
func TestScriptsOfInitAreListed(t *testing.T) {
	s := system.NewMemory()
	for _, dir := range []string{"/etc/init.d", "/etc/rc2.d", "/etc/rc3.d", "/usr/lib/systemd/system"} {
		if err := system.MkdirAll(s, dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"/etc/init.d/old", "/etc/init.d/new", "/usr/lib/systemd/system/new.service"} {
		if err := s.WriteFile(name, strings.NewReader("#!/bin/sh\n"), system.Attr{Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"/etc/rc2.d/S01old": "../init.d/old", "/etc/rc3.d/S01old": "../init.d/old", "/etc/rc2.d/S02new": "../init.d/new", "/etc/rc2.d/K03off": "../init.d/old", "/etc/rc2.d/S04none": "../init.d/none"} {
		if err := s.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	all, err := service.List(s)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(all, func(u service.Listed) bool { return u.Name == "old" })
	if len(all) != 2 || at < 0 || !all[at].On() || !slices.Equal(all[at].By, []string{"rc2.d", "rc3.d"}) || all[at].File != "etc/init.d/old" {
		t.Errorf("got %+v", all)
	}
}
