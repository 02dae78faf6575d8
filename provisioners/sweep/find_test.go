package sweep_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/sweep"
	"imgbuild/provisioners/system"
)

// TestSweepsFindWhatFindFinds holds the sweeps of a real tree of packages
// against find(1) and getcap(8), with something planted for each.
func TestSweepsFindWhatFindFinds(t *testing.T) {
	dir := packageTree(t)
	plant(t, dir)
	root, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	r := sweep.Remember(root)
	ids := func(file string) []string {
		data, err := os.ReadFile(filepath.Join(dir, "etc", file))
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
			list = append(list, strings.Split(line, ":")[2])
		}
		return list
	}
	none := func(test string, ids []string) []string {
		var list []string
		for _, id := range ids {
			list = append(list, "!", test, id)
		}
		return list
	}
	unowned := slices.Concat([]string{"(", "("}, none("-uid", ids("passwd")), []string{")", "-o", "("}, none("-gid", ids("group")), []string{")", ")"})
	below := func(places ...string) []string {
		list := []string{"("}
		for i, p := range places {
			if i > 0 {
				list = append(list, "-o")
			}
			list = append(list, "-path", p, "-o", "-path", p+"/*")
		}
		return append(list, ")")
	}
	for name, tests := range map[string][]string{
		"world-writable": {"-type", "f", "-perm", "-0002"},
		"sticky":         {"-type", "d", "-perm", "-0002", "!", "-perm", "-1000"},
		"setuid":         {"-type", "f", "-perm", "/6000"},
		"devices":        append([]string{"(", "-type", "b", "-o", "-type", "c", ")", "!"}, below("./dev")...),
		"unowned":        unowned,
		"system-files": slices.Concat(below("./bin", "./boot", "./etc", "./lib", "./lib32", "./lib64", "./libx32", "./sbin", "./usr"),
			[]string{"-perm", "/0022", "(", "-type", "f", "-o", "-type", "d", "!", "-perm", "-1000", ")"}),
		"logs": slices.Concat(below("./var/log"), []string{"-type", "f", "(", "-perm", "/7137", "(", "(", "-name", "wtmp*", "-o", "-name", "lastlog*", ")", "-perm", "/7113",
			"-o", "-name", "btmp*", "-perm", "/7117", "-o", "!", "-name", "?tmp*", "!", "-name", "lastlog*", ")", ")"}),
		"cron": {"(", "-path", "./etc/crontab", "-perm", "/0177", "-o", "-path", "./etc/cron.*", "-type", "d", "-perm", "/0077", ")"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("find", slices.Concat([]string{"."}, tests, []string{"-print"})...)
			cmd.Dir = dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
				if line != "" {
					want = append(want, strings.TrimPrefix(line, "."))
				}
			}
			compare(t, want, paths(t, name, r))
		})
	}
	t.Run("capabilities", func(t *testing.T) {
		program, err := exec.LookPath("getcap")
		if err != nil {
			t.Skip("getcap is not installed")
		}
		out, err := exec.Command(program, "-r", dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
			file, caps, _ := strings.Cut(strings.TrimPrefix(line, dir), " ")
			want[file], _, _ = strings.Cut(caps, "=")
		}
		got := map[string]string{}
		found, err := decode(t, "capabilities", "{}").Check(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range found {
			got[strings.TrimSuffix(d.Subject, ": capabilities")] = d.Have
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
			t.Errorf("%d found (-getcap +sweep):\n%s", len(got), diff)
		}
	})
}

// files are packages with what the sweeps look for, and enough besides.
var files = []string{"base-files", "base-passwd", "cron", "cron-daemon-common", "login", "passwd", "libc6", "libpam-modules", "libpam-modules-bin", "mount", "openssh-client", "util-linux"}

// packageTree copies the files of some Debian packages, or the root directory in
// IMGBUILD_TEST_TREE where that is set.
func packageTree(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("owners and devices of files take root")
	}
	dir := filepath.Join(t.TempDir(), "root")
	made := os.Getenv("IMGBUILD_TEST_TREE")
	own := made == ""
	if own {
		made = peertest.Unpack(t, files...).Dir
	}
	if out, err := exec.Command("cp", "-a", made, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !own {
		return dir
	}
	// Scripts that would make accounts have not run.
	for _, name := range []string{"passwd", "group"} {
		master, err := os.ReadFile(filepath.Join(dir, "usr/share/base-passwd", name+".master"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "etc", name), master, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// plant puts in a find for each sweep.
func plant(t *testing.T, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.MkdirAll(in("srv/drop"), 0o755))
	check(os.Chmod(in("srv/drop"), 0o777))
	for name, mode := range map[string]uint32{
		"srv/open": 0o666, "usr/share/group": 0o664, "srv/sh": 0o4755, "var/log/open.log": 0o644, "var/log/wtmp": 0o664, "var/log/btmp.1": 0o664,
		"srv/nobodys": 0o600, "etc/a name\twith blanks": 0o646,
	} {
		check(os.WriteFile(in(name), nil, 0o600))
		check(unix.Chmod(in(name), mode))
	}
	check(os.Chown(in("srv/nobodys"), 54321, 54321))
	check(os.Symlink("nowhere", in("srv/broken")))
	check(unix.Mknod(in("srv/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	// cap_net_raw, permitted and effective; struct vfs_cap_data, revision 2.
	check(unix.Setxattr(in("srv/open"), "security.capability", []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0))
}

func paths(t *testing.T, name string, r system.Reader) []string {
	t.Helper()
	found, err := decode(t, name, "{}").Check(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range found {
		file, _, _ := strings.Cut(d.Subject, ": ")
		list = append(list, file)
	}
	return list
}

func compare(t *testing.T, want, got []string) {
	t.Helper()
	if len(got) == 0 {
		t.Error("nothing was found")
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("-find +sweep:\n%s", diff)
	}
}
