package dpkg_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/system"
)

// deb makes a package of files by path; those below etc/ are conffiles. sums
// says which others get digests.
func deb(t *testing.T, dir, name, fields string, files map[string]string) string {
	t.Helper()
	tree := filepath.Join(dir, "src-"+name)
	var conffiles strings.Builder
	write(t, filepath.Join(tree, "DEBIAN/control"), "Package: "+name+"\nMaintainer: n\nDescription: d\n"+fields+"\n")
	for file, text := range files {
		write(t, filepath.Join(tree, file), text)
		if strings.HasPrefix(file, "etc/") {
			conffiles.WriteString("/" + file + "\n")
		}
	}
	write(t, filepath.Join(tree, "DEBIAN/conffiles"), conffiles.String())
	sums := exec.Command("sh", "-c", "find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\\0' | xargs -0r md5sum >DEBIAN/md5sums")
	sums.Dir = tree
	run(t, sums)
	out := filepath.Join(dir, name+".deb")
	run(t, exec.Command("dpkg-deb", "--root-owner-group", "-b", tree, out))
	return out
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, complaint.String())
	}
	return string(out)
}

// TestInstalledIsWhatDpkgSays installs packages with dpkg into a root with a
// merged /usr, changes files, and compares with what dpkg says of it.
func TestInstalledIsWhatDpkgSays(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("installing packages takes root")
	}
	dir, root := t.TempDir(), t.TempDir()
	for _, name := range []string{"usr/bin", "usr/lib", "etc", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "lib"} {
		if err := os.Symlink("usr/"+name, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(root, "var/lib/dpkg/status"), "")
	apply := func(args ...string) {
		t.Helper()
		run(t, exec.Command("dpkg", append([]string{"--root=" + root, "--force-not-root", "--log=/dev/null"}, args...)...))
	}
	run(t, exec.Command("dpkg-divert", "--root", root, "--local", "--no-rename", "--divert", "/usr/bin/b.real", "--add", "/usr/bin/b"))
	apply("-i", deb(t, dir, "alpha", "Version: 1\nArchitecture: all", map[string]string{
		"bin/a": "a", "lib/alpha/one": "1", "lib/alpha/two words": "2", "usr/bin/b": "b", "usr/bin/taken": "old", "etc/alpha.conf": "x=1\n", "etc/a b.conf": "y",
	}))
	native := strings.TrimSpace(run(t, exec.Command("dpkg", "--print-architecture")))
	apply("-i", deb(t, dir, "beta", "Version: 2\nArchitecture: "+native+"\nMulti-Arch: same\nReplaces: alpha", map[string]string{"usr/bin/taken": "new", "usr/share/beta/x": "x"}))
	apply("-i", deb(t, dir, "gone", "Version: 3\nArchitecture: all", map[string]string{"usr/bin/gone": "g", "etc/gone.conf": "g"}))
	apply("--remove", "gone")
	for name, text := range map[string]string{"usr/lib/alpha/one": "changed", "etc/alpha.conf": "x=2\n"} {
		write(t, filepath.Join(root, name), text)
	}
	if err := os.Remove(filepath.Join(root, "usr/lib/alpha/two words")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "var/lib/apt/extended_states"), "Package: beta\nArchitecture: "+native+"\nAuto-Installed: 1\n\nPackage: alpha\nArchitecture: amd64\nAuto-Installed: 0\n")

	r, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := dpkg.ReadInstalled(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	var listed, altered []string
	for _, p := range got {
		listed = append(listed, p.Name+" "+p.Architecture+" "+p.Version)
		altered = append(altered, p.Altered...)
	}
	if diff := cmp.Diff([]string{"alpha all 1", "beta " + native + " 2"}, listed); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if got[0].Automatic || !got[1].Automatic {
		t.Errorf("automatic: %v, %v", got[0].Automatic, got[1].Automatic)
	}
	if diff := cmp.Diff([]string{"etc/a b.conf", "etc/alpha.conf"}, got[0].Conffiles); diff != "" {
		t.Errorf("conffiles (-want +got):\n%s", diff)
	}
	for _, want := range []string{".", "usr/bin/a", "usr/bin/b.real", "usr/lib/alpha/two words"} {
		if !slices.Contains(got[0].Files, want) {
			t.Errorf("alpha lacks %s: %q", want, got[0].Files)
		}
	}
	if slices.Contains(got[0].Files, "usr/bin/taken") || !slices.Contains(got[1].Files, "usr/bin/taken") {
		t.Error("the file that beta took over is alpha's")
	}
	// dpkg --verify: "??5?????? c /etc/alpha.conf".
	var said []string
	verify, _ := exec.Command("dpkg", "--root="+root, "--verify").Output() // it fails when something differs
	for line := range strings.Lines(string(verify)) {
		if what, name, ok := strings.Cut(strings.TrimSpace(line), "/"); ok && strings.HasPrefix(what, "??5") {
			said = append(said, real(name))
		}
	}
	slices.Sort(said)
	slices.Sort(altered)
	if diff := cmp.Diff(said, altered); diff != "" || len(said) != 2 {
		t.Errorf("altered (-dpkg +got):\n%s", diff)
	}
}

