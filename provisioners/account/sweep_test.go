package account_test

import (
	"context"
	"io/fs"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// healthy is a system that obeys every rule; tests change a copy.
func healthy() map[string]string {
	return map[string]string{
		"/etc/passwd":     "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nsync:x:4:65534:sync:/bin:/bin/sync\nann:x:1000:1000::/home/ann:/bin/bash\n",
		"/etc/group":      "root:x:0:\ndaemon:x:1:\nshadow:x:42:\nann:x:1000:\nnogroup:x:65534:\n",
		"/etc/shadow":     "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nsync:*:19000:0:99999:7:::\nann:$y$j9T$x:19000:1:365:7:30::\n",
		"/etc/gshadow":    "root:*::\ndaemon:*::\nshadow:*::\nann:!::\nnogroup:*::\n",
		"/etc/login.defs": "UMASK 027\nUID_MIN 1000\nENV_SUPATH PATH=/usr/sbin:/usr/bin\n",
		"/etc/shells":     "# shells\n/bin/sh\n/bin/bash\n/usr/bin/bash\n",
		"/etc/profile":    "if [ \"$(id -u)\" -eq 0 ]; then\n  PATH=\"/usr/sbin:/usr/bin\"\nelse\n  PATH=\"/usr/bin:/usr/games\"\nfi\nexport PATH\numask 027\nTMOUT=600\nreadonly TMOUT\nexport TMOUT\n",
		"/root/.profile":  "# root's\n", "/home/ann/.bashrc": "# ann's\n",
		"/usr/bin/true": "", "/usr/sbin/x": "",
	}
}

func build(t testing.TB, files map[string]string) *system.Memory {
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
	for dir, owner := range map[string]int{"/root": 0, "/home/ann": 1000} {
		if err := s.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
		if err := s.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Chown("/home/ann/.bashrc", 1000, 1000); err != nil {
		t.Fatal(err)
	}
	return s
}

func resource(t testing.TB, recipe string) provisioners.Resource {
	t.Helper()
	n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(recipe))
	if err != nil {
		t.Fatal(err)
	}
	list, err := provisioners.Decode(n, nil)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d resources: %v", len(list), err)
	}
	return list[0]
}

// change replaces text in a file, or makes it.
type change struct{ file, old, new string }

