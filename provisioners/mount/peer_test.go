package mount_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/provisioners/system"
)

const generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"

// generated returns the options that systemd makes of a table for a unit; ok is
// false when it makes none.
func generated(t *testing.T, table, unit string) (options []string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"normal", "early", "late"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "fstab")
	if err := os.WriteFile(file, []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(generator, filepath.Join(dir, "normal"), filepath.Join(dir, "early"), filepath.Join(dir, "late"))
	run.Env = append(os.Environ(), "SYSTEMD_FSTAB="+file)
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, table)
	}
	wanted := filepath.Join(dir, "normal", "local-fs.target.requires", unit)
	if _, err := os.Lstat(wanted); err != nil {
		return nil, false
	}
	data, err := os.ReadFile(filepath.Join(dir, "normal", unit))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if value, is := strings.CutPrefix(strings.TrimSpace(line), "Options="); is {
			return strings.Split(strings.ReplaceAll(value, "%%", "%"), ","), true
		}
	}
	return nil, true
}

// inForce tells whether the last of an option and its opposite is that option.
func inForce(options []string, off, on string) bool {
	return slices.Index(reversed(options), off) >= 0 &&
		(slices.Index(reversed(options), on) < 0 || slices.Index(reversed(options), off) < slices.Index(reversed(options), on))
}

func reversed(list []string) []string {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

// TestTheTableIsSystemds compares checks of random tables with the units that
// systemd's generator makes of them, and what was applied likewise.
func TestTheTableIsSystemds(t *testing.T) {
	if _, err := os.Stat(generator); err != nil {
		t.Skip("systemd-fstab-generator is not installed")
	}
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"nodev", "dev", "nosuid", "size=50%", "noauto", "mode=1777", "defaults", "noexec", "rw"}
	points := []string{"/srv/a\\040b", "/srv/a-b/", "/srv/x"}
	units := map[string]string{"/srv/a b": `srv-a\x20b.mount`, "/srv/a-b": `srv-a\x2db.mount`, "/srv/x": "srv-x.mount"}
	for range 10 {
		table := "# <file system> <mount point>\n"
		for _, p := range points {
			if random.IntN(4) == 0 {
				continue
			}
			var o []string
			for range random.IntN(4) {
				o = append(o, words[random.IntN(len(words))])
			}
			blank := []string{" ", "\t", "  \t"}[random.IntN(3)]
			table += strings.Join([]string{"tmpfs", p, "tmpfs", strings.Join(o, ",")}, blank)
			if len(o) > 0 && random.IntN(2) == 0 {
				table += " 0 0"
			}
			table += "\n"
		}
		s := memory(t, map[string]string{fstab: table})
		for point, unit := range units {
			m := decode(t, point, "{type: tmpfs, options: [nodev]}")
			differences, err := m.Check(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			options, mounted := generated(t, table, unit)
			if (len(differences) == 0) != (mounted && inForce(options, "nodev", "dev")) {
				t.Fatalf("%s: systemd has %v, %v, differences %v, of\n%s", point, mounted, options, differences, table)
			}
			m = decode(t, point, "{type: tmpfs, options: [nodev, size=10%], without: [noauto]}")
			if _, err := m.Apply(context.Background(), s); err != nil {
				t.Fatal(err)
			}
			after, err := system.ReadFile(s, fstab, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			options, mounted = generated(t, string(after), unit)
			if !mounted || !inForce(options, "nodev", "dev") || !inForce(options, "size=10%", "size=50%") {
				t.Fatalf("%s: systemd has %v, %v of\n%s", point, mounted, options, after)
			}
		}
	}
}

// TestTheTableIsFindmnts has the parser of mount(8) read what was applied.
func TestTheTableIsFindmnts(t *testing.T) {
	findmnt, err := exec.LookPath("findmnt")
	if err != nil {
		t.Skip("findmnt is not installed")
	}
	s := memory(t, map[string]string{fstab: "# comment\nUUID=1 / ext4 errors=remount-ro 0 1\nUUID=2\t/home\text4\tdefaults\t0\t2\n"})
	for point, state := range map[string]string{"/home": "{options: [nodev, nosuid]}", "/var/a b": "{type: tmpfs, options: [size=5%]}", "/dev/shm": "{options: [noexec]}", "/": "{without: [errors]}"} {
		if _, err := decode(t, point, state).Apply(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	table, err := system.ReadFile(s, fstab, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "fstab")
	if err := os.WriteFile(file, table, 0o644); err != nil {
		t.Fatal(err)
	}
	for point, want := range map[string]string{"/home": "ext4 defaults,nodev,nosuid", "/var/a b": "tmpfs size=5%", "/dev/shm": "tmpfs noexec", "/": "ext4 defaults"} {
		out, err := exec.Command(findmnt, "--fstab", "--tab-file", file, "--noheadings", "--raw", "--output", "FSTYPE,OPTIONS", "--mountpoint", point).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q, of\n%s", point, got, err, want, table)
		}
	}
	out, _ := exec.Command(findmnt, "--verify", "--tab-file", file).CombinedOutput()
	if !strings.Contains(string(out), "0 parse errors") {
		t.Errorf("%s\n%s", out, table)
	}
}

// TestUnitsAreNamedAsSystemdNamesThem puts a unit where systemd-escape says.
func TestUnitsAreNamedAsSystemdNamesThem(t *testing.T) {
	escape, err := exec.LookPath("systemd-escape")
	if err != nil {
		t.Skip("systemd-escape is not installed")
	}
	for _, point := range []string{"/", "/tmp", "/var/log/audit", "/srv/a-b", "/srv/a b", "/.hidden/.x", "/srv/é@:_%\\x"} {
		out, err := exec.Command(escape, "--path", "--suffix=mount", point).Output()
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSpace(string(out))
		s := memory(t, map[string]string{
			"/etc/systemd/system/" + name:                       "[Mount]\nType=tmpfs\nOptions=nodev\n",
			"/etc/systemd/system/local-fs.target.wants/" + name: fmt.Sprintf("-> ../%s", name),
		})
		if list := said(t, decode(t, point, "{type: tmpfs, options: [nodev]}"), s); list != nil {
			t.Errorf("%s is not %s: %v", point, name, list)
		}
	}
}

// TestThisMachine reads what the kernel that runs the test has mounted.
func TestThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/self/mountinfo"); err != nil {
		t.Skip("there is no /proc")
	}
	root, err := system.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	differences, err := decode(t, "/proc", "{type: proc}").Check(context.Background(), root)
	if err != nil || len(differences) > 0 {
		t.Errorf("%v, %v", differences, err)
	}
	differences, err = decode(t, "/nothing here", "{separate: true}").Check(context.Background(), root)
	if err != nil || len(differences) != 2 {
		t.Errorf("%v, %v", differences, err)
	}
}
