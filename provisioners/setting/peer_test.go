package setting_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/system"
)

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// place makes a root directory of files; a content "-> x" is a link to x.
func place(t *testing.T, files map[string]string) (string, *system.Root) {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		target, link := strings.CutPrefix(text, "-> ")
		if !link {
			peertest.Write(t, root, name, text)
			continue
		}
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return root, s
}

// switches are settings of services that are on or off.
var switches = []string{"NoNewPrivileges", "ProtectClock", "ProtectKernelModules", "ProtectKernelLogs", "RestrictRealtime", "LockPersonality"}

// section draws a section of a unit file.
func section(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString(pick(r, "", "# x\n", "NoNewPrivileges=yes\n") + "[Service]\n")
	for range r.IntN(6) {
		key := pick(r, switches...)
		b.WriteString(pick(r,
			key+"=yes\n", key+" = true\n", key+"=no\n", key+"=off\n", "  "+key+"=1\n", key+"=\n",
			"#"+key+"=yes\n", ";"+key+"=no\n", key+"= \\\n  yes\n", key+"=\\\n# no\n yes\n", "Documentation=x \\\n"+key+"=yes\n",
			"[Unit]\n"+key+"=yes\n[Service]\n", strings.ToLower(key)+"=yes\n",
		))
	}
	return b.String()
}

// TestUnitsAreReadAsSystemdReadsThem draws units with drop-ins and asks systemd
// what is on; then all is switched on, and systemd says so.
func TestUnitsAreReadAsSystemdReadsThem(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	ask := func(root string) map[string]bool {
		cmd := exec.Command(analyze, "security", "--offline=true", "--root="+root, "--json=short", "a-b-c.service")
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("systemd-analyze security --offline: %v", err)
		}
		var list []struct {
			Name string
			Set  *bool
		}
		if err := json.Unmarshal(out, &list); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		set := map[string]bool{}
		for _, one := range list {
			set[strings.TrimSuffix(one.Name, "=")] = one.Set != nil && *one.Set
		}
		return set
	}
	ctx := context.Background()
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		files := map[string]string{"/usr/lib/systemd/system/a-b-c.service": section(r) + "[Service]\nExecStart=/bin/true\n", "/bin/true": ""}
		for _, dir := range []string{"/etc/systemd/system/", "/run/systemd/system/", "/usr/lib/systemd/system/"} {
			for _, name := range []string{"a-b-c.service.d", "a-b-.service.d", "a-.service.d", "service.d"} {
				for range r.IntN(2) {
					files[dir+name+"/"+pick(r, "10-x", "20-y", "30-z", ".h")+pick(r, ".conf", ".conf", ".conf", ".bak")] = pick(r, section(r), section(r), section(r), "-> /dev/null")
				}
			}
		}
		root, s := place(t, files)
		if err := os.Chmod(filepath.Join(root, "bin/true"), 0o755); err != nil {
			t.Fatal(err)
		}
		want := ask(root)
		var all []string
		for _, key := range switches {
			if _, known := want[key]; !known {
				t.Skipf("systemd-analyze security does not judge %s", key)
			}
			list, err := newUnit(t, "a-b-c.service", "Service."+key+`: "yes"`).Check(ctx, s)
			if err != nil {
				t.Fatal(err)
			}
			// An empty value last is no pass here, whatever systemd makes of it.
			empty := strings.Contains(show(files), key+"=\n")
			if got := len(list) == 0; got != want[key] && (got || !empty) {
				t.Fatalf("seed %d: %s is on: %v, systemd says %v; %v\n%s", seed, key, got, want[key], list, show(files))
			}
			all = append(all, "Service."+key+`: "yes"`)
		}
		u := newUnit(t, "a-b-c.service", strings.Join(all, ", "))
		if _, err := u.Apply(ctx, s); err != nil {
			// A file of a package or of /run that is read later is not edited.
			if !strings.Contains(err.Error(), "is not below /etc") {
				t.Fatalf("seed %d: %v\n%s", seed, err, show(files))
			}
			continue
		}
		for key, on := range ask(root) {
			if strings.Contains(strings.Join(switches, " "), key) && !on {
				t.Fatalf("seed %d: %s is off after it was applied\n%s", seed, key, show(files))
			}
		}
	}
}