// TestRulesFindWhatBreaksThem breaks a healthy system in one way each. want is
// a part of what is found; mends says whether Apply brings the rule about.
func TestRulesFindWhatBreaksThem(t *testing.T) {
	for _, c := range []struct {
		rule   string
		change change
		want   string
		mends  bool
	}{
		{"unique-uids", change{"/etc/passwd", "sync:x:4", "sync:x:01"}, "that of 2 records (daemon, sync)", false},
		{"unique-gids", change{"/etc/group", "ann:x:1000", "ann:x:42"}, "gid 42", false},
		{"unique-user-names", change{"/etc/passwd", "sync:", "daemon:"}, "user daemon", false},
		{"unique-group-names", change{"/etc/group", "shadow:", "daemon:"}, "group daemon", false},
		{"primary-groups-exist", change{"/etc/group", "nogroup:x:65534:\n", ""}, "sync: gid is 65534", false},
		{"only-root-has-uid-0", change{"/etc/passwd", "sync:x:4:", "sync:x:000:"}, "sync: uid", false},
		{"only-root-has-uid-0", change{"/etc/passwd", "root:x:0", "root:x:7"}, "root is absent or with another number", false},
		{"only-root-has-gid-0", change{"/etc/passwd", "4:65534", "4:0"}, "sync: gid", false},
		{"only-group-root-has-gid-0", change{"/etc/group", "ann:x:1000", "ann:x:0"}, "ann: gid", false},
		{"passwords-shadowed", change{"/etc/passwd", "ann:x:", "ann:$1$abc:"}, "ann: password is here", true},
		{"passwords-shadowed", change{"/etc/group", "ann:x:", "ann:$1$abc:"}, "/etc/group: ann: password is here", true},
		{"no-empty-passwords", change{"/etc/shadow", "ann:$y$j9T$x:", "ann::"}, "ann: password is empty", true},
		{"no-empty-passwords", change{"/etc/passwd", "ann:x:", "ann::"}, "ann: password is empty", true},
		{"root-password", change{"/etc/shadow", "root:*:", "root::"}, "root: password is empty", true},
		{"root-password", change{"/etc/shadow", "root:*:19000:0:99999:7:::\n", ""}, "root is absent", true},
		{"shadow-group-empty", change{"/etc/group", "shadow:x:42:", "shadow:x:42:ann,sync"}, "ann, sync", true},
		{"shadow-group-empty", change{"/etc/gshadow", "shadow:*::", "shadow:*::ann"}, "/etc/gshadow", true},
		{"shadow-group-empty", change{"/etc/passwd", "4:65534", "4:42"}, "that of group shadow", false},
		{"shadow-group-empty", change{"/etc/gshadow", "shadow:*:", "shadow:$y$j9T$x:"}, "shadow: password is usable", true},
		{"shadow-group-empty", change{"/etc/gshadow", "shadow:*::", "shadow:*:ann:"}, "shadow: administrators is ann", true},
		{"root-password", change{"/etc/passwd", "root:x:", "root::"}, "/etc/passwd: root: password is empty", true},
		{"strong-hashes", change{"/etc/shadow", "ann:$y$j9T$x:", "ann:$1$x$y:"}, "ann: password is hashed", false},
		{"system-accounts-no-shell", change{"/etc/passwd", "/usr/sbin:/usr/sbin/nologin", "/usr/sbin:/srv/nologin"}, "daemon: shell is /srv/nologin", true},
		{"system-accounts-no-shell", change{"/etc/passwd", "/usr/sbin:/usr/sbin/nologin", "/usr/sbin:"}, "daemon: shell is /bin/sh", true},
		{"system-accounts-locked", change{"/etc/shadow", "daemon:*:", "daemon:$y$x:"}, "daemon: password is usable", true},
		{"no-shell-accounts-locked", change{"/etc/passwd", "/home/ann:/bin/bash", "/home/ann:/bin/fish"}, "ann: password is usable", true},
		{"nologin-no-shell", change{"/etc/shells", "/bin/sh\n", "/bin/sh\n/usr/sbin/nologin # x\n"}, "nologin", true},
		{"home-directories", change{"/etc/passwd", ":/home/ann:", ":/home/bob:"}, "home /home/bob is absent", true},
		{"home-directories", change{"/etc/passwd", ":/home/ann:", ":/usr/bin:"}, "/usr/bin: owner", true},
		{"home-directories", change{"/etc/passwd", ":/home/ann:", ":/usr/bin/true:"}, "not a directory", false},
		{"home-directories", change{"/etc/passwd", ":/home/ann:", "::"}, "not a directory of its own", false},
		{"dot-files", change{"/home/ann/.netrc", "", "machine x"}, "/home/ann/.netrc is there", false},
		{"dot-files", change{"/home/ann/.bash_history", "", "ls"}, "/home/ann/.bash_history: mode is 0644", true},
		{"root-path", change{"/etc/profile", "\"/usr/sbin:", "\":/usr/sbin:"}, "empty place", false},
		{"root-path", change{"/root/.profile", "# root's", "export PATH=$PATH:."}, "/root/.profile:1: PATH is with ., which is relative", false},
		{"root-path", change{"/root/.profile", "# root's", "true; PATH='bin':$HOME/x # c"}, "bin, which is relative", false},
		{"root-path", change{"/etc/login.defs", "/usr/bin", "/usr/bin/true"}, "no directory", false},
		{"root-path", change{"/etc/login.defs", "/usr/bin", "/home/ann"}, "belongs to 1000", false},
		{"root-path", change{"/root/.bash_profile", "", "PATH+=:."}, "/root/.bash_profile:1: PATH is with ., which is relative", false},
		{"root-path", change{"/etc/environment", "", "# it's\nexport PATH='bin:/usr/bin'\n"}, "/etc/environment:2: PATH is with bin", false},
		{"root-path", change{"/root/.bashrc", "", "PATH=/home/ann/x/bin"}, "/home/ann, which belongs to 1000", false},
		{"root-path", change{"/etc/sudoers", "", "Defaults secure_path=\"/usr/bin:bin\"\n"}, "/etc/sudoers:1: secure_path is with bin", false},
		{"root-umask", change{"/root/.bash_profile", "", "umask 022\n"}, "/root/.bash_profile:1: umask is 022", true},
		{"root-umask", change{"/root/.profile", "# root's", "umask u=rwx,go=rx"}, "/root/.profile:1", true},
		{"default-umask", change{"/etc/skel/.profile", "", "umask 022\n"}, "/etc/skel/.profile:1", true},
		{"default-umask", change{"/home/ann/.bashrc", "# ann's", "umask 002"}, "/home/ann/.bashrc:1", false},
		{"default-umask", change{"/etc/passwd", "ann:x:1000:1000::", "ann:x:1000:1000:Ann,,,umask=0:"}, "ann: umask in the comment is 0", false},
		{"default-umask", change{"/etc/login.defs", "UMASK 027", "UMASK 022\nUMASK 027"}, "UMASK is 022", true},
		{"default-umask", change{"/etc/pam.d/sshd", "", "session optional pam_umask.so umask=0022\n"}, "/etc/pam.d/sshd: pam_umask", false},
		{"default-umask", change{"/etc/profile", "umask 027", "umask 022"}, "/etc/profile:7: umask is 022", true},
		{"default-umask", change{"/etc/profile", "umask 027\n", ""}, "not set", true},
		{"default-umask", change{"/etc/profile", "umask 027", "umask u=rwx,g=rx,o=r"}, "u=rwx", true},
		{"default-umask", change{"/etc/profile.d/a.sh", "", "umask u=rwx"}, "a.sh:1: umask is u=rwx", true},
		{"default-umask", change{"/etc/profile.d/a.sh", "", "[ -n \"$X\" ] && umask 002"}, "/etc/profile.d/a.sh:1", false},
		{"default-umask", change{"/etc/profile.d/a.sh", "", "if true; then\n  umask 002\nfi\n"}, "/etc/profile.d/a.sh:2", true},
		{"default-umask", change{"/etc/bash.bashrc", "", "# bash"}, "/etc/bash.bashrc: umask is not set", true},
		{"default-umask", change{"/etc/login.defs", "UMASK 027", "#UMASK 027"}, "UMASK", true},
		{"default-umask", change{"/etc/pam.d/common-session", "", "session optional pam_umask.so umask=0022\n"}, "pam_umask", false},
		{"session-timeout", change{"/etc/profile", "TMOUT=600", "TMOUT=901"}, `"901"`, true},
		{"session-timeout", change{"/etc/profile", "TMOUT=600", "TMOUT=0"}, `"0"`, true},
		{"session-timeout", change{"/etc/profile", "readonly TMOUT\n", ""}, "not both", true},
		{"session-timeout", change{"/etc/profile", "TMOUT=600\nreadonly TMOUT\nexport TMOUT\n", ""}, "not set", true},
		{"session-timeout", change{"/etc/profile.d/x.sh", "", "TMOUT=7200 # two hours\n"}, "/etc/profile.d/x.sh:1", true},
	} {
		t.Run(c.rule+"/"+c.want, func(t *testing.T) {
			ctx := context.Background()
			r := resource(t, "accounts: {"+c.rule+": {except: [sync]}}")
			if strings.Contains(c.change.new+c.change.old, "sync") || strings.Contains(c.change.old, "65534") {
				r = resource(t, "accounts: {"+c.rule+": {}}")
			}
			files := healthy()
			if c.rule == "system-accounts-no-shell" {
				r = resource(t, "accounts: {"+c.rule+": {except: [sync]}}")
			}
			if d, err := r.Check(ctx, build(t, files)); len(d) > 0 || err != nil {
				t.Fatalf("the healthy system: %v, %v", d, err)
			}
			text, there := files[c.change.file]
			if there && !strings.Contains(text, c.change.old) {
				t.Fatal("nothing was broken")
			}
			files[c.change.file] = strings.Replace(text, c.change.old, c.change.new, 1)
			s := build(t, files)
			if owned, ok := map[string]bool{"/home/ann/.bash_history": true}[c.change.file]; ok && owned {
				if err := s.Chown(c.change.file, 1000, 1000); err != nil {
					t.Fatal(err)
				}
			}
			d, err := r.Check(ctx, s)
			if err != nil || len(d) == 0 {
				t.Fatalf("nothing was found: %v", err)
			}
			all := ""
			for _, one := range d {
				all += one.String() + "\n"
			}
			if !strings.Contains(all, c.want) {
				t.Errorf("found %s, want %s", all, c.want)
			}
			changed, err := r.Apply(ctx, s)
			if !c.mends {
				if err == nil {
					t.Error("it was mended")
				}
				return
			}
			if !changed || err != nil {
				t.Fatal(changed, err)
			}
			if d, err := r.Check(ctx, s); len(d) > 0 || err != nil {
				t.Errorf("after it was applied: %v, %v", d, err)
			}
			if again, err := r.Apply(ctx, s); again || err != nil {
				t.Error("a second time:", again, err)
			}
		})
	}
}

