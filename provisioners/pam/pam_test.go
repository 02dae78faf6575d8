package pam_test

import (
	"context"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/pam"
	"imgbuild/provisioners/system"
)

func memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestStacksAreReadAsLinuxPAMReadsThem judges stacks in the forms that pam.d(5)
// knows; want is a part of the first difference, "" for none.
func TestStacksAreReadAsLinuxPAMReadsThem(t *testing.T) {
	preauth := "{stack: svc, type: auth, control: required, module: pam_faillock.so, arguments: [preauth], before: pam_unix.so}"
	remember := "{stack: svc, type: password, module: pam_pwhistory.so, at-least: {remember: 24}}"
	nullok := "{stack: svc, type: auth, module: pam_unix.so, arguments-absent: [nullok]}"
	for _, c := range []struct {
		name, recipe string
		files        map[string]string
		want         string
	}{
		{"plain", preauth, map[string]string{"svc": "auth required pam_faillock.so preauth\nauth required pam_unix.so\n"}, ""},
		{"stricter", preauth, map[string]string{"svc": "auth requisite pam_faillock.so preauth\nauth required pam_unix.so\n"}, ""},
		{"weaker", preauth, map[string]string{"svc": "auth optional pam_faillock.so preauth\n"}, "another control"},
		{"spelled out", preauth, map[string]string{"svc": "AUTH [success=ok new_authtok_reqd=ok ignore=ignore default=bad] /lib/security/pam_faillock.so preauth\n"}, ""},
		{"continued", preauth, map[string]string{"svc": "-auth \\\n  required \\ \n pam_faillock.so\\\n preauth # why\nauth required pam_unix.so\n"}, ""},
		{"continued over a comment", preauth, map[string]string{"svc": "auth required \\\n# why\n\n pam_faillock.so preauth\n"}, ""},
		{"spaces in a control", preauth, map[string]string{"svc": "auth [success = ok new_authtok_reqd=ok ignore= ignore default =bad]pam_faillock.so preauth\n"}, ""},
		{"case of a result", preauth, map[string]string{"svc": "auth [SUCCESS=ok default=bad] pam_faillock.so preauth\n"}, "error"},
		{"jump over nothing", preauth, map[string]string{"svc": "auth [success=0 default=bad] pam_faillock.so preauth\n"}, "error"},
		{"comment ends a continuation", preauth, map[string]string{"svc": "auth required pam_faillock.so # \\\npreauth\n"}, "error"},
		{"in an include", preauth, map[string]string{"svc": "@include a\n", "a": "auth include b\n", "b": "auth required pam_faillock.so preauth\nauth required pam_unix.so\n"}, ""},
		{"only for another type", preauth, map[string]string{"svc": "account include b\nauth required pam_unix.so\n", "b": "auth required pam_faillock.so preauth\n"}, "absent"},
		{"after", preauth, map[string]string{"svc": "@include a\nauth required pam_faillock.so preauth\n", "a": "auth required pam_unix.so\n"}, "after pam_unix.so"},
		{"phase", preauth, map[string]string{"svc": "auth required pam_faillock.so authfail\n"}, "other arguments"},
		{"behind a sufficient success", preauth, map[string]string{"svc": "auth sufficient pam_ldap.so\nauth required pam_faillock.so preauth\n"}, "pam_ldap.so"},
		{"behind root's", preauth, map[string]string{"svc": "auth sufficient pam_rootok.so\nauth required pam_faillock.so preauth\n"}, ""},
		{"jumped over", preauth, map[string]string{"svc": "auth [default=1] pam_permit.so\nauth required pam_faillock.so preauth\nauth required pam_unix.so\n"}, "never reached"},
		{"behind deny", preauth, map[string]string{"svc": "auth requisite pam_deny.so\nauth required pam_faillock.so preauth\n"}, "never reached"},
		{"deny jumped over", preauth, map[string]string{"svc": "auth [success=1 default=ignore] pam_x.so\nauth requisite pam_deny.so\nauth required pam_faillock.so preauth\n"}, ""},
		{"substack ends alone", preauth, map[string]string{"svc": "auth substack a\nauth required pam_faillock.so preauth\n", "a": "auth sufficient pam_permit.so\n"}, ""},
		{"include ends all", preauth, map[string]string{"svc": "auth include a\nauth required pam_faillock.so preauth\n", "a": "auth sufficient pam_permit.so\n"}, "never reached"},
		{"value", remember, map[string]string{"svc": "password required pam_pwhistory.so remember=24\n"}, ""},
		{"low value", remember, map[string]string{"svc": "password required pam_pwhistory.so remember=24 remember=5\n"}, "remember=5"},
		{"no value", remember, map[string]string{"svc": "password required pam_pwhistory.so\n"}, "without remember"},
		{"no number", remember, map[string]string{"svc": "password required pam_pwhistory.so remember=2x4\n"}, "remember=2x4"},
		{"no module", remember, map[string]string{"svc": "password required pam_unix.so\n"}, "absent"},
		{"no bad argument", nullok, map[string]string{"svc": "auth required pam_unix.so nullok_secure [nullok x]\n"}, ""},
		{"bad argument in brackets", nullok, map[string]string{"svc": "auth required [pam_unix.so] [nullok]\n"}, "with nullok"},
		{"two phases", preauth, map[string]string{"svc": "auth required pam_faillock.so preauth authsucc\nauth required pam_unix.so\n"}, "with authsucc besides"},
		{"bad argument in one of two", nullok, map[string]string{"svc": "auth required pam_unix.so\n@include a\n", "a": "auth required pam_unix.so try nullok\n"}, "with nullok"},
		{"nothing to be bad", nullok, map[string]string{"svc": "auth required pam_x.so\n"}, ""},
		{"no stack", nullok, map[string]string{"other": "auth required pam_deny.so\n"}, "without its stack"},
		{"unknown type", nullok, map[string]string{"svc": "auht required pam_unix.so\n"}, "error"},
		{"unknown control", nullok, map[string]string{"svc": "auth requird pam_unix.so\n"}, "error"},
		{"open bracket", nullok, map[string]string{"svc": "auth [success=ok pam_unix.so\n"}, "error"},
		{"missing include", nullok, map[string]string{"svc": "@include gone\n"}, "without its stack"},
		{"circle", nullok, map[string]string{"svc": "@include svc\n"}, "error"},
		{"broad circle", nullok, map[string]string{"svc": "@include svc\n@include svc\n@include svc\n"}, "error"},
		{"vendor's", nullok, map[string]string{"/usr/lib/pam.d/svc": "auth required pam_unix.so nullok\n"}, "with nullok"},
		{"vendor's is hidden", nullok, map[string]string{"/usr/lib/pam.d/svc": "auth required pam_unix.so nullok\n", "svc": "auth required pam_unix.so\n"}, ""},
		{"old file", nullok, map[string]string{"/etc/pam.conf": "SVC auth required pam_unix.so nullok\nother auth required pam_deny.so\n"}, "with nullok"},
		{"old file does not count", nullok, map[string]string{"/etc/pam.conf": "svc auth required pam_unix.so nullok\n", "svc": "auth required pam_unix.so\n"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for name, text := range c.files {
				if !path.IsAbs(name) {
					name = "/etc/pam.d/" + name
				}
				files[name] = text
			}
			d, err := line(t, "x", c.recipe).Check(context.Background(), memory(t, files))
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

// TestLinesOfOtherFilesAreEditedInPlace: all that is not the line stays.
func TestLinesOfOtherFilesAreEditedInPlace(t *testing.T) {
	su := "#\n# su\n#\nauth       sufficient pam_rootok.so\n\n# auth       required   pam_wheel.so\n\nsession    required   pam_limits.so\n@include common-auth\n"
	wheel := "{stack: su, type: auth, control: required, module: pam_wheel.so, arguments: [use_uid, group=nosu], after: pam_rootok.so, before: pam_unix.so}"
	common := "auth required pam_unix.so nullok # old\n"
	for _, c := range []struct {
		name, recipe, file, before, after string
	}{
		{"added", wheel, "su", su, strings.Replace(su, "pam_rootok.so\n", "pam_rootok.so\nauth required pam_wheel.so use_uid group=nosu\n", 1)},
		{"changed", wheel, "su", su + "", strings.Replace(su, "pam_rootok.so\n", "pam_rootok.so\nauth required pam_wheel.so use_uid group=nosu\n", 1)},
		{"options", wheel, "su", strings.Replace(su, "pam_rootok.so\n", "pam_rootok.so\nauth  required\tpam_wheel.so   group=wheel deny  # who\n", 1),
			strings.Replace(su, "pam_rootok.so\n", "pam_rootok.so\nauth  required\tpam_wheel.so group=nosu deny use_uid # who\n", 1)},
		{"continued", wheel, "su", strings.Replace(su, "pam_rootok.so\n", "pam_rootok.so\nauth required \\\n pam_wheel.so \\\n group=wheel\n", 1),
			strings.Replace(su, "pam_rootok.so\n", "pam_rootok.so\nauth required   pam_wheel.so group=nosu use_uid\n", 1)},
		{"in the include", "{stack: su, type: auth, module: pam_unix.so, arguments-absent: [nullok]}", "common-auth", common, "auth required pam_unix.so # old\n"},
		{"absent", "{stack: su, type: auth, module: pam_rootok.so, absent: true}", "su", su, strings.Replace(su, "auth       sufficient pam_rootok.so\n", "", 1)},
		{"local common file", "{stack: common-auth, type: auth, control: required, module: pam_faillock.so, arguments: [preauth], before: pam_unix.so}", "common-auth", common,
			"auth required pam_faillock.so preauth\n" + common},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"/etc/pam.d/su": su, "/etc/pam.d/common-auth": common}
			files["/etc/pam.d/"+c.file] = c.before
			s := memory(t, files)
			l := line(t, "x", c.recipe)
			ctx := context.Background()
			if changed, err := l.Apply(ctx, s); !changed || err != nil {
				t.Fatal(changed, err)
			}
			got, err := system.ReadFile(s, "/etc/pam.d/"+c.file, 1<<20)
			if err != nil || string(got) != c.after {
				t.Errorf("got %q, want %q: %v", got, c.after, err)
			}
			if changed, err := l.Apply(ctx, s); changed || err != nil {
				t.Error("a second time", changed, err)
			}
		})
	}
}

// TestGeneratedFilesKeepTheirState says what is written where
// pam-auth-update(8) manages the files: a profile, the block, and what the
// program compares with next time.
func TestGeneratedFilesKeepTheirState(t *testing.T) {
	block := "# mine\n# here are the per-package modules (the \"Primary\" block)\n%# here's the fallback if no module succeeds\nx requisite pam_deny.so\n# and here are more per-package modules (the \"Additional\" block)\n# end of pam-auth-update config\n# mine too\n"
	unix := "Name: Unix\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_unix.so nullok try_first_pass\nAuth-Initial:\n\t[success=end default=ignore]\tpam_unix.so nullok\n"
	before := map[string]string{"/usr/share/pam-configs/unix": unix, "/var/lib/pam/seen": "unix\n"}
	for _, kind := range []string{"account", "password", "session", "session-noninteractive"} {
		one, _, _ := strings.Cut(kind, "-")
		before["/etc/pam.d/common-"+kind] = strings.NewReplacer("%", one+"\t[default=1]\t\t\tpam_permit.so\n", "x ", one+" ").Replace(block)
		before["/var/lib/pam/"+kind] = "Module: null\n[default=1]\t\t\tpam_permit.so\n"
	}
	auth := strings.Replace(block, "x ", "auth ", 1)
	before["/etc/pam.d/common-auth"] = strings.Replace(auth, "%", "auth\t[success=1 default=ignore]\tpam_unix.so debug\n", 1)
	before["/var/lib/pam/auth"] = "Module: unix\n[success=end default=ignore]\tpam_unix.so nullok\n"
	s, ctx := memory(t, before), context.Background()
	l := line(t, "preauth", "{stack: common-auth, type: auth, control: required, module: pam_faillock.so, arguments: [preauth], before: pam_unix.so}")
	if changed, err := l.Apply(ctx, s); !changed || err != nil {
		t.Fatal(changed, err)
	}
	// nullok is gone and debug there by hand; both stay so.
	before["/etc/pam.d/common-auth"] = strings.Replace(auth, "%", "auth\trequired pam_faillock.so preauth\nauth\t[success=1 default=ignore]\tpam_unix.so try_first_pass debug\n", 1)
	before["/var/lib/pam/auth"] = "Module: imgbuild-preauth\nrequired pam_faillock.so preauth\nModule: unix\n[success=end default=ignore]\tpam_unix.so nullok try_first_pass\n"
	before["/var/lib/pam/seen"] = "imgbuild-preauth\nunix\n"
	before["/usr/share/pam-configs/imgbuild-preauth"] = "Name: imgbuild: preauth\nDefault: yes\nPriority: 257\nAuth-Type: Primary\nAuth:\n\trequired pam_faillock.so preauth\n"
	for name, want := range before {
		got, err := system.ReadFile(s, name, 1<<20)
		if string(got) != want || err != nil {
			t.Errorf("%s is\n%s\nwant\n%s\n%v", name, got, want, err)
		}
	}
	if changed, err := l.Apply(ctx, s); changed || err != nil {
		t.Error("a second time", changed, err)
	}
}

func TestMistakesAreRefused(t *testing.T) {
	for recipe, want := range map[string]string{
		"{stack: ../su, type: auth, module: pam_unix.so, control: required}":                                              "not the name of a file",
		"{stack: su, type: auht, module: pam_unix.so, control: required}":                                                 `did you mean "auth"?`,
		"{stack: su, type: auth, module: unix, control: required}":                                                        "not the name of a module",
		"{stack: su, type: auth, module: pam_unix.so, control: require}":                                                  "is not a control",
		"{stack: su, type: auth, module: pam_unix.so, control: include}":                                                  "includes a file",
		"{stack: su, type: auth, module: pam_unix.so}":                                                                    `expected "control"`,
		"{stack: su, type: auth, module: pam_unix.so, control: required, arguments: [\"a b\"]}":                           "cannot be written",
		"{stack: su, type: auth, module: pam_unix.so, arguments: [nullok], arguments-absent: [nullok]}":                   "asked for as well",
		"{stack: su, type: auth, module: pam_unix.so, at-least: {remember: 5}, at-most: {remember: 4}}":                   "cannot be at least 5",
		"{stack: su, type: auth, module: pam_unix.so, absent: true, control: required}":                                   `does not go with "absent"`,
		"{stack: su, type: auth, module: pam_unix.so, control: '[success=ok default=1] pam_permit.so # ', before: pam_x}": "not one control",
	} {
		n, err := node.Parse("t.yaml", nil, "t.yaml", []byte("x: "+recipe))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pam.New(n.Entries[0]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", recipe, err, want)
		}
	}
}

// FuzzStack judges any text as a stack and mends it: what was mended holds, and
// nothing ends the program.
func FuzzStack(f *testing.F) {
	for _, text := range []string{
		"auth required pam_unix.so nullok\n", "auth [success=1 default=ignore] pam_unix.so [a b] \\\n c # d\n", "@include svc\n", "-auth sufficient pam_unix.so",
	} {
		f.Add(text)
	}
	recipes := []string{
		"{stack: svc, type: auth, control: required, module: pam_faillock.so, arguments: [preauth], before: pam_unix.so}",
		"{stack: svc, type: auth, module: pam_unix.so, arguments-absent: [nullok], at-most: {tries: 3}}",
		"{stack: svc, type: auth, module: pam_unix.so, absent: true}",
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, recipe := range recipes {
			n, err := node.Parse("t.yaml", nil, "t.yaml", []byte("x: "+recipe))
			if err != nil {
				t.Fatal(err)
			}
			l, err := pam.New(n.Entries[0])
			if err != nil {
				t.Fatal(err)
			}
			s := memory(t, map[string]string{"/etc/pam.d/svc": text})
			if _, err := l.Apply(context.Background(), s); err != nil {
				continue
			}
			if d, err := l.Check(context.Background(), s); len(d) > 0 || err != nil {
				t.Fatalf("%s: %v, %v", recipe, d, err)
			}
		}
	})
}

