package sudo_test

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/sudo"
	"imgbuild/provisioners/system"
)

func memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o440}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func setting(t testing.TB, recipe string) *sudo.Setting {
	t.Helper()
	n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(recipe))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sudo.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const stock = "Defaults\tenv_reset\nDefaults\tsecure_path=\"/usr/sbin:/usr/bin\"\n# a comment \\\nroot\tALL=(ALL:ALL) ALL\n%sudo\tALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n"

// TestRulesAreReadAsSudoReadsThem judges rules in the forms of sudoers(5); want
// is a part of the first difference, "" for none.
func TestRulesAreReadAsSudoReadsThem(t *testing.T) {
	for _, c := range []struct {
		name, recipe, main, dropIn string
		want                       string
	}{
		{"flag", "use_pty: {}", "Defaults use_pty\n", "", ""},
		{"missing", "use_pty: {}", stock, "", "without use_pty"},
		{"negated later", "use_pty: {}", "Defaults use_pty\n@includedir /etc/sudoers.d\n", "Defaults !use_pty\n", "/etc/sudoers.d/app:1"},
		{"negated before", "use_pty: {}", "Defaults !use_pty, use_pty\n", "", ""},
		{"negated twice", "use_pty: {}", "Defaults !!use_pty\n", "", ""},
		{"negated for some", "use_pty: {}", "Defaults use_pty\nDefaults:%ops, bob !use_pty\n", "", "Defaults:%ops, bob is !use_pty"},
		{"for some only", "use_pty: {}", "Defaults@web use_pty\n", "", "without use_pty"},
		{"commented", "use_pty: {}", "# Defaults use_pty\n", "", "without use_pty"},
		{"off", "visiblepw: {off: true}", "Defaults !visiblepw\n", "", ""},
		{"value", "logfile: /var/log/sudo.log", "Defaults a, logfile = /var/log/sudo.log , b\n", "", ""},
		{"quoted", "logfile: /var/log/sudo.log", "Defaults logfile=\"/var/log/sudo.log\"\n", "", ""},
		{"other value", "logfile: /var/log/sudo.log", "Defaults logfile=/tmp/x\n", "", `logfile="/tmp/x"`},
		{"continued", "logfile: /var/log/sudo.log", "Defaults env_reset, \\\n\tlogfile=\\\n/var/log/sudo.log\n", "", ""},
		{"bound", "timestamp_timeout: {at-most: 15}", "Defaults timestamp_timeout=15\n", "", ""},
		{"fraction", "timestamp_timeout: {at-most: 15}", "Defaults timestamp_timeout=2.5\n", "", ""},
		{"high", "timestamp_timeout: {at-most: 15}", "Defaults timestamp_timeout=15.5\n", "", "15.5"},
		{"for ever", "timestamp_timeout: {at-most: 15}", "Defaults timestamp_timeout=-1\n", "", `"-1"`},
		{"each time", "timestamp_timeout: {at-most: 15}", "Defaults !timestamp_timeout\n", "", ""},
		{"list", "env_keep: absent", "Defaults env_keep += \"A B\"\n", "", "env_keep+="},
		{"no password", "'!authenticate': absent", "Defaults:deploy !authenticate\n", "", "!authenticate"},
		{"password", "'!authenticate': absent", "Defaults:deploy authenticate\n", "", ""},
		{"tag", "NOPASSWD: absent", stock, "deploy ALL=(root) NOPASSWD: /bin/a\n", "/etc/sudoers.d/app:1: rule of deploy is with NOPASSWD"},
		{"second tag", "NOPASSWD: absent", stock, "a, %b web = (x) /bin/a, NOEXEC:NOPASSWD : /bin/b : db = /bin/c\n", "a, %b"},
		{"tag of the second host", "NOPASSWD: absent", stock, "a w = /bin/a : db = CWD=/tmp NOPASSWD:ALL\n", "with NOPASSWD"},
		{"no tag", "NOPASSWD: absent", stock, "#1000 ALL = /bin/echo NOPASSWD\\: x # NOPASSWD: x\n", ""},
		{"alias", "NOPASSWD: absent", "Cmnd_Alias A = /bin/x, sha256:abcd /bin/y : B = /bin/z\nHost_Alias H = fe80::1, 10.0.0.0/8\nx H = A, !B\n", "", ""},
		{"name with a dot", "NOPASSWD: absent", "@includedir /etc/other\n", "", ""},
		{"old include", "NOPASSWD: absent", "#include /etc/sudoers.d/app\n", "x ALL = NOPASSWD: ALL\n", "with NOPASSWD"},
		{"by host", "NOPASSWD: absent", "@include sudoers.%h\n", "", "with NOPASSWD"},
		{"quoted user", "NOPASSWD: absent", "\"a user\" ALL = (ALL) NOPASSWD: ALL\n", "", "with NOPASSWD"},
		{"missing include", "NOPASSWD: absent", "@include /etc/gone\n", "", "error"},
		{"circle", "NOPASSWD: absent", "@include /etc/sudoers\n", "", "error"},
		{"broken rule", "NOPASSWD: absent", "deploy NOPASSWD\n", "", "error"},
		{"no command", "NOPASSWD: absent", "deploy ALL = NOPASSWD:\n", "", "error"},
		{"open quote", "use_pty: {}", "Defaults logfile=\"x\n", "", "error"},
		{"misspelt tag", "NOPASSWD: absent", "deploy ALL = NOPASWD: ALL\n", "", "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{
				"/etc/sudoers": c.main, "/etc/hostname": "web.example\n", "/etc/sudoers.web": "x ALL = NOPASSWD: ALL\n",
				"/etc/other/a.conf": "x ALL = NOPASSWD: ALL\n", "/etc/other/b~": "x ALL = NOPASSWD: ALL\n",
			}
			if c.dropIn != "" {
				files["/etc/sudoers.d/app"] = c.dropIn
			}
			d, err := setting(t, c.recipe).Check(context.Background(), memory(t, files))
			got := ""
			if err != nil {
				got = "error"
			} else if len(d) > 0 {
				got = d[0].String()
			}
			if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
				t.Errorf("got %q, want %q: %v", got, c.want, err)
			}
		})
	}
}

