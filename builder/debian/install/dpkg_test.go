package install_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"imgbuild/builder/debian/install"
	"imgbuild/builder/sandbox"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// logged is a postinst that writes down how it is called.
const logged = "#!/bin/sh\nset -e\nmkdir -p /var/lib/sample\necho \"$DPKG_MAINTSCRIPT_PACKAGE $*\" >>/var/lib/sample/$DPKG_MAINTSCRIPT_PACKAGE\n"

// rounds are packages that dpkg and this package install, one round after the
// other, with every feature of deb(5) that moves files about.
var rounds = [][]sample{
	{
		{name: "replacer", fields: "Replaces: replaced (<< 2)\n", files: map[string]string{"usr/share/t/shared": "replacer", "usr/share/t/replacer": "r"}},
		{name: "replaced", files: map[string]string{"usr/share/t/shared": "replaced", "usr/share/t/replaced": "r"}},
		{name: "plain", files: map[string]string{"usr/share/t/diverted": "plain", "usr/share/t/other": "plain", "usr/share/t/plain": "p"}},
		{
			name: "diverter", files: map[string]string{"usr/share/t/diverted": "diverter", "usr/bin/which.debianutils": "#!/bin/sh\n"},
			scripts: map[string]string{"preinst": "#!/bin/sh\nset -e\n" +
				"dpkg-divert --package diverter --add --rename --divert /usr/share/t/diverted.old /usr/share/t/diverted\n" +
				"dpkg-divert --package diverter --add --rename --divert /usr/share/t/late.old /usr/share/t/late\n" +
				"dpkg-divert --package diverter --add --rename --divert /usr/bin/which.old /usr/bin/which.debianutils\n"},
		},
		{
			name:    "override",
			files:   map[string]string{"usr/share/t/override": "o"},
			scripts: map[string]string{"preinst": "#!/bin/sh\ndpkg-statoverride --add daemon adm 2750 /usr/share/t/overridden\n"},
		},
		{
			name:    "modes",
			files:   map[string]string{"usr/bin/t-setuid": "s", "usr/share/t/owned": "o", "var/t-sticky/": "", "usr/share/t/link": "-> ../../bin/t-setuid", "bin/t-merged": "m"},
			modes:   map[string]os.FileMode{"usr/bin/t-setuid": 0o755 | os.ModeSetuid | os.ModeSetgid, "var/t-sticky": 0o777 | os.ModeSticky},
			owners:  map[string]string{"usr/share/t/owned": "www-data:daemon", "usr/bin/t-setuid": "root:mail"},
			links:   map[string]string{"usr/share/t/zlink": "usr/share/t/owned"},
			scripts: map[string]string{"postinst": logged},
		},
		{
			name:    "configured",
			files:   map[string]string{"etc/t/new.conf": "new", "etc/t/changed.conf": "from the package", "etc/t/linked.conf": "l"},
			scripts: map[string]string{"conffiles": "/etc/t/new.conf\n/etc/t/changed.conf\n/etc/t/linked.conf\n", "preinst": "#!/bin/sh\nmkdir -p /etc/t\necho before >/etc/t/changed.conf\n", "postinst": logged},
		},
		{
			name: "interested", fields: "Multi-Arch: same\n", files: map[string]string{"usr/share/t/watched/": "", "usr/share/t/interested": "i"},
			scripts: map[string]string{"triggers": "interest /usr/share/t/watched\ninterest-noawait t-event\n", "postinst": logged},
		},
	},
	{
		{name: "late", files: map[string]string{"usr/share/t/late": "late", "usr/share/t/other.old": "o"}, scripts: map[string]string{"postinst": logged}},
		{name: "activator", files: map[string]string{"usr/share/t/watched/deep/file": "w"}, scripts: map[string]string{"postinst": logged, "triggers": "activate t-event\n"}},
		{name: "overridden", files: map[string]string{"usr/share/t/overridden": "o"}},
		{name: "takeover", fields: "Replaces: plain\n", files: map[string]string{"usr/share/t/other": "takeover"}},
		{name: "prepared", scripts: map[string]string{"postinst": logged}},
		{name: "pre", fields: "Pre-Depends: prepared\n", files: map[string]string{"usr/share/t/pre": ""}, scripts: map[string]string{"preinst": "#!/bin/sh\nset -e\ngrep -q configure /var/lib/sample/prepared\necho preinst >/var/lib/sample/pre\n"}},
	},
}