// FuzzProfiles takes any text for a profile and for what was generated last.
func FuzzProfiles(f *testing.F) {
	f.Add("Name: x\nDefault: yes\nPriority: 9\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore] pam_x.so a\n", "Module: x\n[success=end default=ignore] pam_x.so a\n")
	f.Fuzz(func(t *testing.T, profile, saved string) {
		block := "# here are the per-package modules (the \"Primary\" block)\n%\n# here's the fallback if no module succeeds\n# and here are more per-package modules (the \"Additional\" block)\n# end of pam-auth-update config\n"
		files := map[string]string{"/usr/share/pam-configs/x": profile}
		for _, kind := range []string{"auth", "account", "password", "session", "session-noninteractive"} {
			files["/etc/pam.d/common-"+kind] = strings.Replace(block, "%\n", "", 1)
			files["/var/lib/pam/"+kind] = saved
		}
		files["/etc/pam.d/common-auth"] = strings.Replace(block, "%", "auth [success=1 default=ignore] pam_x.so a b", 1)
		s := memory(t, files)
		l := line(t, "x", "{stack: common-auth, type: auth, control: required, module: pam_y.so, before: pam_x.so}")
		if _, err := l.Apply(context.Background(), s); err != nil {
			return
		}
		if again, err := l.Apply(context.Background(), s); again || err != nil {
			t.Fatal(again, err)
		}
	})
}
