package setting_test

import (
	"context"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/setting"
	"imgbuild/provisioners/system"
)

// FuzzSetting gives a key a value in any text: no text harms the program, what
// was applied holds and needs no second time, and of the lines that were there
// no more than the key's are gone.
func FuzzSetting(f *testing.F) {
	for _, text := range []string{
		"A 1\n", "#A 2\nB 3", "PASS_MAX_DAYS 4\n", "deny = 9\n", "freq = 5\n", "FIRST_UID = 1\n", "INACTIVE=7", "A=`b`\nB=${A:=c}", "A = \"x\n", "[S]\nA=1 \\\n# c\n2", "[S]\n;A=1\n[", "* hard core 1\n@a -\n* - core 2", "export A='\\", "\"", "\ufeff[S]\r\nA=\r\n", "A\n=\n", "A = $B\n C\nB = ${A?1}\n",
	} {
		for format := range byte(14) {
			f.Add(text, format)
		}
	}
	f.Fuzz(func(t *testing.T, text string, format byte) {
		form := []struct{ path, format, key string }{
			{"/etc/login.defs", "words", "PASS_MAX_DAYS"},
			{"/etc/security/faillock.conf", "equals", "deny"},
			{"/etc/default/x", "equals", "A"},
			{"/etc/audit/auditd.conf", "equals", "freq"},
			{"/etc/systemd/x.conf", "ini", "S.A"},
			{"/etc/security/limits.conf", "limits", "* hard core"},
			{"/etc/postfix/main.cf", "equals", "A"},
			{"/etc/adduser.conf", "equals", "FIRST_UID"},
			{"/etc/default/useradd", "equals", "INACTIVE"},
			{"/etc/gdm3/daemon.conf", "ini", "S.A"},
			{"/etc/chrony/chrony.conf", "words", "maxsamples"},
			{"/etc/apt/apt.conf", "words", "A"},
			{"/boot/grub/grub.cfg", "equals", "A"},
			{"/etc/security/pwquality.conf", "equals", "minlen"},
		}[format%14]
		s := system.NewMemory()
		if err := system.MkdirAll(s, "/etc/systemd"); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"/etc/security", "/etc/default", "/etc/audit", "/etc/postfix", "/etc/gdm3", "/etc/chrony", "/etc/apt", "/boot", "/boot/grub"} {
			if err := s.Mkdir(dir, system.Attr{Mode: 0o755}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.WriteFile(form.path, strings.NewReader(text), system.Attr{Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		scalar := func(text string) *node.Node { return &node.Node{Kind: node.String, Text: text} }
		r, err := setting.New(node.Entry{Key: "x", Value: &node.Node{Kind: node.Map, Entries: []node.Entry{
			{Key: "path", Value: scalar(form.path)}, {Key: "format", Value: scalar(form.format)},
			{Key: "key", Value: scalar(form.key)}, {Key: "at-most", Value: scalar("3")},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		found, err := r.Check(ctx, s)
		if err != nil {
			return
		}
		changed, err := r.Apply(ctx, s)
		if err != nil {
			t.Fatalf("applying to %q: %v", text, err)
		}
		if changed != (len(found) > 0) {
			t.Fatalf("%d differences and changed is %v", len(found), changed)
		}
		if again, err := r.Apply(ctx, s); again || err != nil {
			t.Fatalf("a second time: %v, %v", again, err)
		}
		after, err := system.ReadFile(s, form.path, 1<<21)
		if err != nil {
			t.Fatal(err)
		}
		gone := 0
		for _, line := range edit.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); !strings.Contains(string(after), line) {
				gone++
			}
		}
		if form.path == "/etc/login.defs" && gone > 1 {
			t.Errorf("%d lines of %q are gone from %q", gone, text, after)
		}
	})
}

// FuzzRules writes a rule and a policy into any text: none harms the program, and
// what was applied is read again.
func FuzzRules(f *testing.F) {
	for _, text := range []string{
		rules4(""), rules4("-A INPUT -i lo -j DROP\n-A INPUT -j own\n"), rules4("-A own ! -s 1.2.3.4 -m comment --comment \"a \\\" b\" -j LOG --log-prefix x\n"), "*filter\nCOMMIT", "*nat\n:INPUT - [0:0]\n", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, key := range []string{"filter INPUT", "filter INPUT -i lo -p tcp"} {
			s := memory(t, map[string]string{rulesV4: text})
			r := newSetting(t, "path: "+rulesV4+", format: iptables, key: "+key+", value: ACCEPT")
			if _, err := r.Check(t.Context(), s); err != nil {
				return
			}
			if _, err := r.Apply(t.Context(), s); err != nil && !strings.Contains(err.Error(), "leaves a difference") {
				t.Fatalf("%s of %q: %v", key, text, err)
			} else if again, err2 := r.Apply(t.Context(), s); err == nil && (again || err2 != nil) {
				t.Fatalf("%s of %q a second time: %v, %v", key, text, again, err2)
			}
		}
	})
}
