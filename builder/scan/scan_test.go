package scan_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"imgbuild/builder/scan"
	"imgbuild/builder/scan/hygiene"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/tree"
)

// root makes a directory that holds a root, and gives its manifest.
func root(t *testing.T) (string, integrity.Manifest) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n", "etc/motd": "welcome\n", "usr/bin/tool": "#!/bin/sh\n"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := tree.Walk(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := integrity.NewManifest(entries, integrity.DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	return dir, manifest
}

func set(t *testing.T) *control.Set {
	t.Helper()
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{
		"c.yaml": {Data: []byte(`
motd: {title: t, severity: high, rationale: r, resources: {files: {/etc/motd: {mode: "0600"}}}}
tool: {title: t, severity: low, rationale: r, outputs: [vm], resources: {files: {/usr/bin/tool: {mode: "0644"}}}}
`)},
		"benchmarks/house.yaml": {Data: []byte("{title: t, version: 1.0.0, platforms: [debian-12], sections: {1.1.1: {level: 1, controls: [motd]}, 1.1.2: {level: 2, controls: [tool]}}}")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestAScanJudgesWhatIsThere(t *testing.T) {
	dir, manifest := root(t)
	spec := scan.Spec{Set: set(t), Level: 2, Manifest: manifest, Classes: integrity.DefaultRules(), Now: time.Now(), Hygiene: hygiene.Expected{Locked: map[string]string{}}}
	run := func(output control.Output) (controls, drift, strays int) {
		t.Helper()
		target, err := scan.Directory(dir, output)
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		r, err := scan.Run(t.Context(), target, spec)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Compared || r.Narrowed || r.Platform != "debian-12" {
			t.Errorf("%+v", r)
		}
		return len(r.Failed(control.Low, time.Now())), len(r.Drift), len(r.Strays)
	}
	if c, d, s := run(control.Machine); c != 1 || d != 0 || s != 0 {
		t.Errorf("as it was: %d controls, %d files, %d strays", c, d, s)
	}
	// What is called like a file system's own is none.
	hidden := filepath.Join(dir, "etc/lost+found")
	if err := os.WriteFile(hidden, []byte("x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/motd"), []byte("hostile\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, d, _ := run(control.Machine); c != 1 || d < 2 {
		t.Errorf("changed: %d controls, %d files", c, d)
	}
	if err := os.Chmod(filepath.Join(dir, "etc/motd"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "usr/bin/tool"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "usr/bin/tool"), 0o666); err != nil {
		t.Fatal(err)
	}
	if c, _, s := run(control.Container); c != 0 || s != 1 {
		t.Errorf("as a container: %d controls, %d strays", c, s)
	}
}

func TestTargetsThatAreNoneAreTheUsersToMend(t *testing.T) {
	dir, _ := root(t)
	target, err := scan.Directory(dir, control.Machine)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	spec := scan.Spec{Set: set(t), Level: 2, Platform: "debian-13", Now: time.Now()}
	if _, err := scan.Run(t.Context(), target, spec); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "it is debian-12, not debian-13") {
		t.Errorf("another platform: %v", err)
	}
	spec = scan.Spec{Set: set(t), Level: 2, Benchmarks: []string{"huose"}, Now: time.Now()}
	if _, err := scan.Run(t.Context(), target, spec); fault.KindOf(err) != fault.Input {
		t.Errorf("an unknown benchmark: %v", err)
	}
	if _, err := scan.Directory(t.TempDir(), control.Machine); fault.KindOf(err) != fault.Input {
		t.Errorf("no root: %v", err)
	}
	two := filepath.Join(t.TempDir(), "two.qcow2")
	if err := os.WriteFile(two, append([]byte("QFI\xfb"+strings.Repeat("\x00", 508)+"EFI PART"), make([]byte, 4096)...), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := scan.Disk(two); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "two disks in one") {
		t.Errorf("two disks in one: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := scan.Run(ended, target, scan.Spec{Set: set(t), Level: 2, Now: time.Now()}); err == nil {
		t.Error("a scan outlived its context")
	}
}

// TestWhatARunningKernelWouldSayCountsForNothing puts files where a control looks
// on a live host.
func TestWhatARunningKernelWouldSayCountsForNothing(t *testing.T) {
	dir, _ := root(t)
	for name, text := range map[string]string{
		"proc/mounts": "x /srv nfs4 rw 0 0\n", "proc/sys/kernel/a": "1\n", "etc/sysctl.d/a.conf": "kernel.a = 0\n", "srv/open": "x",
	} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "srv/open"), 0o666); err != nil {
		t.Fatal(err)
	}
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{
		"c.yaml": {Data: []byte(`
a: {title: t, severity: high, rationale: r, resources: {sysctls: {kernel.a: "1"}}}
b: {title: t, severity: high, rationale: r, resources: {sweeps: {world-writable: {}}}}
`)},
		"benchmarks/house.yaml": {Data: []byte("{title: t, version: 1.0.0, sections: {1.1.1: {level: 1, controls: [a, b]}}}")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	target, err := scan.Directory(dir, control.Machine)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	r, err := scan.Run(t.Context(), target, scan.Spec{Set: set, Level: 2, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Result != control.Fail {
			t.Errorf("%s: %s %s %v", f.Control, f.Result, f.Why, f.Differences)
		}
		for _, d := range f.Differences {
			if strings.Contains(d.Subject, "/proc") {
				t.Errorf("%s was looked at", d.Subject)
			}
		}
	}
}