// TestOnlyWhatContradictsIsTakenOut: all other bytes stay.
func TestOnlyWhatContradictsIsTakenOut(t *testing.T) {
	own := "# The settings of sudo that the image's recipe asks for.\n"
	for _, c := range []struct {
		name, recipe, file, before, after, own string
	}{
		{"added", "use_pty: {}", "/etc/sudoers", stock, stock, own + "Defaults use_pty\n"},
		{"of several", "use_pty: {}", "/etc/sudoers.d/app", "Defaults a, !use_pty, b # x\nDefaults !use_pty, \\\n c\n", "Defaults a, b # x\nDefaults c\n", own + "Defaults use_pty\n"},
		{"alone", "use_pty: {}", "/etc/sudoers.d/app", "a ALL=ALL\nDefaults>root \\\n !use_pty\nb ALL=ALL", "a ALL=ALL\nb ALL=ALL", own + "Defaults use_pty\n"},
		{"bound", "timestamp_timeout: {at-most: 15}", "/etc/sudoers", "Defaults timestamp_timeout=60, use_pty\n@includedir /etc/sudoers.d\n", "Defaults use_pty\n@includedir /etc/sudoers.d\n", own + "Defaults timestamp_timeout=15\n"},
		{"not included", "logfile: /var/log/sudo.log", "/etc/sudoers", "root ALL=(ALL) ALL", "root ALL=(ALL) ALL\n@includedir /etc/sudoers.d\n", own + "Defaults logfile=\"/var/log/sudo.log\"\n"},
		{"tags", "NOPASSWD: absent", "/etc/sudoers.d/app", "a ALL=(root) NOPASSWD: /bin/a, NOEXEC: NOPASSWD:/bin/b, \\\n  NOPASSWD :\\\n /bin/c\n", "a ALL=(root) /bin/a, NOEXEC: /bin/b, \\\n  /bin/c\n", ""},
		{"nowhere negated", "'!authenticate': absent", "/etc/sudoers.d/app", "Defaults:x !authenticate, use_pty\nDefaults !authenticate\n", "Defaults:x use_pty\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"/etc/sudoers": stock, c.file: c.before}
			s, ctx := memory(t, files), context.Background()
			r := setting(t, c.recipe)
			if changed, err := r.Apply(ctx, s); !changed || err != nil {
				t.Fatal(changed, err)
			}
			for name, want := range map[string]string{c.file: c.after, "/etc/sudoers.d/00-imgbuild": c.own} {
				got, err := system.ReadFile(s, name, 1<<20)
				if string(got) != want || err != nil && want != "" {
					t.Errorf("%s is %q, want %q: %v", name, got, want, err)
				}
				if info, err := s.Stat(name); err == nil && info.Mode.Perm() != 0o440 {
					t.Errorf("%s has mode %s", name, info.Mode)
				}
			}
			if changed, err := r.Apply(ctx, s); changed || err != nil {
				t.Error("a second time", changed, err)
			}
		})
	}
}

func TestMistakesAreRefused(t *testing.T) {
	for recipe, want := range map[string]string{
		"NOPASWD: absent":                      `did you mean "NOPASSWD"?`,
		"NOPASSWD: {}":                         "can be absent only",
		"'!authenticate': 'on'":                "can be absent only",
		"logfile: ''":                          "empty value",
		"logfile: \"a\\\"b\"":                  "no quotes",
		"x: {at-least: 5, at-most: 4}":         "at most 4 is less than at least 5",
		"x: {value: a, at-most: 4}":            "is not at most 4",
		"x: {off: true, value: a}":             `nothing goes with "off"`,
		"timestamp_timeout: {at-mots: 3}":      `did you mean "at-most"?`,
		"\"a\\nroot ALL\": {}":                 "neither a setting",
		"env_keep: {absent: true, value: abc}": `"value" does not go with "absent"`,
	} {
		n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(recipe))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sudo.New(n.Entries[0]); err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", recipe, err, want)
		}
	}
}