func TestHomesAndDotFilesAreClosed(t *testing.T) {
	s, ctx := build(t, healthy()), context.Background()
	for name, mode := range map[string]fs.FileMode{"/home/ann": 0o777 | fs.ModeSetgid, "/home/ann/.bashrc": 0o666} {
		if err := s.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, rule := range []string{"home-directories", "dot-files"} {
		if changed, err := resource(t, "accounts: {"+rule+": {}}").Apply(ctx, s); !changed || err != nil {
			t.Fatal(rule, changed, err)
		}
	}
	for name, want := range map[string]fs.FileMode{"/home/ann": fs.ModeDir | fs.ModeSetgid | 0o750, "/home/ann/.bashrc": 0o644} {
		if info, err := s.Stat(name); err != nil || info.Mode != want || info.UID != 1000 {
			t.Errorf("%s is %s of %d, want %s: %v", name, info.Mode, info.UID, want, err)
		}
	}
}

// TestAnEmptyGroupStaysEmpty takes out whoever is in it, and leaves to a person
// whose own it is.
func TestAnEmptyGroupStaysEmpty(t *testing.T) {
	r, ctx := resource(t, "groups: {su: {system: true, empty: true}}"), context.Background()
	files := healthy()
	files["/etc/group"] += "su:x:900:ann,sync\n"
	files["/etc/gshadow"] += "su:$y$j9T$x:ann:sync\n"
	s := build(t, files)
	if d, err := r.Check(ctx, s); err != nil || len(d) != 4 {
		t.Fatalf("found %v, %v", d, err)
	}
	if changed, err := r.Apply(ctx, s); !changed || err != nil {
		t.Fatal(changed, err)
	}
	for name, want := range map[string]string{"/etc/group": "su:x:900:\n", "/etc/gshadow": "su:!::\n"} {
		if text, _, err := system.ReadText(s, name, 1<<20); err != nil || !strings.HasSuffix(text, want) {
			t.Errorf("%s is %q, %v", name, text, err)
		}
	}
	if again, err := r.Apply(ctx, s); again || err != nil {
		t.Error("a second time:", again, err)
	}
	files["/etc/passwd"] = strings.Replace(files["/etc/passwd"], "ann:x:1000:1000", "ann:x:1000:900", 1)
	s = build(t, files)
	if d, err := r.Check(ctx, s); err != nil || len(d) != 5 {
		t.Fatalf("found %v, %v", d, err)
	}
	if changed, err := r.Apply(ctx, s); changed || err == nil {
		t.Error("somebody's own group was taken:", changed, err)
	}
}

func TestBrokenDatabasesAreErrors(t *testing.T) {
	for file, text := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root\n", "/etc/group": "root:x:zero:\n", "/etc/shadow": "root:*:1:2\n", "/etc/login.defs": "UID_MIN many\n",
	} {
		files := healthy()
		files[file] = text
		for _, recipe := range []string{"accounts: {unique-uids: {}}", "accounts: {no-empty-passwords: {}}"} {
			if _, err := resource(t, recipe).Check(context.Background(), build(t, files)); err == nil {
				t.Errorf("%s with a broken %s: no error", recipe, file)
			}
		}
	}
}

