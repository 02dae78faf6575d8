package audit_test

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/audit"
	"imgbuild/provisioners/system"
)

func decode(t *testing.T, text string) *audit.Rules {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func memory(t *testing.T, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		mode := fs.FileMode(0o644)
		if strings.Contains(text, "setuid") {
			mode |= fs.ModeSetuid | 0o111
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: mode}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestOneMeaningHasOneForm has lines in groups: all of a group mean the same,
// those of two groups do not.
func TestOneMeaningHasOneForm(t *testing.T) {
	groups := [][]string{
		{"-w /etc/passwd -p wa -k id", "-w /etc/passwd/ -k id -p aw", "  -w\t/etc/passwd  -p wa -k id"},
		{"-w /etc/passwd -k id", "-w /etc/passwd -p rwxa -k id"},
		{"-w /etc/passwd -p wa"},
		{
			"-a always,exit -F arch=b64 -S chmod,fchmod -F auid>=1000 -F auid!=-1 -k perm_mod",
			"-a exit,always -F arch=x86_64 -F auid!=unset -S fchmod -S chmod -F auid>=1000 -F key=perm_mod",
			"-a always,exit -F auid!=4294967295 -F arch=b64 -F loginuid>=1000 -S fchmod,chmod -k perm_mod",
		},
		{"-a always,exit -F arch=b32 -S chmod,fchmod -F auid>=1000 -F auid!=-1 -k perm_mod"},
		{"-a always,exit -F arch=b64 -S chmod -F auid>=1000 -F auid!=-1 -k perm_mod"},
		{"-A always,exit -F arch=b64 -S chmod -F auid>=1000 -F auid!=-1 -k perm_mod"},
		{"-a always,exit -F arch=b64 -S execve -C uid!=euid -F auid!=-1 -k x", "-a always,exit -F arch=b64 -C euid!=uid -F auid!=unset -S execve -F key=x"},
		{"-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=unset -k p", "-a always,exit -S all -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=-1 -F key=p"},
		{"-a always,exit -F arch=b64 -S open -F exit=-EACCES -k a", "-a always,exit -F arch=b64 -S open -F exit=-13 -k a"},
		{"-a always,exit -F arch=b64 -S open -F uid=root -F success=no", "-a always,exit -F arch=b64 -S open -F success=0 -F uid=0"},
		{"-e 2"}, {"-e 1"}, {"-b 8192", "-b 0x2000"}, {"--backlog_wait_time 60000"}, {"-D"}, {"", "# a comment", "  # another"},
	}
	form := func(line string) string {
		r, err := audit.Parse(line)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		again, err := audit.Parse(r.String())
		if diff := cmp.Diff(r, again); diff != "" || err != nil {
			t.Errorf("%q, written as %q: %v\n%s", line, r, err, diff)
		}
		return r.String()
	}
	seen := map[string]string{}
	for _, group := range groups {
		for _, line := range group {
			if form(line) != form(group[0]) {
				t.Errorf("%q and %q: %q and %q", group[0], line, form(group[0]), form(line))
			}
		}
		if other, taken := seen[form(group[0])]; taken {
			t.Errorf("%q and %q mean the same", other, group[0])
		}
		seen[form(group[0])] = group[0]
	}
}

// wrong are lines that auditctl refuses.
var wrong = []string{
	"-w etc/passwd -p wa", "-w /etc/../passwd", "-w /etc/* -p wa", "-w /etc/passwd -p wz", "-a never,task -k x", "-a always", "-a always,exits",
	"-a always,exit -F auid>>1000", "-a always,exit -F auidd=0", "-a always,exit -F arch=b65", "-a always,exit -S open -F arch=b64",
	"-a always,exit -F perm=q", "-a always,exit -C uid!=pid", "-k key", "-x", "-a always,exit -F exit=-ENOTHERE", "-a always,exit -S",
	"-a always,exit -F path=relative", "-b many", "-f 3",
}

func TestWhatIsNoRuleIsAnError(t *testing.T) {
	for _, line := range append([]string{"-D -k x", "-e 3", "-w /etc/passwd -S open"}, wrong...) {
		if line == "-a always,exit -F exit=-ENOTHERE" {
			continue // which errors there are is a matter of the kernel
		}
		if r, err := audit.Parse(line); err == nil {
			t.Errorf("%q is accepted as %q", line, r)
		}
	}
}

const compiled = "/etc/audit/audit.rules"

// agreed makes a system whose compiled file is what rules.d says.
func agreed(t *testing.T, lines string, more map[string]string) *system.Memory {
	files := map[string]string{"/etc/audit/rules.d/50-a.rules": lines, compiled: audit.Compile([]audit.Source{{Name: "50-a.rules", Text: lines}}, false)}
	for name, text := range more {
		files[name] = text
	}
	return memory(t, files)
}

func TestCheck(t *testing.T) {
	const chmods = "c: {rules: ['-a always,exit -F arch=b64 -S chmod,fchmod -F auid>=1000 -k m']}"
	for _, c := range []struct {
		name, rules string
		sys         *system.Memory
		want        []string
	}{
		{"spread over rules", chmods, agreed(t, "-a always,exit -F arch=b64 -S chmod,chown -F auid>=1000 -k m\n-a always,exit -F arch=b64 -F auid>=1000 -S fchmod -k m\n", nil), nil},
		{"one call missing", chmods, agreed(t, "-a always,exit -F arch=b64 -S chmod -F auid>=1000 -k m\n", nil),
			[]string{"/etc/audit/rules.d is missing, should be -a always,exit -F arch=b64 -S fchmod -F auid>=1000 -k m"}},
		{"all calls", chmods, agreed(t, "-a always,exit -F arch=b64 -S all -F auid>=1000 -k m\n", nil), nil},
		{"another key", chmods, agreed(t, "-a always,exit -F arch=b64 -S chmod,fchmod -F auid>=1000 -k n\n", nil),
			[]string{"/etc/audit/rules.d is missing, should be -a always,exit -F arch=b64 -S chmod,fchmod -F auid>=1000 -k m"}},
		{"a file watched", "w: {rules: [-w /etc/motd -p wa]}", agreed(t, "-a always,exit -F path=/etc/motd -F perm=aw\n", map[string]string{"/etc/motd": ""}), nil},
		{"a directory watched", "w: {rules: [-w /etc/x -p wa]}", agreed(t, "-a always,exit -F dir=/etc/x -F perm=aw\n", map[string]string{"/etc/x/y": ""}), nil},
		{"a directory's inode alone", "w: {rules: [-w /etc/x -p wa]}", agreed(t, "-a always,exit -F path=/etc/x -F perm=aw\n", map[string]string{"/etc/x/y": ""}),
			[]string{"/etc/audit/rules.d is missing, should be -a always,exit -F dir=/etc/x -F perm=aw"}},
		{"deleted again", "w: {rules: [-w /etc/motd -p wa]}", agreed(t, "-w /etc/motd -p wa\n-W /etc/motd -p wa\n", nil),
			[]string{"/etc/audit/rules.d is missing, should be -a always,exit -F path=/etc/motd -F perm=aw"}},
		{"the last setting wins", "l: {rules: [-e 2]}", agreed(t, "-e 2\n-e 1\n", nil), []string{"/etc/audit/rules.d is -e 1, should be -e 2"}},
		{"silenced", "w: {rules: [-w /etc/motd -p wa]}", agreed(t, "-a never,task\n-w /etc/motd -p wa\n", nil),
			[]string{`/etc/audit/rules.d:5 is "-a never,task", should be no rule that silences all others`}},
		{"twice", "w: {rules: [-w /etc/motd -p wa]}", agreed(t, "-w /etc/motd -p wa\n-w /etc/motd -p aw\n", nil),
			[]string{`/etc/audit/rules.d:6 is "-w /etc/motd -p aw" again, should be no rule twice, where auditctl stops`}},
		{"twice on purpose", "w: {rules: [-w /etc/motd -p wa]}", agreed(t, "-i\n-w /etc/motd -p wa\n-w /etc/motd -p aw\n", nil), nil},
		{"not compiled", "w: {rules: [-w /etc/motd -p wa]}", memory(t, map[string]string{"/etc/audit/rules.d/a.rules": "-w /etc/motd -p wa\n"}),
			[]string{"/etc/audit/audit.rules is absent, should be what augenrules makes of /etc/audit/rules.d"}},
		{"compiled long ago", "w: {rules: [-w /etc/motd -p wa]}", agreed(t, "-w /etc/motd -p wa\n", map[string]string{compiled: "-D\n"}), []string{
			"/etc/audit/audit.rules is different, should be what augenrules makes of /etc/audit/rules.d",
			"/etc/audit/audit.rules is missing, should be -a always,exit -F path=/etc/motd -F perm=aw",
		}},
		{"compiled by another awk", "l: {rules: [-e 2]}", memory(t, map[string]string{"/etc/audit/rules.d/a.rules": "-e 2\n -b 1\n", compiled: "\n -b 1\n\n\n-e 2\n"}), nil},
		{"setuid files", "p: {setuid: true, key: privileged}", agreed(t, "-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=-1 -k other\n", map[string]string{
			"/usr/bin/su": "setuid", "/usr/bin/sudo": "setuid", "/home/x": "setuid", "/tmp/x": "setuid", "/etc/fstab": "a / ext4 rw\nb /home ext4 nosuid\nc /tmp tmpfs rw,noexec\n",
		}), []string{"/etc/audit/rules.d is missing, should be -a always,exit -F auid!=unset -F auid>=1000 -F path=/usr/bin/sudo -F perm=x -k privileged"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			r := decode(t, c.rules)
			found, err := r.Check(ctx, c.sys)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range found {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			changed, err := r.Apply(ctx, c.sys)
			if c.name == "silenced" || c.name == "twice" {
				if err == nil {
					t.Error("another file's rule is in the way, and nobody is told")
				}
				return
			}
			if err != nil || changed != (len(c.want) > 0) {
				t.Fatalf("%v, %v", changed, err)
			}
			if left, err := r.Check(ctx, c.sys); len(left) > 0 || err != nil {
				t.Errorf("after it was applied: %v, %v", left, err)
			}
			if changed, err := r.Apply(ctx, c.sys); changed || err != nil {
				t.Errorf("a second time: %v, %v", changed, err)
			}
		})
	}
}

func TestRulesThatCannotBeReadAreAnError(t *testing.T) {
	for _, files := range []map[string]string{
		{"/etc/audit/rules.d/a.rules": "-w nowhere\n"}, {compiled: "nonsense\n"}, {"/etc/audit/rules.d/a b.rules": "-e 2\n"},
		{"/usr/bin/a b": "setuid"},
	} {
		if d, err := decode(t, "p: {rules: [-e 1], setuid: true}").Check(context.Background(), memory(t, files)); err == nil {
			t.Errorf("%v: %v", files, d)
		}
	}
}

// TestSetuidRulesAreOfTheFormThatAuditorsLookFor pins the text.
func TestSetuidRulesAreOfTheFormThatAuditorsLookFor(t *testing.T) {
	s := memory(t, map[string]string{"/usr/bin/sudo": "setuid", "/usr/bin/su": "setuid"})
	if _, err := decode(t, "privileged: {setuid: true}").Apply(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	got, err := system.ReadFile(s, "/etc/audit/rules.d/50-privileged.rules", 1<<10)
	want := "-a always,exit -F path=/usr/bin/su -F perm=x -F auid>=1000 -F auid!=unset -k privileged\n" +
		"-a always,exit -F path=/usr/bin/sudo -F perm=x -F auid>=1000 -F auid!=unset -k privileged\n"
	if string(got) != want || err != nil {
		t.Errorf("%v\n%s", err, got)
	}
}

func FuzzParse(f *testing.F) {
	for _, line := range append([]string{"-w /etc/passwd -p wa -k id", "-a always,exit -F arch=b64 -S execve -C uid!=euid -F auid!=-1 -k x", "-e 2", "# x"}, wrong...) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := audit.Parse(line)
		if err != nil {
			return
		}
		again, err := audit.Parse(r.String())
		if diff := cmp.Diff(r, again); diff != "" || err != nil {
			t.Fatalf("%q, written as %q: %v\n%s", line, r, err, diff)
		}
		audit.Evaluate([]audit.Line{{Rule: r}, {Rule: again}})
	})
}
