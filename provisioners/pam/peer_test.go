package pam_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/pam"
	"imgbuild/provisioners/system"
)

// update runs the real program on a root, with answers of its own.
func update(t *testing.T, root string, args ...string) {
	t.Helper()
	answers := t.TempDir()
	conf := filepath.Join(answers, "debconf.conf")
	text := fmt.Sprintf("Config: c\nTemplates: t\n\nName: c\nDriver: File\nFilename: %[1]s/c.dat\n\nName: t\nDriver: File\nFilename: %[1]s/t.dat\n", answers)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("pam-auth-update", append([]string{"--root", root, "--package"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBCONF_SYSTEMRC="+conf, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Local modifications") {
		t.Fatalf("pam-auth-update: %v\n%s", err, out)
	}
}

// shipped makes a root with the files that libpam-runtime of this machine has.
func shipped(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("pam-auth-update needs root")
	}
	if _, err := exec.LookPath("pam-auth-update"); err != nil {
		t.Skip("pam-auth-update is not installed")
	}
	root := t.TempDir()
	for _, dir := range []string{"usr/share/pam-configs", "etc/pam.d", "var/lib/pam"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"auth", "account", "password", "session", "session-noninteractive"} {
		data, err := os.ReadFile("/usr/share/pam/common-" + kind)
		if err != nil {
			t.Skip(err)
		}
		write(t, root, "etc/pam.d/common-"+kind, string(data))
	}
	unix, err := os.ReadFile("/usr/share/pam-configs/unix")
	if err != nil {
		t.Skip(err)
	}
	write(t, root, "usr/share/pam-configs/unix", string(unix))
	return root
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// files reads all of a root but the copies that --force leaves.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".pam-old") {
			return err
		}
		data, err := os.ReadFile(name)
		all[strings.TrimPrefix(name, root)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func copyRoot(t *testing.T, root string) string {
	t.Helper()
	to := t.TempDir()
	for name, text := range files(t, root) {
		write(t, to, name, text)
	}
	return to
}

func line(t testing.TB, name, text string) *pam.Line {
	t.Helper()
	n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(name+": "+text))
	if err != nil {
		t.Fatal(err)
	}
	l, err := pam.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func apply(t *testing.T, root string, l *pam.Line) {
	t.Helper()
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	if _, err := l.Apply(ctx, s); err != nil {
		t.Fatalf("%s: %v", l.Identity(), err)
	}
	if again, err := l.Apply(ctx, s); again || err != nil {
		t.Fatalf("%s: a second time: %v, %v", l.Identity(), again, err)
	}
	if d, err := l.Check(ctx, s); len(d) > 0 || err != nil {
		t.Fatalf("%s: %v, %v", l.Identity(), d, err)
	}
}

// hardened are the lines that a hardened server has.
var hardened = []struct{ name, recipe string }{
	{"faillock-preauth", "{stack: common-auth, type: auth, control: required, module: pam_faillock.so, arguments: [preauth, silent], before: pam_unix.so}"},
	{"faillock-authfail", "{stack: common-auth, type: auth, control: '[default=die]', module: pam_faillock.so, arguments: [authfail], after: pam_unix.so}"},
	{"faillock-authsucc", "{stack: common-auth, type: auth, control: sufficient, module: pam_faillock.so, arguments: [authsucc], after: pam_cap.so}"},
	{"faillock-account", "{stack: common-account, type: account, control: required, module: pam_faillock.so, before: pam_unix.so}"},
	{"pwquality", "{stack: common-password, type: password, control: requisite, module: pam_pwquality.so, at-most: {retry: 3}, before: pam_unix.so}"},
	{"pwhistory", "{stack: common-password, type: password, control: requisite, module: pam_pwhistory.so, arguments: [enforce_for_root, use_authtok], at-least: {remember: 24}, after: pam_pwquality.so, before: pam_unix.so}"},
	{"no-nullok", "{stack: common-auth, type: auth, module: pam_unix.so, arguments-absent: [nullok]}"},
	{"unix-hash", "{stack: common-password, type: password, module: pam_unix.so, arguments: [yescrypt, use_authtok], arguments-absent: [remember, nullok, sha512]}"},
	{"umask", "{stack: common-session, type: session, control: optional, module: pam_umask.so}"},
	{"limits", "{stack: common-session-noninteractive, type: session, control: required, module: pam_limits.so}"},
}

// TestLinesAreThoseOfPamAuthUpdate writes each line, lets pam-auth-update make
// the files of the same profiles anew, and compares all bytes: what was
// applied is what the program would have made, and a later run keeps it.
func TestLinesAreThoseOfPamAuthUpdate(t *testing.T) {
	root := shipped(t)
	update(t, root, "--force")
	for _, c := range hardened {
		before := copyRoot(t, root)
		apply(t, root, line(t, c.name, c.recipe))
		applied := files(t, root)
		profile := "/usr/share/pam-configs/imgbuild-" + c.name
		if text, own := applied[profile]; own {
			// The same profile on the state before.
			write(t, before, profile, text)
			update(t, before)
			if diff := cmp.Diff(files(t, before), applied); diff != "" {
				t.Errorf("%s (-pam-auth-update +resource):\n%s", c.name, diff)
			}
		}
		update(t, root)
		if diff := cmp.Diff(applied, files(t, root)); diff != "" {
			t.Errorf("%s: a later run (-applied +kept):\n%s", c.name, diff)
		}
	}
	// None of them undid another.
	sys, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	for _, c := range hardened {
		if d, err := line(t, c.name, c.recipe).Check(context.Background(), sys); len(d) > 0 || err != nil {
			t.Errorf("%s in the end: %v, %v", c.name, d, err)
		}
	}
	want := []string{
		"required pam_faillock.so preauth silent", "[success=2 default=ignore] pam_unix.so try_first_pass",
		"[default=die] pam_faillock.so authfail", "requisite pam_deny.so", "required pam_permit.so",
		"sufficient pam_faillock.so authsucc",
	}
	var got []string
	for _, l := range regexp.MustCompile(`(?m)^auth\s(.*)$`).FindAllStringSubmatch(files(t, root)["/etc/pam.d/common-auth"], -1) {
		got = append(got, strings.Join(strings.Fields(l[1]), " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("common-auth (-want +got):\n%s", diff)
	}
}

// TestAnAbsentLineDisablesItsProfile as pam-auth-update does when it is asked
// to, options changed by hand being kept.
func TestAnAbsentLineDisablesItsProfile(t *testing.T) {
	root := shipped(t)
	write(t, root, "usr/share/pam-configs/extra", "Name: Extra\nDefault: yes\nPriority: 300\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore] pam_extra.so a\nSession-Type: Additional\nSession:\n\toptional pam_extra.so\n")
	update(t, root, "--force")
	apply(t, root, line(t, "no-nullok", "{stack: common-auth, type: auth, module: pam_unix.so, arguments-absent: [nullok]}"))
	before := copyRoot(t, root)
	if !strings.Contains(files(t, root)["/etc/pam.d/common-session"], "pam_extra.so") {
		t.Fatal("the profile is not enabled")
	}
	apply(t, root, line(t, "no-extra", "{stack: common-auth, type: auth, module: pam_extra.so, absent: true}"))
	update(t, before, "--disable", "extra")
	if diff := cmp.Diff(files(t, before), files(t, root)); diff != "" {
		t.Errorf("-pam-auth-update +resource:\n%s", diff)
	}
}

// TestGeneratingEqualsPamAuthUpdate draws profiles, lets pam-auth-update make
// files of them, changes options by hand, adds a line, and compares what both
// make of that.
func TestGeneratingEqualsPamAuthUpdate(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 3))
		root := shipped(t)
		for i := range r.IntN(6) {
			write(t, root, fmt.Sprintf("usr/share/pam-configs/p%d", i), drawProfile(r, i))
		}
		update(t, root, "--force")
		for _, kind := range []string{"auth", "account", "password", "session"} {
			changeOptions(t, r, filepath.Join(root, "etc/pam.d/common-"+kind))
		}
		if r.IntN(2) == 0 {
			write(t, root, "usr/share/pam-configs/late", drawProfile(r, 9))
		}
		kind := []string{"auth", "account", "password", "session"}[r.IntN(4)]
		where := []string{", before: pam_unix.so", ", after: pam_unix.so", ""}[r.IntN(3)]
		l := line(t, "drawn", fmt.Sprintf("{stack: common-%s, type: %s, control: '[success=ok default=ignore]', module: pam_drawn.so, arguments: [a, b=1]%s}", kind, kind, where))
		before := copyRoot(t, root)
		apply(t, root, l)
		got := files(t, root)
		name := "/usr/share/pam-configs/imgbuild-drawn"
		write(t, before, name, got[name])
		update(t, before)
		if diff := cmp.Diff(files(t, before), got); diff != "" {
			t.Fatalf("seed %d (-pam-auth-update +resource):\n%s", seed, diff)
		}
	}
}

func drawProfile(r *rand.Rand, i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Name: Profile %d\nDefault: %s\nPriority: %d\n", i, []string{"yes", "yes", "no"}[r.IntN(3)], []int{0, 128, 256, 257, 900, -5}[r.IntN(6)])
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "Conflicts: p%d, p%d\n", (i+1)%6, (i+2)%6)
	}
	if r.IntN(2) == 0 {
		b.WriteString("Session-Interactive-Only: yes\n")
	}
	for _, kind := range []string{"Auth", "Account", "Password", "Session"} {
		if r.IntN(2) == 0 {
			continue
		}
		block := []string{"Primary", "Additional"}[r.IntN(2)]
		fmt.Fprintf(&b, "%s-Type: %s\n", kind, block)
		for _, suffix := range []string{"", "-Initial"} {
			if suffix != "" && r.IntN(2) == 0 {
				continue
			}
			fmt.Fprintf(&b, "%s%s:\n", kind, suffix)
			for j := range 1 + r.IntN(3) {
				control := []string{"required", "optional", "[success=end default=ignore]", "[success=ok new_authtok_reqd=done default=end]"}[r.IntN(4)]
				if block == "Additional" {
					// The program would write a jump over nothing, which PAM refuses.
					control = strings.ReplaceAll(control, "end", "ok")
				}
				options := []string{"", " one", " one two=2", "  one\tthree "}[r.IntN(4)]
				fmt.Fprintf(&b, "\t%s\tpam_p%d%c.so%s\n", control, i, 'a'+j, options)
			}
		}
	}
	return b.String()
}

// changeOptions adds and removes options of lines, as an administrator does.
func changeOptions(t *testing.T, r *rand.Rand, name string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for i, l := range lines {
		if !strings.Contains(l, "pam_p") || strings.Contains(l, "permit") || strings.HasPrefix(l, "#") {
			continue
		}
		switch r.IntN(4) {
		case 0:
			lines[i] = strings.TrimRight(l, " ") + " added zz=1"
		case 1:
			lines[i] = strings.Replace(l, " one", "", 1)
		}
	}
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}