// real is where a name of lib lies.
func real(name string) string {
	if strings.HasPrefix(name, "lib/") {
		return "usr/" + name
	}
	return name
}

func TestDatabasesThatLieAreErrors(t *testing.T) {
	const installed = "Package: a1\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"
	for name, files := range map[string]map[string]string{
		"is not the name of a file":    {"/var/lib/dpkg/status": installed, "/var/lib/dpkg/info/a1.list": "/../etc/passwd\n"},
		"is not the name of a package": {"/var/lib/dpkg/status": strings.Replace(installed, "a1", "../a", 1)},
		"is not three words":           {"/var/lib/dpkg/status": "Package: a1\nStatus: ok\n"},
		"continues no field":           {"/var/lib/dpkg/status": " x\n"},
		"again":                        {"/var/lib/dpkg/status": installed + "Version: 2\n"},
		"is not field: value":          {"/var/lib/dpkg/status": installed, "/var/lib/apt/extended_states": "nonsense\n"},
	} {
		if _, err := dpkg.ReadInstalled(context.Background(), memory(t, files)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	got, err := dpkg.ReadInstalled(context.Background(), system.NewMemory())
	if err != nil || len(got) > 0 {
		t.Errorf("no database: %v, %v", got, err)
	}
}

// TestTheJournalCounts has a change that dpkg did not write into its status yet,
// and a file of ucf's.
func TestTheJournalCounts(t *testing.T) {
	got, err := dpkg.ReadInstalled(context.Background(), memory(t, map[string]string{
		"/var/lib/dpkg/status":        "Package: old\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\nPackage: ssh\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n",
		"/var/lib/dpkg/updates/0001":  "Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n",
		"/var/lib/dpkg/updates/tmp.i": "Package: ne",
		"/var/lib/ucf/registry":       "ssh  /etc/ssh/sshd_config\nabsent  /etc/absent\n",
		"/var/lib/ucf/hashfile":       "00000000000000000000000000000000  /etc/ssh/sshd_config\n",
		"/etc/ssh/sshd_config":        "by hand",
	}))
	if err != nil {
		t.Fatal(err)
	}
	file := []string{"etc/ssh/sshd_config"}
	want := []dpkg.Installed{{Name: "ssh", Architecture: "all", Version: "1", Files: file, Conffiles: file, Altered: file}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzReadInstalled(f *testing.F) {
	f.Add("Package: a1\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nConffiles:\n /etc/x 0cc175b9c0f1b6a831c399e269772661 obsolete\n", "/.\n/etc\n/etc/x\n/usr/bin/y\n", "0cc175b9c0f1b6a831c399e269772661  usr/bin/y\n", "/etc/x\n/etc/y\na1\n")
	f.Fuzz(func(t *testing.T, status, list, sums, diversions string) {
		s := memory(t, map[string]string{
			"/var/lib/dpkg/status": status, "/var/lib/dpkg/info/a1.list": list, "/var/lib/dpkg/info/a1.md5sums": sums, "/var/lib/dpkg/diversions": diversions,
		})
		got, err := dpkg.ReadInstalled(context.Background(), s)
		if err != nil {
			return
		}
		for _, p := range got {
			for _, file := range p.Files {
				if strings.HasPrefix(file, "/") || file == ".." || strings.HasPrefix(file, "../") {
					t.Errorf("%s has the file %q", p.Name, file)
				}
			}
			if !slices.IsSorted(p.Files) {
				t.Errorf("%s: not sorted: %q", p.Name, p.Files)
			}
		}
	})
}
