package kernel_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// resource is what these tests ask of one.
type resource interface {
	Check(context.Context, system.Reader) ([]system.Difference, error)
	Apply(context.Context, system.System) (bool, error)
}

// entry makes the node that a recipe would have.
func entry(t *testing.T, key, value string) node.Entry {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte("x: "+value))
	if err != nil {
		t.Fatal(err)
	}
	return node.Entry{Key: key, Value: n.Get("x")}
}

// overlaid are the directories of the host that a program under test does not
// see: those of the tree take their place.
var overlaid = []string{"run", "usr/local/lib", "usr/lib/sysctl.d", "usr/lib/modprobe.d", "etc", "proc"}

// inside runs a program of the host that finds a tree's directories in place of
// the host's own.
func inside(t *testing.T, tree string, args ...string) (string, error) {
	t.Helper()
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, dir := range overlaid {
		if _, err := os.Stat("/" + dir); err == nil {
			fmt.Fprintf(&script, "mount --bind %s/%s /%s\n", tree, dir, dir)
		}
	}
	script.WriteString("exec \"$@\"\n")
	var said bytes.Buffer
	program := exec.Command("unshare", append([]string{"-m", "sh", "-c", script.String(), "sh"}, args...)...)
	program.Stderr = &said
	out, err := program.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, said.String())
	}
	return string(out), err
}

// needs skips a test without the programs or the rights that it takes.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range append(programs, "unshare", "mount") {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("hiding the host's directories takes root")
	}
	if out, err := exec.Command("unshare", "-m", "true").CombinedOutput(); err != nil {
		t.Skipf("no mount namespaces here: %s", out)
	}
}