func show(files map[string]string) string {
	var b strings.Builder
	for name, text := range files {
		fmt.Fprintf(&b, "--- %s\n%s\n", name, text)
	}
	return b.String()
}

// TestFilesAreReadInSystemdsOrder takes what systemd-analyze cat-config prints
// for a file without drop-ins: it says the same.
func TestFilesAreReadInSystemdsOrder(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		text := func() string {
			return "[Journal]\n" + pick(r, "", "Storage=auto\n", "Storage=none\n", "Storage=\n") + pick(r, "", "Seal=no\n", "[Other]\nSeal=1\n") + "\n"
		}
		files := map[string]string{"/etc/systemd/journald.conf": text()}
		for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib"} {
			for range r.IntN(3) {
				name := pick(r, "a.conf", "b.conf", "B.conf", "10.conf", "9.conf", ".h.conf", "c.conf~", "c.txt")
				files[dir+"/systemd/journald.conf.d/"+name] = pick(r, text(), text(), "", "-> /dev/null")
			}
		}
		root, s := place(t, files)
		out, err := exec.Command(analyze, "cat-config", "--root="+root, "systemd/journald.conf").Output()
		if err != nil {
			t.Skipf("systemd-analyze cat-config: %v", err)
		}
		whole := memory(t, map[string]string{"/etc/systemd/journald.conf": string(out)})
		for _, key := range []string{"Storage", "Seal"} {
			setting := newSetting(t, "path: /etc/systemd/journald.conf, format: ini, key: Journal."+key+", value: "+unlikely)
			if got, want := have(t, s, setting), have(t, whole, setting); got != want {
				t.Errorf("seed %d: %s is %q, in systemd's order %q\n%s", seed, key, got, want, show(files))
			}
		}
	}
}

// TestWordsAreReadAsUseraddReadsThem makes users by drawn settings.
func TestWordsAreReadAsUseraddReadsThem(t *testing.T) {
	useradd, err := exec.LookPath("useradd")
	if err != nil || os.Getuid() != 0 {
		t.Skip("it takes useradd and root")
	}
	// The fields of shadow(5) that keys become.
	fields := []struct {
		path, format, key string
		field             int
	}{
		{"/etc/login.defs", "words", "PASS_MIN_DAYS", 3}, {"/etc/login.defs", "words", "PASS_MAX_DAYS", 4},
		{"/etc/login.defs", "words", "PASS_WARN_AGE", 5}, {"/etc/default/useradd", "equals", "INACTIVE", 6},
	}
	for seed := range uint64(15) {
		r := rand.New(rand.NewPCG(seed, 3))
		var defs strings.Builder
		for range 2 + r.IntN(8) {
			key, n := pick(r, "PASS_MIN_DAYS", "PASS_MAX_DAYS", "PASS_WARN_AGE"), r.IntN(200)
			fmt.Fprintf(&defs, pick(r, "%s %d\n", "%s\t%d\t\n", "  %s  %d\n", "#%s %d\n", "# %s %d\n", "%s \"%d\"\n", "%s\t\"%d\" x\n"), key, n)
		}
		var preset strings.Builder
		for range 1 + r.IntN(4) {
			fmt.Fprintf(&preset, pick(r, "INACTIVE=%d\n", "#INACTIVE=%d\n", "# INACTIVE=%d\n"), r.IntN(200))
		}
		root, s := place(t, map[string]string{
			"/etc/login.defs": defs.String(), "/etc/default/useradd": preset.String(), "/etc/skel/.keep": "",
			"/etc/passwd": "root:x:0:0::/:/bin/sh\n", "/etc/group": "root:x:0:\n", "/etc/shadow": "root:*:1::::::\n", "/etc/gshadow": "root:*::\n",
		})
		if out, err := exec.Command(useradd, "-P", root, "u").CombinedOutput(); err != nil {
			t.Skipf("useradd -P: %v: %s", err, out)
		}
		shadow, err := os.ReadFile(filepath.Join(root, "etc/shadow"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(shadow)), "\n")
		made := strings.Split(lines[len(lines)-1], ":")
		for _, f := range fields {
			want := made[f.field]
			if want == "" {
				want = "not set"
			}
			got := have(t, s, newSetting(t, "path: "+f.path+", format: "+f.format+", key: "+f.key+", value: "+unlikely))
			if got != want {
				t.Errorf("seed %d: %s is %q, useradd made %q\n%s%s", seed, f.key, got, want, &defs, &preset)
			}
		}
	}
}