// TestAccountsFromElsewhereAreErrors is of the lines of NIS, in any form.
func TestAccountsFromElsewhereAreErrors(t *testing.T) {
	for file, line := range map[string]string{"/etc/passwd": "+eve:x:1500:1500::/:/bin/sh\n", "/etc/group": "+:::\n", "/etc/shadow": "-eve::::::::\n"} {
		files := healthy()
		files[file] += line
		if _, err := resource(t, "accounts: {only-root-has-uid-0: {}}").Check(context.Background(), build(t, files)); err == nil || !strings.Contains(err.Error(), "NIS") {
			t.Errorf("%s with %q: %v", file, line, err)
		}
	}
}

func TestRecordsOfSystemdAreErrors(t *testing.T) {
	for _, name := range []string{"/etc/userdb/eve.user", "/usr/lib/userdb/eve:shadow.membership"} {
		files := healthy()
		files[name] = "{}"
		if _, err := resource(t, "accounts: {unique-uids: {}}").Check(context.Background(), build(t, files)); err == nil || !strings.Contains(err.Error(), name) {
			t.Error(err)
		}
	}
}

// TestAPathIsFollowed has a place of root's PATH that a link leads to, through a
// home.
func TestAPathIsFollowed(t *testing.T) {
	s := build(t, healthy())
	if err := system.MkdirAll(s, "/home/ann/bin"); err != nil {
		t.Fatal(err)
	}
	if err := s.Symlink("/home/ann/bin", "/usr/games"); err != nil {
		t.Fatal(err)
	}
	d, err := resource(t, "accounts: {root-path: {}}").Check(t.Context(), s)
	if err != nil || len(d) != 1 || !strings.Contains(d[0].String(), "/home/ann, which belongs to 1000") {
		t.Errorf("%v, %v", d, err)
	}
}