// FuzzRules takes any text for rules: what was mended holds.
func FuzzRules(f *testing.F) {
	for _, text := range []string{
		stock, "a ALL=(root) NOPASSWD: /bin/a, \\\n !use_pty : b = ALL\n", "Defaults:a,b !use_pty, logfile=\"x \\\" y\"\n", "#1 ALL=ALL#x\n", "User_Alias A = \"x y\", %#5 : B = c\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, recipe := range []string{"use_pty: {}", "timestamp_timeout: {at-most: 5}", "'!use_pty': absent", "NOPASSWD: absent", "logfile: /x"} {
			s, r := memory(t, map[string]string{"/etc/sudoers": text}), setting(t, recipe)
			if _, err := r.Apply(context.Background(), s); err != nil {
				continue
			}
			if d, err := r.Check(context.Background(), s); len(d) > 0 || err != nil {
				t.Fatalf("%s: %v, %v", recipe, d, err)
			}
		}
	})
}

// TestFilesThatSudoRefuses say nothing, whatever stands in them: they are told.
func TestFilesThatSudoRefuses(t *testing.T) {
	const dropIn = "/etc/sudoers.d/app"
	for _, c := range []struct {
		name, file string
		attr       system.Attr
		want       string
	}{
		{"as it should be", dropIn, system.Attr{Mode: 0o440}, ""},
		{"read by all", dropIn, system.Attr{Mode: 0o444}, ""},
		{"written by root's group", dropIn, system.Attr{Mode: 0o660}, ""},
		{"written by another group", dropIn, system.Attr{Mode: 0o660, GID: 27}, dropIn + " is of mode 0660"},
		{"written by all", dropIn, system.Attr{Mode: 0o442}, dropIn + " is of mode 0442"},
		{"another's", dropIn, system.Attr{Mode: 0o440, UID: 1000}, dropIn + " is of 1000"},
		{"the main file is another's", "/etc/sudoers", system.Attr{Mode: 0o440, UID: 1000}, "/etc/sudoers is of 1000"},
	} {
		s, ctx := memory(t, map[string]string{"/etc/sudoers": "@includedir /etc/sudoers.d\n", dropIn: "Defaults use_pty\n"}), context.Background()
		if err := s.Chown(c.file, c.attr.UID, c.attr.GID); err != nil {
			t.Fatal(err)
		}
		if err := s.Chmod(c.file, c.attr.Mode); err != nil {
			t.Fatal(err)
		}
		r := setting(t, "use_pty: {}")
		d, err := r.Check(ctx, s)
		if got := fmt.Sprint(d); err != nil || (c.want == "") != (len(d) == 0) || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, %v, want %q", c.name, got, err, c.want)
		}
		if changed, err := r.Apply(ctx, s); changed || (err == nil) != (c.want == "") {
			t.Errorf("%s: changed %v, %v", c.name, changed, err)
		}
	}
}

// TestRulesElsewhereWithoutAnyHere has no sudoers(5), and rules in another file.
func TestRulesElsewhereWithoutAnyHere(t *testing.T) {
	s := memory(t, map[string]string{"/etc/sudo.conf": "Plugin sudoers_policy sudoers.so sudoers_file=/srv/rules\n"})
	if d, err := setting(t, "NOPASSWD: absent").Check(t.Context(), s); err != nil || len(d) != 1 {
		t.Errorf("%v, %v", d, err)
	}
}

// TestOtherPoliciesAreTold are of sudo.conf(5).
func TestOtherPoliciesAreTold(t *testing.T) {
	for conf, want := range map[string]string{
		"": "", "# Plugin sudoers_policy other.so\n": "",
		"Plugin sudoers_policy sudoers.so\nPlugin sudoers_io /usr/libexec/sudo/sudoers.so ignore_log_errors=true\n": "",
		"Plugin sudoers_policy sudoers.so sudoers_file=/etc/sudoers\n":                                              "",
		"\nPlugin sudoers_policy sudoers.so sudoers_mode=0400 sudoers_file=/srv/rules\n":                            "/etc/sudo.conf:2: Plugin is rules in /srv/rules",
		"plugin sudoers_policy \\\n other.so\n":                                                                     "/etc/sudo.conf:2: Plugin is rules of other.so",
		"Plugin sudoers_policy /tmp/sudoers.so\n":                                                                   "rules of /tmp/sudoers.so",
		"Path plugin_dir /usr/libexec/sudo/\n":                                                                      "",
		"Path plugin_dir /srv/plugins # mine\n":                                                                     "/etc/sudo.conf:1: Path is plug-ins of /srv/plugins",
		"Plugin python_policy python_plugin.so ModulePath=/srv/p.py\n":                                              "rules of python_plugin.so",
	} {
		s := memory(t, map[string]string{"/etc/sudoers": "root ALL=(ALL) ALL\n", "/etc/sudo.conf": conf})
		d, err := setting(t, "NOPASSWD: absent").Check(context.Background(), s)
		if got := fmt.Sprint(d); err != nil || (want == "") != (len(d) == 0) || !strings.Contains(got, want) {
			t.Errorf("%q: got %s, %v, want %q", conf, got, err, want)
		}
	}
}