func TestOnMinbase(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	base := w.mmdebstrap(t, "bookworm")
	t.Run("equals dpkg", func(t *testing.T) { equalsDpkg(t, w, base) })
	t.Run("path-exclude", func(t *testing.T) { pathExclude(t, w, base) })
	t.Run("failures", func(t *testing.T) { failures(t, w, base) })
	t.Run("unpack", func(t *testing.T) { unpackOnly(t, w) })
	t.Run("accounts", func(t *testing.T) { accounts(t, w, base) })
	t.Run("services", func(t *testing.T) { services(t, w, base) })
}

func equalsDpkg(t *testing.T, w *workshop, base string) {
	ours, theirs := layered(t, base), layered(t, base)
	for _, round := range rounds {
		var packages []updates.Package
		var files []string
		for _, s := range round {
			p, file := w.build(t, s)
			packages = append(packages, p)
			if s.name == "pre" { // as apt does it
				dpkg(t, theirs, files)
				files = nil
			}
			files = append(files, file)
		}
		dpkg(t, theirs, files)
		w.install(t, ours, packages)
		compare(t, "after dpkg", ours, snapshot(t, ours), theirs, snapshot(t, theirs), map[string]string{
			"var/lib/dpkg/status-old": "what dpkg had one write ago",
		})
		checkAudit(t, ours)
	}
}

// dpkg installs package files with the root's dpkg.
func dpkg(t testing.TB, root string, files []string, options ...string) {
	t.Helper()
	command := append([]string{"dpkg", "--log=/dev/null", "--force-confdef", "--force-confold", "--install"}, options...)
	var mounts []sandbox.Mount
	for i, file := range files {
		inside := fmt.Sprintf("/tmp/%d.deb", i)
		mounts = append(mounts, sandbox.Mount{Source: file, Target: inside, ReadOnly: true})
		command = append(command, inside)
	}
	var out bytes.Buffer
	err := sandbox.Run(t.Context(), sandbox.Spec{
		Root: root, Args: command, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}, Mounts: mounts, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		t.Fatalf("dpkg: %v\n%s", err, out.String())
	}
	for i := range files {
		if err := os.Remove(filepath.Join(root, fmt.Sprintf("tmp/%d.deb", i))); err != nil {
			t.Fatal(err)
		}
	}
}

func checkAudit(t testing.TB, root string) {
	t.Helper()
	var out bytes.Buffer
	err := sandbox.Run(t.Context(), sandbox.Spec{Root: root, Args: []string{"dpkg", "--audit"}, Env: []string{"PATH=/usr/sbin:/usr/bin"}, Stdout: &out, Stderr: &out})
	if err != nil || out.Len() > 0 {
		t.Errorf("dpkg --audit: %v\n%s", err, out.String())
	}
}

// unpackOnly makes a root that is only run from: no scripts, no database.
func unpackOnly(t *testing.T, w *workshop) {
	p, _ := w.build(t, sample{
		name: "tool", files: map[string]string{"bin/tool": "t", "etc/tool.conf": "c"},
		scripts: map[string]string{"conffiles": "/etc/tool.conf\n", "preinst": "#!/bin/sh\nexit 1\n"},
	})
	q, _ := w.build(t, sample{name: "tool-too", files: map[string]string{"usr/bin/tool": "t"}})
	root := newRoot(t)
	if err := install.Unpack(t.Context(), w.options(root, []updates.Package{p})); err != nil {
		t.Fatal(err)
	}
	got := snapshot(t, root)
	for _, path := range []string{"usr/bin/tool", "etc/tool.conf"} {
		if got[path] == "" {
			t.Errorf("%s is missing", path)
		}
	}
	if got["var"] != "" {
		t.Error("there is a database")
	}
	if err := install.Unpack(t.Context(), w.options(newRoot(t), []updates.Package{p, q})); fault.KindOf(err) != fault.World {
		t.Errorf("two packages with one file: %v", err)
	}
}

