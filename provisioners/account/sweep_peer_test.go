package account_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// drawn makes a root with databases as they get in the course of years.
func drawn(t *testing.T, seed uint64) (root string, users []string) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 11))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	passwd, group, shadow, gshadow := "root:x:0:0::/:/bin/sh\n", "root:x:0:\n", "root:*:19000:0:99999:7:::\n", "root:*::\n"
	for i := range 3 + r.IntN(5) {
		name := fmt.Sprintf("u%d", i)
		if i > 0 && r.IntN(8) == 0 {
			name = "u0"
		} else {
			users = append(users, name)
		}
		passwd += fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", name, 1000+r.IntN(6), 1000+r.IntN(8))
		shadow += fmt.Sprintf("%s:%s:%s:%s:%s:%s:%s::\n", name, pick("!", "*", "$y$j9T$a", "$y$j9T$b", "!$y$x"), pick("19000", "19000", "0", "40000"),
			pick("", "0", "1", "30"), pick("", "99999", "365", "90", "400"), pick("", "7", "3", "14"), pick("", "30", "90", "0"))
		gname := fmt.Sprintf("g%d", r.IntN(9))
		group += fmt.Sprintf("%s:x:%d:%s\n", gname, 1000+r.IntN(8), pick("", "u0"))
		gshadow += fmt.Sprintf("%s:!::\n", gname)
	}
	for name, text := range map[string]string{
		"passwd": passwd, "group": group, "shadow": shadow, "gshadow": gshadow, "login.defs": "UID_MIN 1000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, "etc", name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir, users
}

func found(t *testing.T, s system.System, rule string) int {
	t.Helper()
	d, err := resource(t, "accounts: {"+rule+": {}}").Check(context.Background(), s)
	if err != nil {
		t.Fatal(rule, err)
	}
	return len(d)
}

// TestRulesAgreeWithPwckAndGrpck: what the checkers of shadow-utils find in
// databases drawn by seed, the rules find.
func TestRulesAgreeWithPwckAndGrpck(t *testing.T) {
	needs(t, "pwck", "grpck")
	noGroup := regexp.MustCompile(`(?m)^user '.*': no group`)
	seen := map[string]int{}
	for seed := range uint64(40) {
		root, _ := drawn(t, seed)
		s, err := system.OpenRoot(root)
		if err != nil {
			t.Fatal(err)
		}
		// An exit code other than 0 says that something was found.
		users, _ := run("pwck", "-r", "-R", root)
		groups, _ := run("grpck", "-r", "-R", root)
		for rule, theirs := range map[string]int{
			"unique-user-names":    strings.Count(users, "duplicate password entry"),
			"unique-group-names":   strings.Count(groups, "duplicate group entry"),
			"primary-groups-exist": len(noGroup.FindAllString(users, -1)),
		} {
			ours := found(t, s, rule)
			if (ours > 0) != (theirs > 0) || rule == "primary-groups-exist" && ours != theirs {
				t.Errorf("seed %d: %s: %d differences, shadow-utils finds %d:\n%s%s", seed, rule, ours, theirs, users, groups)
			}
			seen[rule] += min(theirs, 1)
		}
		s.Close()
	}
	for rule, n := range seen {
		if n == 0 || n == 40 {
			t.Errorf("%s: found in %d of 40 databases", rule, n)
		}
	}
}

