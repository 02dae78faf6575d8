package openscap_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/progress"
	"imgbuild/builder/scan/openscap"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/peertest"
	"imgbuild/images/report"
	"imgbuild/provisioners/system"
)

const stream = "testdata/stream.xml"

// status is dpkg's, of a system with one package that no other one has.
const status = `Package: only-in-tree
Status: install ok installed
Priority: optional
Section: misc
Installed-Size: 1
Maintainer: nobody <nobody@invalid>
Architecture: all
Version: 1.0
Description: only in the tree
`

// small makes the root of a small system.
func small(t *testing.T) *system.Root {
	t.Helper()
	root, err := system.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	for _, dir := range []string{"/proc", "/tmp", "/etc/apt", "/usr/share/dpkg", "/var/lib/dpkg", "/var/lib/apt/lists"} {
		if err := system.MkdirAll(root, dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range map[string]struct {
		text string
		attr system.Attr
	}{
		"/etc/os-release":      {"ID=debian\nVERSION_ID=\"11\"\nNAME=\"Debian GNU/Linux\"\nVERSION=\"11 (bullseye)\"\n", system.Attr{Mode: 0o644}},
		"/etc/debian_version":  {"11.11\n", system.Attr{Mode: 0o644}},
		"/etc/motd":            {"welcome\n", system.Attr{Mode: 0o644}},
		"/etc/passwd":          {"root:x:0:0:root:/root:/bin/sh\n", system.Attr{Mode: 0o644}},
		"/etc/group":           {"root:x:0:\nshadow:x:42:\n", system.Attr{Mode: 0o644}},
		"/etc/shadow":          {"root:*:20000:0:99999:7:::\n", system.Attr{Mode: 0o640, GID: 42}},
		"/etc/fstab":           {"UUID=1 / ext4 defaults 0 1\nUUID=2 /tmp ext4 defaults,nodev 0 2\n", system.Attr{Mode: 0o644}},
		"/var/lib/dpkg/status": {status, system.Attr{Mode: 0o644}},
	} {
		if err := root.WriteFile(name, strings.NewReader(f.text), f.attr); err != nil {
			t.Fatal(err)
		}
	}
	// Without dpkg's tables of architectures its library reads no packages at all.
	for _, name := range []string{"/usr/share/dpkg/cputable", "/usr/share/dpkg/tupletable"} {
		table, err := os.Open(name)
		if err != nil {
			t.Skipf("this machine is not Debian: %v", err)
		}
		defer table.Close()
		if err := root.WriteFile(name, table, system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// needOscap skips where the program is missing.
func needOscap(t *testing.T) {
	t.Helper()
	if err := openscap.Available(); err != nil {
		t.Skip(err)
	}
}

func request(t *testing.T, stream string) openscap.Request {
	t.Helper()
	return openscap.Request{Stream: stream, Level: 2, Dir: t.TempDir(), Report: progress.Discard}
}

// TestOscapJudgesTheTree and never the machine that it runs on: a package that
// only the tree has is found, and one that only the machine has is not.
func TestOscapJudgesTheTree(t *testing.T) {
	needOscap(t)
	root, r := small(t), request(t, stream)
	found, err := openscap.Run(t.Context(), root, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Profiles) != 2 || found.Profiles[0].Level != 2 || found.Profiles[1].Level != 1 || !strings.HasPrefix(found.Engine, "OpenSCAP ") {
		t.Fatalf("%s, %d profiles", found.Engine, len(found.Profiles))
	}
	got := map[string]string{}
	for id, r := range found.Profiles[0].Rules {
		got[strings.TrimPrefix(id, "xccdf_test.imgbuild_rule_")] = fmt.Sprint(r.Result, " ", r.Offline, " ", strings.Join(r.Why, "; "))
	}
	want := map[string]string{
		"package_of_tree":    "pass true ",
		"package_of_scanner": "fail true the package dpkg is installed",
		"tmp_nodev":          "pass true ",
		"kernel_file":        "pass false ",
		"file_or_path":       "pass true ",
		"file_and_sysctl":    "pass true ",
		"by_hand":            "notchecked true ",
		"level2_motd":        "fail true others may not read /etc/motd",
		"owner":              "pass true ",
	}
	// These are told of the tree by no version, but not each gives the same no.
	for _, id := range []string{"path_no_dot", "unit_active"} {
		if !strings.Contains(got[id], " false ") {
			t.Errorf("%s: %q is told offline", id, got[id])
		}
		delete(got, id)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, has := found.Profiles[1].Rules["xccdf_test.imgbuild_rule_level2_motd"]; has || len(found.Profiles[1].Rules) != len(found.Profiles[0].Rules)-1 {
		t.Errorf("level 1 has %d rules, one of level 2: %t", len(found.Profiles[1].Rules), has)
	}
	if left, err := os.ReadDir(r.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	standings(t, found)
}

// standings holds what oscap said against a report of this program.
func standings(t *testing.T, found *openscap.Outcome) {
	t.Helper()
	set, err := control.Load(control.Source{Name: "test", Files: fstest.MapFS{
		"c.yaml": {Data: []byte(`
good: {title: t, severity: high, rationale: r, resources: {files: {/etc/motd: {mode: "0600"}}}}
bad: {title: t, severity: high, rationale: r, resources: {files: {/etc/motd: {mode: "0600"}}}}
`)},
		"benchmarks/house.yaml": {Data: []byte(`{title: t, version: 1.0.0, platforms: [debian-11], sections: {
  1.1.1: {level: 1, controls: [bad]}, 1.1.2: {level: 1, controls: [good]}, 1.1.3: {level: 1, controls: [good]}, 1.1.4: {level: 1, controls: [good]},
  1.1.6: {level: 1, manual: look, title: t}, 1.2.1: {level: 2, controls: [bad]}}}`)},
		"benchmarks/all.yaml": {Data: []byte(`{title: t, version: 1.0.0, sections: {1.1.2: {level: 1, controls: [bad]}}}`)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	findings := []control.Finding{{Control: "good", Result: control.Pass}, {Control: "bad", Result: control.Fail}}
	opinion := found.Opinion(set, set.NewReport("debian-11", control.Machine, findings, 2))
	got := map[string]report.Standing{}
	for _, r := range opinion.Rules {
		got[strings.TrimPrefix(r.ID, "xccdf_test.imgbuild_rule_")] = r.Standing
	}
	want := map[string]report.Standing{
		"package_of_tree": report.Differs, "package_of_scanner": report.Differs, "tmp_nodev": report.Agrees,
		"path_no_dot": report.Untold, "kernel_file": report.Untold, "unit_active": report.Untold,
		"file_or_path": report.Alone, "file_and_sysctl": report.Unmapped, "by_hand": report.Unjudged,
		"level2_motd": report.Agrees, "owner": report.Unmapped,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if p := opinion.Profiles[1]; p.Level != 2 || p.Counts["fail"] < 2 || p.Counts["notchecked"] != 1 || opinion.Rules[0].ID != "xccdf_test.imgbuild_rule_owner" {
		t.Errorf("%+v, first %s", p, opinion.Rules[0].ID)
	}
}

// TestOscapByDebiansContent evaluates a data stream that others wrote: the newest
// that this machine's release has, of Debian 11.
func TestOscapByDebiansContent(t *testing.T) {
	needOscap(t)
	dir := peertest.Unpack(t, "ssg-debian").Path("usr/share/xml/scap/ssg/content")
	content, err := openscap.Choose(dir, "debian-11", progress.Discard)
	if err != nil || content == "" {
		t.Skipf("this release's ssg-debian has no content for Debian 11: %v", err)
	}
	found, err := openscap.Run(t.Context(), small(t), request(t, content))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, r := range found.Profiles[0].Rules {
		counts[r.Result]++
	}
	t.Logf("%s by %s %s: %v", found.Engine, found.Profiles[0].ID, found.Stream.Version, counts)
	for id, want := range map[string]string{
		"file_permissions_etc_passwd": "pass", "file_groupowner_etc_shadow": "pass", "package_audit_installed": "fail", "package_telnetd_removed": "pass",
	} {
		if got := found.Profiles[0].Rules["xccdf_org.ssgproject.content_rule_"+id].Result; got != want {
			t.Errorf("%s: %q, want %s", id, got, want)
		}
	}
}

func TestWhatCannotBeAsked(t *testing.T) {
	needOscap(t)
	root := small(t)
	for name, tc := range map[string]struct {
		stream, want string
		kind         fault.Kind
	}{
		"no file":   {"testdata/none.xml", "opening the data stream", fault.Input},
		"no stream": {"openscap_test.go", "reading the data stream", fault.Input},
	} {
		_, err := openscap.Run(t.Context(), root, request(t, tc.stream))
		if fault.KindOf(err) != tc.kind || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := request(t, stream)
	if _, err := openscap.Run(ctx, root, r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it outlives its context: %v", err)
	}
	if left, err := os.ReadDir(r.Dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestPackagesThatCannotBeReadAreAnError: oscap says "not applicable" then, and
// ends well.
func TestPackagesThatCannotBeReadAreAnError(t *testing.T) {
	needOscap(t)
	root := small(t)
	if err := root.WriteFile("/var/lib/dpkg/status", strings.NewReader("Package only-in-tree\n\n::\n"), system.Attr{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := openscap.Run(t.Context(), root, request(t, stream)); err == nil || !strings.Contains(err.Error(), "could not read the packages") {
		t.Errorf("got %v", err)
	}
}

func TestStreamsAreChosenByPlatform(t *testing.T) {
	needOscap(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssg-debian12-ds.xml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for platform, want := range map[string]string{
		"debian-12": filepath.Join(dir, "ssg-debian12-ds.xml"), "debian-13": "", "/../../x-1": "", "": "",
	} {
		if got, err := openscap.Choose(dir, platform, progress.Discard); got != want || err != nil {
			t.Errorf("%s: %q, %v", platform, got, err)
		}
	}
	if _, err := openscap.Choose(filepath.Join(dir, "none"), "debian-12", progress.Discard); fault.KindOf(err) != fault.Input {
		t.Errorf("no directory: %v", err)
	}
}