// TestEqualsIsReadAsPwqualityReadsIt asks for the shortest password by trying a
// short one.
func TestEqualsIsReadAsPwqualityReadsIt(t *testing.T) {
	root := peertest.Root(t, []string{"libpwquality-tools", "libpwquality1", "libcrack2"}, "/usr/bin/pwscore")
	shorter := regexp.MustCompile(`shorter than ([0-9]+)`)
	s, err := system.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const dir = "/etc/security/pwquality.conf"
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		text := func() string {
			var b strings.Builder
			b.WriteString("dictcheck = 0\n")
			for range r.IntN(3) {
				fmt.Fprintf(&b, pick(r, "minlen = %d\n", "minlen=%d # x\n", "\tminlen %d\r\n", "#minlen = %d\n", "minlen\t=%d#\n", "maxrepeat = %d\n", "MinLen = %d\n"), 10+r.IntN(80))
			}
			return b.String()
		}
		if err := os.RemoveAll(filepath.Join(root, "etc/security")); err != nil {
			t.Fatal(err)
		}
		files := map[string]string{dir: text()}
		for range r.IntN(4) {
			files[dir+".d/"+pick(r, "a.conf", "B.conf", "10.conf", "9.conf", "c.bak")] = text()
		}
		for name, text := range files {
			peertest.Write(t, root, name, text)
		}
		ask := func() string {
			cmd := peertest.Command(root, "/usr/bin/pwscore")
			cmd.Stdin = strings.NewReader("aZ3$kq!\n")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("a password of seven characters is long enough: %s", out)
			}
			found := shorter.FindSubmatch(out)
			if found == nil {
				t.Skipf("pwscore: %s", out)
			}
			return string(found[1])
		}
		got := have(t, s, newSetting(t, "path: "+dir+", format: equals, key: minlen, value: "+unlikely))
		if want := ask(); got != want && !(got == "not set" && want == "8") {
			t.Fatalf("seed %d: minlen is %q, pwscore says %s\n%s", seed, got, want, show(files))
		}
		applied(t, s, newSetting(t, "path: "+dir+", format: equals, key: minlen, value: 97, drop-in: "+pick(r, "50.conf", "a.conf")))
		if got := ask(); got != "97" {
			t.Fatalf("seed %d: minlen is %s after it was applied\n%s", seed, got, show(files))
		}
	}
	// What it refuses cannot be told.
	if err := os.RemoveAll(filepath.Join(root, "etc/security")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"minlen = x", "minlen =", "minlen", "minlen = 40 50", "maxlen = 40", "enforce_for_root", "local_users_only = x", "badwords = a b", "Retry = 3 #", "!! = 1", "retry = +3"} {
		peertest.Write(t, root, dir, "minlen = 40\n"+line+"\n")
		cmd := peertest.Command(root, "/usr/bin/pwscore")
		cmd.Stdin = strings.NewReader("aZ3$kq!\n")
		said, _ := cmd.CombinedOutput()
		_, err := newSetting(t, "path: "+dir+", format: equals, key: minlen, value: 40").Check(t.Context(), s)
		if refused := strings.HasPrefix(string(said), "Error: "); refused != (err != nil) {
			t.Errorf("%q: pwscore says %q; here: %v", line, said, err)
		}
	}
}