// pathExclude leaves out what dpkg leaves out.
func pathExclude(t *testing.T, w *workshop, base string) {
	exclude := []string{"/usr/share/t-doc/*", "/usr/share/t-man/*", "/usr/share/t-locale/*/LC_[!X]*", "*.pyc"}
	include := []string{"/usr/share/t-doc/*/copyright", "/usr/share/t-man/man[1-8]*"}
	p, file := w.build(t, sample{name: "documented", files: map[string]string{
		"usr/share/t-doc/a/copyright": "c", "usr/share/t-doc/a/deep/copyright": "c", "usr/share/t-doc/a/readme": "r", "usr/share/t-doc/link": "-> a",
		"usr/share/t-man/man1/a.1": "m", "usr/share/t-man/de/man1/a.1": "m", "usr/share/t-man/man9/a.9": "m", "usr/share/t-man/empty/": "",
		"usr/share/t-locale/de/LC_MESSAGES/a.mo": "l", "usr/share/t-locale/de/LC_X": "l", "usr/share/t-locale/alias": "l", "usr/lib/t/a.pyc": "p", "usr/lib/t/a.py": "p",
	}})
	ours, theirs := layered(t, base), layered(t, base)
	options := w.options(ours, []updates.Package{p})
	options.Exclude, options.Include = exclude, include
	if _, err := install.Layer(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	var arguments []string
	for _, pattern := range exclude {
		arguments = append(arguments, "--path-exclude="+pattern)
	}
	for _, pattern := range include {
		arguments = append(arguments, "--path-include="+pattern)
	}
	dpkg(t, theirs, []string{file}, arguments...)
	compare(t, "after dpkg", ours, snapshot(t, ours), theirs, snapshot(t, theirs), map[string]string{
		"var/lib/dpkg/status-old": "what dpkg had one write ago",
	})
}

func failures(t *testing.T, w *workshop, base string) {
	install1 := func(t *testing.T, samples ...sample) (string, error) {
		t.Helper()
		root := layered(t, base)
		var packages []updates.Package
		for _, s := range samples {
			p, _ := w.build(t, s)
			packages = append(packages, p)
		}
		_, err := install.Layer(t.Context(), w.options(root, packages))
		return root, err
	}
	const talk = "#!/bin/sh\nfor i in $(seq 30); do echo line $i; done\n"
	t.Run("postinst fails", func(t *testing.T) {
		_, err := install1(t, sample{name: "good", scripts: map[string]string{"postinst": talk}}, sample{name: "bad", scripts: map[string]string{"postinst": talk + "exit 3\n"}})
		var failed *install.ScriptError
		if !errors.As(err, &failed) {
			t.Fatalf("got %v", err)
		}
		if failed.Package != "bad" || failed.Script != "postinst" || failed.Reason != "exit status 3" {
			t.Errorf("got %+v", failed)
		}
		if lines := strings.Count(failed.Output, "\n") + 1; lines != 20 || !strings.Contains(failed.Output, "line 30") {
			t.Errorf("%d lines of output:\n%s", lines, failed.Output)
		}
	})
	t.Run("preinst fails", func(t *testing.T) {
		root, err := install1(t, sample{name: "bad", files: map[string]string{"usr/share/bad": ""}, scripts: map[string]string{"preinst": "#!/bin/sh\necho no\nexit 4\n"}})
		var failed *install.ScriptError
		if !errors.As(err, &failed) || failed.Package != "bad" || failed.Script != "preinst" || failed.Reason != "exit status 4" || !strings.Contains(failed.Output, "no") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Lstat(filepath.Join(root, "usr/share/bad")); err == nil {
			t.Error("unpacked although its preinst failed")
		}
	})
	t.Run("two packages with one file", func(t *testing.T) {
		_, err := install1(t, sample{name: "one", files: map[string]string{"usr/share/same": "1"}}, sample{name: "two", files: map[string]string{"usr/share/same": "2"}})
		if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "package one and in package two") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file of the root", func(t *testing.T) {
		_, err := install1(t, sample{name: "thief", files: map[string]string{"usr/bin/env": "mine"}})
		if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "package thief and in package coreutils") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("links lead nowhere outside", func(t *testing.T) {
		outside := t.TempDir()
		_, err := install1(t,
			sample{name: "aaa", files: map[string]string{"usr/share/escape": "-> " + outside, "usr/share/up": "-> ../../../../../../../../.." + outside}},
			sample{name: "bbb", files: map[string]string{"usr/share/escape/a": "x"}}, sample{name: "ccc", files: map[string]string{"usr/share/up/b": "x"}})
		if left, _ := os.ReadDir(outside); len(left) > 0 {
			t.Errorf("written outside the root: %v (error %v)", left, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		root := layered(t, base)
		p, _ := w.build(t, sample{name: "slow", scripts: map[string]string{"postinst": "#!/bin/sh\nsleep 100\n"}})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for {
				if data, err := os.ReadFile(filepath.Join(root, "var/lib/dpkg/info/slow.list")); err == nil && len(data) > 0 {
					cancel()
					return
				}
			}
		}()
		if _, err := install.Layer(ctx, w.options(root, []updates.Package{p})); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// accounts gives accounts the numbers that a lock has for them.
func accounts(t *testing.T, w *workshop, base string) {
	script := "#!/bin/sh\nset -e\nuseradd --system --user-group --no-create-home one\nuseradd --system --user-group --no-create-home two\n" +
		"groupadd --system three\n" +
		"install -o one -g two -m 4755 /bin/true /usr/bin/t-one\ninstall -d -o two -g three -m 2770 /var/t-two\nln -s x /var/t-link\nchown -h two:one /var/t-link\n"
	p, _ := w.build(t, sample{name: "accounts", scripts: map[string]string{"postinst": script}})
	first := w.install(t, layered(t, base), []updates.Package{p})
	if len(first.Accounts) != 3 || first.Accounts[0].Name != "one" || first.Accounts[1].Name != "three" || first.Accounts[1].UID != nil {
		t.Fatalf("got %+v", first.Accounts)
	}
	// The lock swaps the two, so that every number is in the other's way.
	swapped := []updates.Account{
		{Name: "one", UID: first.Accounts[2].UID, GID: first.Accounts[2].GID}, {Name: "two", UID: first.Accounts[0].UID, GID: first.Accounts[0].GID},
	}
	root := layered(t, base)
	options := w.options(root, []updates.Package{p})
	options.Accounts = swapped
	result, err := install.Layer(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if *result.Accounts[0].UID != *swapped[0].UID || *result.Accounts[2].GID != *swapped[1].GID {
		t.Errorf("got %+v", result.Accounts)
	}
	for path, want := range map[string]struct {
		mode     uint32
		uid, gid int
	}{
		"usr/bin/t-one": {unix.S_IFREG | 0o4755, *swapped[0].UID, *swapped[1].GID},
		"var/t-two":     {unix.S_IFDIR | 0o2770, *swapped[1].UID, *first.Accounts[1].GID},
		"var/t-link":    {unix.S_IFLNK | 0o777, *swapped[1].UID, *swapped[0].GID},
	} {
		info, err := os.Lstat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if st.Mode != want.mode || int(st.Uid) != want.uid || int(st.Gid) != want.gid {
			t.Errorf("%s: mode %o owner %d:%d, want %+v", path, st.Mode, st.Uid, st.Gid, want)
		}
	}
	checkAudit(t, root)
}

// services are started by dpkg alone where there is an init with a runlevel, and
// never in a bake: a daemon would leave in the image what it writes.
func services(t *testing.T, w *workshop, base string) {
	p, file := w.build(t, sample{
		name: "daemon",
		files: map[string]string{
			"etc/init.d/t-daemon": "#!/bin/sh\necho \"$1\" >>/var/lib/t-daemon\n", "etc/rc2.d/S01t-daemon": "-> ../init.d/t-daemon",
			"sbin/runlevel": "#!/bin/sh\necho N 2\n", "sbin/init": "#!/bin/sh\n",
		},
		modes:   map[string]os.FileMode{"etc/init.d/t-daemon": 0o755, "sbin/runlevel": 0o755, "sbin/init": 0o755},
		scripts: map[string]string{"postinst": "#!/bin/sh\nset -e\ninvoke-rc.d t-daemon start\n"},
	})
	ours, theirs := layered(t, base), layered(t, base)
	dpkg(t, theirs, []string{file})
	if started, err := os.ReadFile(filepath.Join(theirs, "var/lib/t-daemon")); err != nil || string(started) != "start\n" {
		t.Fatalf("dpkg alone did not start it, so this shows nothing: %q, %v", started, err)
	}
	w.install(t, ours, []updates.Package{p})
	for _, absent := range []string{"var/lib/t-daemon", "usr/sbin/policy-rc.d"} {
		if _, err := os.Lstat(filepath.Join(ours, absent)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there after a bake: %v", absent, err)
		}
	}
}