func TestAQuoteThatDoesNotEndIsAnError(t *testing.T) {
	files := healthy()
	files["/etc/profile.d/a.sh"] = "true\necho 'a\n"
	if d, err := resource(t, "accounts: {default-umask: {}}").Check(t.Context(), build(t, files)); err == nil || !strings.Contains(err.Error(), "/etc/profile.d/a.sh: a quote that begins in line 2") {
		t.Errorf("%v, %v", d, err)
	}
}

func TestSweepMistakesAreRefused(t *testing.T) {
	for recipe, want := range map[string]string{
		"accounts: {unique-uid: {}}":                   `did you mean "unique-uids"?`,
		"accounts: {unique-uids: {at-most: 3}}":        "of session-timeout",
		"accounts: {unique-uids: {except: [\"a b\"]}}": "not the name of a user",
		"ageing: {all: {}}":                            `expected "max-days"`,
		"ageing: {all: {max-days: {at-most: x}}}":      "not a number",
		"ageing: {all: {max-days: {at-most: -1}}}":     "not a number of days",
		"ageing: {'*': {max-days: {at-most: 1}}}":      "neither \"all\"",
	} {
		n, err := node.Parse("t.yaml", nil, "t.yaml", []byte(recipe))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := provisioners.Decode(n, nil); err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", recipe, err, want)
		}
	}
}

// TestWithoutShadowNoAgeingHolds has accounts and no file that says how their
// passwords age.
func TestWithoutShadowNoAgeingHolds(t *testing.T) {
	files := healthy()
	delete(files, "/etc/shadow")
	found, err := resource(t, "ageing: {all: {max-days: {at-most: 365}}}").Check(context.Background(), build(t, files))
	if err == nil || !strings.Contains(err.Error(), "there is no /etc/shadow") {
		t.Errorf("%v, %v", found, err)
	}
}