// tree makes a directory with files and links; a content "-> x" is a link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range overlaid {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		at := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(at), 0o755)
		if target, link := strings.CutPrefix(text, "-> "); err == nil && link {
			err = os.Symlink(target, at)
		} else if err == nil {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// offline are the files of a tree without /proc.
type offline struct{ system.System }

func (o offline) Open(name string) (io.ReadCloser, error) {
	if strings.HasPrefix(name, "/proc/") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.System.Open(name)
}

func open(t *testing.T, dir string) system.System {
	t.Helper()
	root, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return offline{root}
}

// settle applies a resource and holds it to its promises.
func settle(t *testing.T, r resource, s system.System) {
	t.Helper()
	ctx := context.Background()
	before, err := r.Check(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := r.Apply(ctx, s)
	if err != nil || changed != (len(before) > 0) {
		t.Fatalf("changed: %v, %v; differed before: %v", changed, err, before)
	}
	if after, err := r.Check(ctx, s); err != nil || len(after) > 0 {
		t.Fatalf("after it was applied: %v, %v", after, err)
	}
	if again, err := r.Apply(ctx, s); again || err != nil {
		t.Fatalf("a second time: %v, %v", again, err)
	}
}

// parameters are those that the trees of the tests have in /proc/sys.
var parameters = []string{"net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.eth0.rp_filter", "kernel.sysrq"}

// sysctlLines are lines of every form, VALUE being a value.
var sysctlLines = []string{
	"net.ipv4.ip_forward = VALUE", "net/ipv4/ip_forward=VALUE", "-net.ipv4.ip_forward = VALUE", "  net.ipv4.ip_forward\t=VALUE  ",
	"net.ipv4.conf.*.rp_filter = VALUE", "net.ipv4.conf.e*.rp_filter = VALUE", "net/ipv4/conf/all/rp_filter = VALUE", "net.ipv4.conf.[ae]*.rp_filter=VALUE",
	"kernel.sysrq = VALUE", "-kernel.sysrq=VALUE", "# kernel.sysrq = VALUE", "; kernel.sysrq = VALUE", "kernel.sysrq VALUE", "net.ipv4.conf.eth0.rp_filter = VALUE",
}

var sysctlExclusions = []string{"-net.ipv4.conf.all.rp_filter", "-net.ipv4.conf.eth0.rp_filter"}

// randomSysctls writes files into some of the directories.
func randomSysctls(random *rand.Rand, dirs []string) map[string]string {
	files := map[string]string{}
	names := []string{"10-a.conf", "50-b.conf", "99-sysctl.conf", "99-zz-imgbuild.conf", "zz.conf", "readme", ".hidden.conf"}
	for range 1 + random.IntN(4) {
		var b strings.Builder
		for range random.IntN(5) {
			if random.IntN(6) == 0 {
				b.WriteString(sysctlExclusions[random.IntN(len(sysctlExclusions))] + "\n")
				continue
			}
			b.WriteString(strings.Replace(sysctlLines[random.IntN(len(sysctlLines))], "VALUE", fmt.Sprint(random.IntN(3)), 1) + "\n")
		}
		files[path.Join(dirs[random.IntN(len(dirs))], names[random.IntN(len(names))])] = b.String()
	}
	return files
}

// set runs a program that sets parameters and returns what it has set.
func set(t *testing.T, dir string, args ...string) map[string]string {
	t.Helper()
	for _, p := range parameters {
		at := filepath.Join(dir, "proc/sys", strings.ReplaceAll(p, ".", "/"))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A line that is no assignment is no reason to stop, and their exit codes
	// differ on it.
	if _, err := inside(t, dir, args...); err != nil && strings.Contains(err.Error(), "mount") {
		t.Fatalf("%v: %v", args, err)
	}
	values := map[string]string{}
	for _, p := range parameters {
		data, err := os.ReadFile(filepath.Join(dir, "proc/sys", strings.ReplaceAll(p, ".", "/")))
		if err != nil {
			t.Fatal(err)
		}
		values[p] = strings.TrimSpace(string(data))
	}
	return values
}

const systemdSysctl = "/usr/lib/systemd/systemd-sysctl"

// TestCheckSeesWhatSystemdSets compares the check with what systemd-sysctl
// makes of the same files, where none is the administrator's.
func TestCheckSeesWhatSystemdSets(t *testing.T) {
	needs(t, systemdSysctl)
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		files := randomSysctls(random, []string{"run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d"})
		// procps reads what systemd passes over; the check wants both content.
		maps.DeleteFunc(files, func(name, _ string) bool { return path.Base(name) == ".hidden.conf" })
		dir := tree(t, files)
		values := set(t, dir, systemdSysctl)
		for _, p := range parameters {
			for _, v := range []string{"0", "1", "2"} {
				differences, err := sysctl(t, p, v).Check(context.Background(), open(t, dir))
				if err != nil {
					t.Fatal(err)
				}
				if (len(differences) == 0) != (values[p] == v) {
					t.Fatalf("%s = %s: systemd-sysctl sets %q, differences %v, of\n%v", p, v, values[p], differences, files)
				}
			}
		}
	}
}

// TestAppliedParametersAreSet asks both programs after random files were put
// right.
func TestAppliedParametersAreSet(t *testing.T) {
	needs(t, systemdSysctl, "sysctl")
	random := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		files := randomSysctls(random, []string{"etc/sysctl.d", "etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d"})
		if random.IntN(2) == 0 {
			files["etc/sysctl.conf"] = "kernel.sysrq = 1\nnet.ipv4.conf.*.rp_filter = 0\n-net.ipv4.ip_forward\n"
			if random.IntN(2) == 0 {
				files["etc/sysctl.d/99-sysctl.conf"] = "-> ../sysctl.conf"
			}
		}
		dir := tree(t, files)
		programs := [][]string{{systemdSysctl}, {"sysctl", "--system"}}
		for _, args := range programs {
			got := set(t, dir, args...)
			for _, p := range parameters {
				for _, v := range []string{"0", "1", "2"} {
					if d, err := sysctl(t, p, v).Check(context.Background(), open(t, dir)); err != nil || len(d) == 0 && got[p] != v {
						t.Fatalf("%s sets %s to %q, and the check wants %s: %v, %v, of\n%v", args[0], p, got[p], v, d, err, files)
					}
				}
			}
		}
		want := map[string]string{}
		for _, p := range parameters {
			want[p] = fmt.Sprint(random.IntN(3))
			settle(t, sysctl(t, p, want[p]), open(t, dir))
		}
		for _, args := range programs {
			got := set(t, dir, args...)
			for _, p := range parameters {
				if got[p] != want[p] {
					t.Fatalf("%s sets %s to %q, want %q, of\n%v", args[0], p, got[p], want[p], files)
				}
			}
		}
	}
}

// emptyModule is an ELF file without code, enough for depmod.
var emptyModule = "\x7fELF\x02\x01\x01\x00" + strings.Repeat("\x00", 8) +
	"\x01\x00\x3e\x00\x01\x00\x00\x00" + strings.Repeat("\x00", 16) + "\x50" + strings.Repeat("\x00", 11) +
	"\x40\x00\x00\x00\x00\x00\x40\x00\x02\x00\x01\x00" + "\x00.shstrtab\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 64) +
	"\x01\x00\x00\x00\x03\x00\x00\x00" + strings.Repeat("\x00", 16) + "\x40" + strings.Repeat("\x00", 7) + "\x0b" + strings.Repeat("\x00", 15) +
	"\x01" + strings.Repeat("\x00", 15)

// modprobeLines are lines about the modules of the test, of every form.
var modprobeLines = []string{
	"install usb-storage /sbin/modprobe -i usb_storage", "install usb_storage /bin/true", "blacklist usb-storage", "blacklist cramfs",
	"install cra* /bin/echo", "install cramfs \\\n /bin/echo two", "install cramfs /bin/false", "# install cramfs /bin/true \\\nblacklist usb_storage",
	"\tinstall\tcramfs\t/bin/false", "options cramfs x=1", "install usb[-_]storage /bin/false", "nonsense", "install cramfs",
}

// TestBlockedModulesAreNotLoaded asks modprobe what it would do before and after
// random files were put right.
func TestBlockedModulesAreNotLoaded(t *testing.T) {
	needs(t, "modprobe", "depmod")
	random := rand.New(rand.NewPCG(5, 6))
	for range 8 {
		files := map[string]string{}
		for range random.IntN(4) {
			var b strings.Builder
			for range random.IntN(4) {
				b.WriteString(modprobeLines[random.IntN(len(modprobeLines))] + "\n")
			}
			dirs := []string{"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d"}
			names := []string{"00-imgbuild.conf", "000.conf", "local.conf", "zz.conf"}
			files[path.Join(dirs[random.IntN(len(dirs))], names[random.IntN(len(names))])] = b.String()
		}
		for _, m := range []string{"usb-storage", "cramfs"} {
			files["lib/modules/9.9/kernel/"+m+".ko"] = emptyModule
		}
		files["lib/modules/9.9/modules.order"], files["lib/modules/9.9/modules.builtin"], files["lib/modules/9.9/modules.builtin.modinfo"] = "", "", ""
		dir := tree(t, files)
		if out, err := exec.Command("depmod", "-b", dir, "9.9").CombinedOutput(); err != nil {
			t.Fatalf("depmod: %v\n%s", err, out)
		}
		for _, m := range []string{"usb-storage", "cramfs"} {
			for _, state := range []string{"blocked", "loaded"} {
				r := module(t, m, state)
				_, err := r.Apply(context.Background(), open(t, dir))
				if state == "loaded" && err != nil && strings.Contains(err.Error(), "blocks every module") {
					continue
				}
				settle(t, r, open(t, dir))
				said, err := inside(t, dir, "sh", "-c", `modprobe -d "$0" -S 9.9 -n -v "$1"; echo --; modprobe -d "$0" -S 9.9 -n -v -b "$1"`, dir, m)
				plain, listed, ok := strings.Cut(said, "--\n")
				if !ok {
					t.Fatalf("%s: %v", said, err)
				}
				runs := strings.Contains(plain, "insmod") || strings.Contains(plain, "install") && !strings.Contains(plain, "/bin/false") && !strings.Contains(plain, "/bin/true")
				if state == "blocked" && (runs || strings.TrimSpace(listed) != "") || state == "loaded" && (!runs || strings.TrimSpace(listed) == "") {
					t.Fatalf("%s %s: modprobe says %q, and of an alias %q, of\n%v", m, state, plain, listed, files)
				}
			}
		}
	}
}

// TestMenuIsGRUBs has GRUB's own parser judge what was edited.
func TestMenuIsGRUBs(t *testing.T) {
	program, err := exec.LookPath("grub-script-check")
	if err != nil {
		t.Skip("grub-script-check is not installed")
	}
	dir := tree(t, map[string]string{"boot/grub/grub.cfg": menu})
	for name, value := range map[string]string{"apparmor": `"1"`, "audit_backlog_limit": "{at-least: 8192}", "quiet": "{absent: true}", "nousb": "{}"} {
		settle(t, argument(t, name, value), open(t, dir))
	}
	at := filepath.Join(dir, "boot/grub/grub.cfg")
	if out, err := exec.Command(program, at).CombinedOutput(); err != nil {
		data, _ := os.ReadFile(at)
		t.Errorf("%v\n%s\n%s", err, out, data)
	}
	if slices.Equal([]byte(menu), readFile(t, at)) {
		t.Error("nothing was edited")
	}
	// What it refuses cannot be told.
	for _, text := range []string{
		"menuentry a {\n linux /k quiet\n", "menuentry a { linux /k }\n}\n", "menuentry a { linux /k }\n", "if true; then linux /k; else\n",
		"for a in b; do linux /k; fi\n", "for a in b; do linux /k; done\n", "linux /k fi\nfi\n", "linux /k fi done if\n", "linux /k; echo }\n",
		"if if true; then true; fi; then linux /k; fi\n", "while true; do linux /k; done }\n", "menuentry a { if true; then linux /k }\n fi\n",
		"function f { linux /k; }\nif true\nthen f\nfi # }\n", "linux /k '}' \\} \"fi\"\n", "linux /k 'quiet\n",
	} {
		dir := tree(t, map[string]string{"boot/grub/grub.cfg": text})
		refused := exec.Command(program, filepath.Join(dir, "boot/grub/grub.cfg")).Run() != nil
		if _, err := argument(t, "quiet", "{}").Check(context.Background(), open(t, dir)); (err != nil) != refused {
			t.Errorf("GRUB refuses %q: %v; here: %v", text, refused, err)
		}
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