func needs(t *testing.T, tools ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("changing the root takes root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
}

func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestAgeingIsWhatChageShows applies ageing to databases drawn by seed and
// asks chage(1) for what came of it.
func TestAgeingIsWhatChageShows(t *testing.T) {
	needs(t, "chage")
	for seed := range uint64(12) {
		root, users := drawn(t, seed)
		s, err := system.OpenRoot(root)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r := resource(t, "ageing: {all: {max-days: {at-most: 365}, min-days: {at-least: 1}, warn-days: {at-least: 7}, inactive-days: {at-most: 45}}}")
		before := fields(t, root)
		if _, err := r.Apply(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		settled(t, r, s)
		after := fields(t, root)
		for _, user := range users {
			if strings.HasPrefix(before[user][1], "!") || before[user][1] == "*" {
				if strings.Join(before[user], ":") != strings.Join(after[user], ":") {
					t.Errorf("seed %d: %s has no usable password and was changed", seed, user)
				}
				continue
			}
			out, err := run("chage", "-l", "-R", root, user)
			if err != nil {
				t.Fatal(out, err)
			}
			shown := map[string]string{}
			for _, l := range strings.Split(out, "\n") {
				key, value, _ := strings.Cut(l, ":")
				shown[strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
			number := func(key string) int {
				n, err := strconv.Atoi(shown[key])
				if err != nil {
					t.Errorf("seed %d: %s: %s", seed, user, out)
				}
				return n
			}
			most := number("Maximum number of days between password change")
			if most > 365 || number("Minimum number of days between password change") < 1 || number("Number of days of warning before password expires") < 7 {
				t.Errorf("seed %d: %s: %s", seed, user, out)
			}
			if after[user][2] == "0" {
				if shown["Last password change"] != "password must be changed" {
					t.Errorf("seed %d: %s: %s", seed, user, out)
				}
				continue
			}
			expires, err := time.Parse("Jan 02, 2006", shown["Password expires"])
			inactive, err2 := time.Parse("Jan 02, 2006", shown["Password inactive"])
			if err != nil || err2 != nil || inactive.Sub(expires) > 45*24*time.Hour {
				t.Errorf("seed %d: %s: %s", seed, user, out)
			}
		}
	}
}

// fields are the first record of each name in shadow(5).
func fields(t *testing.T, root string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "etc/shadow"))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string][]string{}
	for _, l := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if f := strings.Split(l, ":"); m[f[0]] == nil {
			m[f[0]] = f
		}
	}
	return m
}

func settled(t *testing.T, r provisioners.Resource, s system.System) {
	t.Helper()
	if d, err := r.Check(context.Background(), s); len(d) > 0 || err != nil {
		t.Errorf("after it was applied: %v, %v", d, err)
	}
	if again, err := r.Apply(context.Background(), s); again || err != nil {
		t.Error("a second time:", again, err)
	}
}

// TestTheTimeoutHoldsInShells: what is written works in bash, twice over, and
// disturbs no other shell.
func TestTheTimeoutHoldsInShells(t *testing.T) {
	needs(t, "bash", "dash")
	files := healthy()
	files["/etc/profile"] = "umask 022\n"
	s := build(t, files)
	for _, rule := range []string{"session-timeout", "default-umask"} {
		if _, err := resource(t, "accounts: {"+rule+": {}}").Apply(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	script := ""
	for _, name := range []string{"timeout", "umask"} {
		text, err := system.ReadFile(s, "/etc/profile.d/zz-imgbuild-"+name+".sh", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		script += string(text)
	}
	script += script // as a shell within a shell reads it
	for shell, want := range map[string]string{"bash": "0027\ndeclare -rx TMOUT=\"900\"\n", "dash": "0027\n"} {
		out, err := exec.Command(shell, "-c", script+"umask\nif [ \"${BASH_VERSION-}\" ]; then declare -p TMOUT; fi\n").CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s says %q, want %q: %v", shell, out, want, err)
		}
	}
}

// FuzzSweeps takes any text for the files that rules read.
func FuzzSweeps(f *testing.F) {
	f.Add("umask 022\nPATH=$PATH:.\nTMOUT=5 x\nif a; then 'umask' \"0\\\n77\"; fi # x\n", "a:$1$x:5:0::/home/ann:\n", "a::1:::::\n")
	f.Add("export TMOUT=9;declare -xr TMOUT\n\tumask 0 \\\n", "root:x:0:0:::\n", "root:*:::::::\n")
	f.Fuzz(func(t *testing.T, profile, passwd, shadow string) {
		files := healthy()
		files["/etc/profile"], files["/etc/login.defs"] = profile, profile
		files["/etc/passwd"] += passwd
		files["/etc/shadow"] += shadow
		for _, recipe := range []string{
			"accounts: {root-path: {}}", "accounts: {default-umask: {}}", "accounts: {session-timeout: {}}", "accounts: {home-directories: {}}",
			"accounts: {passwords-shadowed: {}}", "accounts: {no-empty-passwords: {}}", "accounts: {unique-uids: {}}", "ageing: {all: {max-days: {at-most: 5}}}",
		} {
			r, s, ctx := resource(t, recipe), build(t, files), context.Background()
			if _, err := r.Apply(ctx, s); err != nil {
				continue
			}
			if again, err := r.Apply(ctx, s); again || err != nil {
				t.Fatalf("%s a second time: %v, %v", recipe, again, err)
			}
		}
	})
}
