package sudo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/provisioners/system"
)

// rulesFile draws a file of rules in the forms that people write.
func rulesFile(r *rand.Rand) string {
	var b strings.Builder
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	gap := func() string { return pick(" ", " ", "\t", "  ", " \\\n   ") }
	b.WriteString("User_Alias OPS = alice, %ops, #1005, \"a b\"\nHost_Alias WEB = web1, 10.0.0.0/8, fe80::1\nCmnd_Alias SHELLS = /bin/sh, /bin/bash -c *, !/bin/dash\n")
	for range 2 + r.IntN(8) {
		switch r.IntN(3) {
		case 0:
			b.WriteString("Defaults" + pick("", "", "@web1", ":bob", "!/bin/ls", ">root"))
			for i := range 1 + r.IntN(3) {
				if i > 0 {
					b.WriteString(pick(",", " ,", ", "))
				}
				b.WriteString(pick(" ", gap()) + pick("use_pty", "!use_pty", "!authenticate", "authenticate", "timestamp_timeout=5", "timestamp_timeout = -1",
					"logfile=/var/log/sudo.log", "logfile=\"/var/log/my sudo.log\"", "env_keep += \"A B\"", "!logfile", "passwd_tries=2", "badpass_message=\"no # no, no\""))
			}
		case 1:
			b.WriteString("# " + pick("a comment", "bob ALL = NOPASSWD: ALL", "Defaults !use_pty", "ends in a backslash \\"))
		default:
			b.WriteString(pick("bob", "OPS", "%wheel", "#1000", "bob, carol", "\"d e\"", "!root,ALL") + gap() + pick("ALL", "WEB", "web1,db") + pick("=", " = "))
			for i := range 1 + r.IntN(3) {
				if i > 0 {
					b.WriteString(pick(",", ", ", ","+gap()))
				}
				b.WriteString(pick("", "(root)", "(ALL:ALL) ", "(:adm) ") +
					// Without CWD= and the like, of which cvtsudoers 1.9.13 makes no JSON.
					pick("", "NOPASSWD:", "NOPASSWD: ", "NOEXEC:NOPASSWD: ", "PASSWD: ", "SETENV: NOPASSWD : ") +
					pick("ALL", "SHELLS", "/bin/ls", "/bin/a b\\, c\\:d\\=e", "!/bin/su", "/usr/bin/x \"\"", "sha224:"+strings.Repeat("0a", 28)+" /bin/y", "sudoedit /etc/x"))
			}
			if r.IntN(4) == 0 {
				b.WriteString(pick(" : ", ":") + "other = " + pick("", "NOPASSWD: ") + "/bin/z")
			}
		}
		b.WriteString(pick("\n", "\n", "\n\n", " # end\n"))
	}
	return b.String()
}

// TestRulesAreThoseOfSudo draws rules and compares what the resources find in
// them with what cvtsudoers(1) does, and has visudo(8) judge what they leave.
func TestRulesAreThoseOfSudo(t *testing.T) {
	for _, tool := range []string{"visudo", "cvtsudoers"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " is not installed")
		}
	}
	dir := t.TempDir()
	valid := 0
	for seed := range uint64(80) {
		text := rulesFile(rand.New(rand.NewPCG(seed, 7)))
		name := filepath.Join(dir, "sudoers")
		if err := os.WriteFile(name, []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(name)
		want, err := export(name)
		if err != nil {
			t.Logf("seed %d: %v\n%s", seed, err, text)
			continue
		}
		valid++
		s, ctx := memory(t, map[string]string{"/etc/sudoers": text}), context.Background()
		for recipe, count := range map[string]int{
			"NOPASSWD: absent": want.tags, "'!authenticate': absent": want.off["authenticate"], "'!use_pty': absent": want.off["use_pty"],
			"logfile: absent": want.all["logfile"], "env_keep: absent": want.all["env_keep"], "timestamp_timeout: absent": want.all["timestamp_timeout"],
		} {
			d, err := setting(t, recipe).Check(ctx, s)
			if err != nil || (recipe != "NOPASSWD: absent" && len(d) != count) || (len(d) > 0) != (count > 0) {
				t.Errorf("seed %d: %s: %d differences, cvtsudoers has %d: %v\n%s", seed, recipe, len(d), count, err, text)
			}
		}
		for _, recipe := range []string{"NOPASSWD: absent", "'!authenticate': absent", "use_pty: {}", "logfile: /var/log/sudo.log", "timestamp_timeout: {at-most: 15}"} {
			if _, err := setting(t, recipe).Apply(ctx, s); err != nil {
				t.Fatalf("seed %d: %s: %v\n%s", seed, recipe, err, text)
			}
		}
		after := concatenated(t, s)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(after), 0o440); err != nil {
			t.Fatal(err)
		}
		got, err := export(name)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s\nbecame\n%s", seed, err, text, after)
		}
		if got.tags > 0 || got.off["authenticate"] > 0 || got.all["use_pty"] == 0 || got.rules != want.rules {
			t.Errorf("seed %d: sudo reads %+v\n%s\nbecame\n%s", seed, got, text, after)
		}
	}
	if valid < 70 {
		t.Errorf("only %d of the drawn files are valid", valid)
	}
}

// concatenated is what sudo would read, in one file.
func concatenated(t *testing.T, s *system.Memory) string {
	t.Helper()
	main, err := system.ReadFile(s, "/etc/sudoers", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	own, err := system.ReadFile(s, "/etc/sudoers.d/00-imgbuild", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Replace(string(main), "@includedir /etc/sudoers.d\n", string(own), 1)
}

// found is what sudo's own reader counts.
type found struct {
	tags, rules int
	off, all    map[string]int
}

func export(name string) (*found, error) {
	if out, err := exec.Command("visudo", "-c", "-q", "-f", name).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("visudo: %w: %s", err, out)
	}
	out, err := exec.Command("cvtsudoers", "-c", "/dev/null", "-f", "json", "-i", "sudoers", name).Output()
	if err != nil {
		return nil, fmt.Errorf("cvtsudoers: %w", err)
	}
	var all struct {
		Defaults  []struct{ Options []map[string]any }
		UserSpecs []struct {
			Specs []struct {
				Options  []map[string]any
				Commands []any
			} `json:"Cmnd_Specs"`
		} `json:"User_Specs"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, err
	}
	f := &found{off: map[string]int{}, all: map[string]int{}}
	for _, d := range all.Defaults {
		for _, o := range d.Options {
			for key, value := range o {
				switch key {
				case "operation":
				default:
					f.all[key]++
					if value == false {
						f.off[key]++
					}
				}
			}
		}
	}
	for _, u := range all.UserSpecs {
		for _, s := range u.Specs {
			f.rules += len(s.Commands)
			for _, o := range s.Options {
				if o["authenticate"] == false {
					f.tags++
				}
			}
		}
	}
	return f, nil
}
