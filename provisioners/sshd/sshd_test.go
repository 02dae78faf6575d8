package sshd_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/sshd"
	"imgbuild/provisioners/system"
)

const (
	mainFile = "/etc/ssh/sshd_config"
	dropIn   = "/etc/ssh/sshd_config.d/00-imgbuild.conf"
	cloud    = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
	include  = "Include /etc/ssh/sshd_config.d/*.conf\n"
)

func directive(t *testing.T, text string) *sshd.Directive {
	t.Helper()
	d, err := decode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func decode(t *testing.T, text string) (*sshd.Directive, error) {
	t.Helper()
	n, err := node.Parse("a.yaml", nil, "a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sshd.New(n.Entries[0])
}

// bookworm makes a system of Debian 12 with files.
func bookworm(t *testing.T, files map[string]string) system.System {
	t.Helper()
	s := system.NewMemory()
	all := map[string]string{"/etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n"}
	for name, text := range files {
		all[name] = text
	}
	for name, text := range all {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestApplyWritesWhereItCounts shows each way to write, by the files that
// change.
func TestApplyWritesWhereItCounts(t *testing.T) {
	for _, c := range []struct {
		name, directive string
		files, want     map[string]string
	}{
		{"nothing to do: the default does", `PermitEmptyPasswords: "no"`, map[string]string{mainFile: include}, nil},
		{"drop-in", "MaxAuthTries: {at-most: 4}", map[string]string{mainFile: include},
			map[string]string{dropIn: "MaxAuthTries 4\n"}},
		{"drop-in before cloud-init's", `PasswordAuthentication: "no"`, map[string]string{mainFile: include, cloud: "PasswordAuthentication yes\n"},
			map[string]string{dropIn: "PasswordAuthentication no\n"}},
		{"drop-in of another directive", "LogLevel: VERBOSE", map[string]string{mainFile: include, dropIn: "MaxAuthTries 4\n"},
			map[string]string{dropIn: "MaxAuthTries 4\nLogLevel VERBOSE\n"}},
		{"drop-in with the value of before", "MaxAuthTries: {at-most: 3}", map[string]string{mainFile: include, dropIn: "MaxAuthTries 4\nLogLevel VERBOSE\n"},
			map[string]string{dropIn: "MaxAuthTries 3\nLogLevel VERBOSE\n"}},
		{"included too late", "X11Forwarding: \"no\"", map[string]string{mainFile: "X11Forwarding yes\n" + include},
			map[string]string{mainFile: "X11Forwarding no\n" + include}},
		{"not included", "X11Forwarding: \"no\"", map[string]string{mainFile: "# a\n  x11forwarding=YES # b\n"},
			map[string]string{mainFile: "# a\n  X11Forwarding no\n"}},
		{"comment with the default", "MaxAuthTries: {at-most: 4}", map[string]string{mainFile: "#MaxAuthTries 6\n#MaxSessions 10\nMatch user a\n"},
			map[string]string{mainFile: "MaxAuthTries 4\n#MaxSessions 10\nMatch user a\n"}},
		{"before the blocks", "MaxAuthTries: {at-most: 4}", map[string]string{mainFile: "Port 22\nMatch user a\n#MaxAuthTries 6\n"},
			map[string]string{mainFile: "Port 22\nMaxAuthTries 4\nMatch user a\n#MaxAuthTries 6\n"}},
		{"a name that sorts before", "MaxAuthTries: {at-most: 4}", map[string]string{mainFile: include, "/etc/ssh/sshd_config.d/00-a.conf": "MaxAuthTries 9"},
			map[string]string{"/etc/ssh/sshd_config.d/00-a.conf": "MaxAuthTries 4\n"}},
		{"a block that weakens", `PermitRootLogin: "no"`, map[string]string{mainFile: include + "PermitRootLogin no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\n  X11Forwarding no\n"},
			map[string]string{mainFile: include + "PermitRootLogin no\nMatch Address 10.0.0.0/8\n# imgbuild: PermitRootLogin must be no; was: PermitRootLogin yes\n  X11Forwarding no\n"}},
		{"a block that strengthens", "MaxAuthTries: {at-most: 4}", map[string]string{mainFile: include + "Match user a\n  MaxAuthTries 2\n"},
			map[string]string{dropIn: "MaxAuthTries 4\n"}},
		{"a block for all", `PermitRootLogin: "no"`, map[string]string{mainFile: include + "Match all\nPermitRootLogin yes\n"},
			map[string]string{dropIn: "PermitRootLogin no\n", mainFile: include + "Match all\n# imgbuild: PermitRootLogin must be no; was: PermitRootLogin yes\n"}},
		{"explicit", `PermitEmptyPasswords: {value: "no", explicit: true}`, map[string]string{mainFile: include + "#PermitEmptyPasswords no\n"},
			map[string]string{mainFile: include + "PermitEmptyPasswords no\n"}},
		{"explicit over a line without effect", `X11Forwarding: {value: "no", explicit: true}`, map[string]string{mainFile: include + "X11Forwarding yes\n"},
			map[string]string{mainFile: include + "X11Forwarding no\n", dropIn: "X11Forwarding no\n"}},
		{"explicit with a list", `Ciphers: {without: [3des-cbc], explicit: true}`, map[string]string{mainFile: include, dropIn: "Ciphers -aes1*\n"},
			map[string]string{mainFile: include + "Ciphers -aes1*\n"}},
		{"list without the weak", "Ciphers: {without: [3des-cbc, aes128-cbc]}", map[string]string{mainFile: "Ciphers aes256-ctr,3des-cbc\n"},
			map[string]string{mainFile: "Ciphers aes256-ctr\n"}},
		{"list added to the default", "MACs: {without: [hmac-md5, hmac-sha1, hmac-sha1-etm@openssh.com, umac-64@openssh.com, umac-64-etm@openssh.com]}", map[string]string{mainFile: "MACs +hmac-md5\n"},
			map[string]string{mainFile: "MACs umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512\n"}},
		{"each number of three", `MaxStartups: {at-most: "10:30:60"}`, map[string]string{mainFile: include},
			map[string]string{dropIn: "MaxStartups 10:30:60\n"}},
		{"the last of several", `MaxStartups: {at-most: "10:30:60"}`, map[string]string{mainFile: include + "MaxStartups 5\nMaxStartups 100\n"},
			map[string]string{mainFile: include + "MaxStartups 5\nMaxStartups 10:30:60\n"}},
		{"time", "ClientAliveInterval: {at-least: 1, at-most: 5m, value: 15}", map[string]string{mainFile: include + "ClientAliveInterval 1h\n"},
			map[string]string{dropIn: "ClientAliveInterval 15\n"}},
		{"a path with a blank", "Banner: /etc/a b", map[string]string{mainFile: include},
			map[string]string{dropIn: "Banner \"/etc/a b\"\n"}},
		{"absent", "AllowUsers: {absent: true}", map[string]string{mainFile: "AllowUsers a\nallowusers b\n"},
			map[string]string{mainFile: "# imgbuild: AllowUsers must be absent; was: AllowUsers a\n# imgbuild: AllowUsers must be absent; was: allowusers b\n"}},
		{"sum", "AllowGroups: ssh admins", map[string]string{mainFile: include + "AllowGroups x\nAllowGroups y\n"},
			map[string]string{dropIn: "AllowGroups ssh admins\n", mainFile: include +
				"# imgbuild: AllowGroups must be ssh admins; was: AllowGroups x\n# imgbuild: AllowGroups must be ssh admins; was: AllowGroups y\n"}},
		{"any of several is there", "access: {any-of: [AllowUsers, DenyUsers]}", map[string]string{mainFile: "denyusers a\n", passwd: alice}, nil},
		{"any of several is there, and takes everyone", "access: {any-of: [AllowUsers, AllowGroups], else: {AllowGroups: sudo}}", map[string]string{mainFile: include + "AllowGroups adm *\n"},
			map[string]string{dropIn: "AllowGroups sudo\n", mainFile: include + "# imgbuild: AllowGroups must be sudo; was: AllowGroups adm *\n"}},
		{"none of several is there", "access: {any-of: [AllowUsers, DenyUsers], else: {DenyUsers: nobody}}", map[string]string{mainFile: include + "Match user a\nAllowUsers a\n", passwd: alice},
			map[string]string{dropIn: "DenyUsers nobody\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := context.Background()
			s := bookworm(t, c.files)
			d := directive(t, c.directive)
			found, err := d.Check(ctx, s)
			if err != nil || len(found) > 0 != (c.want != nil) {
				t.Fatalf("before: %v, %v", found, err)
			}
			changed, err := d.Apply(ctx, s)
			if err != nil || changed != (c.want != nil) {
				t.Fatalf("changed %v: %v", changed, err)
			}
			if again, err := d.Apply(ctx, s); again || err != nil {
				t.Fatalf("a second time: %v, %v", again, err)
			}
			got := map[string]string{}
			for _, name := range []string{mainFile, dropIn, cloud, "/etc/ssh/sshd_config.d/00-a.conf"} {
				data, err := system.ReadFile(s, name, 10000)
				if err == nil && string(data) != c.files[name] {
					got[name] = string(data)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" && len(c.want)+len(got) > 0 {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// passwd names two accounts.
const (
	passwd = "/etc/passwd"
	alice  = "a:x:1500:1500::/home/a:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
)

// TestListsThatKeepNobodyOut are no lists; others are, for every connection.
func TestListsThatKeepNobodyOut(t *testing.T) {
	const access = "access: {any-of: [AllowUsers, AllowGroups, DenyUsers, DenyGroups]}"
	for _, c := range []struct {
		name, main, options string
		want                string
	}{
		{"users", "AllowUsers alice bob@10.0.0.0/8\n", "", ""},
		{"a pattern", "AllowUsers ops-*\n", "", ""},
		{"every user", "AllowUsers *\n", "", "AllowUsers *, which is everyone"},
		{"every user besides", "AllowUsers alice\nallowusers ?*\n", "", "AllowUsers ?*, which is everyone"},
		{"every user of addresses", "AllowUsers *@0.0.0.0/0\n", "", "which is everyone"},
		{"every group", "AllowGroups ** sudo\n", "", "AllowGroups **, which is everyone"},
		{"every group, and a user", "AllowGroups *\nAllowUsers alice\n", "", ""},
		{"nobody", "DenyUsers mallory\n", "", "DenyUsers without an account that there is"},
		{"somebody", "DenyUsers mallory n*@10.0.0.1\n", "", ""},
		{"no group", "DenyGroups staff\n", "", "DenyGroups without an account that there is"},
		{"a group by number", "DenyGroups games\n", "", ""},
		{"everyone of an address", "AllowGroups sudo\nMatch Address 10.0.0.0/8\nAllowGroups *\n", "", "everyone, for Match Address 10.0.0.0/8"},
		{"another list of an address", "AllowGroups sudo\nMatch Address 10.0.0.0/8\nAllowUsers *\n", "", ""},
		{"everyone, in a block for all", "AllowGroups sudo\nMatch all\nAllowGroups *\n", "", "which is everyone"},
		{"everyone on the command line", "AllowGroups sudo\n", "-4D -oAllowGroups=*", "AllowGroups *, which is everyone"},
	} {
		s := bookworm(t, map[string]string{
			mainFile: c.main, passwd: alice + "g:x:5:60::/:/bin/sh\n", "/etc/group": "a:x:1500:\nstaff:x:50:\ngames:x:60:\n", "/etc/default/ssh": "SSHD_OPTS=" + c.options + "\n",
		})
		list, err := directive(t, access).Check(context.Background(), s)
		if got := fmt.Sprint(list); err != nil || (c.want == "") != (len(list) == 0) || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %v, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// TestIncludedFilesAreRootsAlone: whoever writes to one says what sshd does.
func TestIncludedFilesAreRootsAlone(t *testing.T) {
	const other = "/srv/team/sshd.conf"
	for _, c := range []struct {
		file string
		attr system.Attr
		want bool
	}{
		{other, system.Attr{Mode: 0o644}, false}, {other, system.Attr{Mode: 0o664}, true}, {other, system.Attr{Mode: 0o602}, true},
		{other, system.Attr{Mode: 0o600, UID: 1000}, true}, {cloud, system.Attr{Mode: 0o664}, false},
	} {
		s := bookworm(t, map[string]string{mainFile: include + "Include " + other + "\nPermitRootLogin no\n", other: "MaxAuthTries 4\n", cloud: "UsePAM yes\n"})
		if err := errors.Join(s.Chown(c.file, c.attr.UID, 0), s.Chmod(c.file, c.attr.Mode)); err != nil {
			t.Fatal(err)
		}
		list, err := directive(t, `PermitRootLogin: "no"`).Check(context.Background(), s)
		if err != nil || c.want != (len(list) == 1 && list[0].Subject == c.file) {
			t.Errorf("%s of %+v: got %v, %v", c.file, c.attr, list, err)
		}
	}
}

// TestUnitsOfTheAdministrator start sshd otherwise than the files say.
func TestUnitsOfTheAdministrator(t *testing.T) {
	for file, text := range map[string]string{
		"/etc/default/ssh": "SSHD_OPTS=\"-4 -De -o LoginGraceTime=3m\"\n",
		"/etc/systemd/system/ssh.service.d/local.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D \\\n -g 300\n",
		"/etc/systemd/system/ssh.service":              "[Service]\nExecStart=/usr/sbin/sshd -D -o \"LoginGraceTime 300\"\n",
		"/etc/systemd/system/ssh@.service.d/a.conf":    "[Service]\nEnvironment=\"SSHD_OPTS=-f /srv/sshd\"\n",
		"/run/systemd/system/sshd.service.d/a.conf":    "[Service]\nExecStart=/usr/sbin/sshd -Df/srv/sshd\n",
		"/etc/systemd/system/service.d/a.conf":         "[Service]\n# mine \\\nExecStart=/usr/sbin/sshd -D \\\n# yours \\\n -g 300\n",
	} {
		s := bookworm(t, map[string]string{mainFile: "LoginGraceTime 60\n", file: text})
		list, err := directive(t, "LoginGraceTime: {at-least: 1, at-most: 60}").Check(context.Background(), s)
		if err != nil || len(list) != 1 || !strings.HasPrefix(list[0].Subject, file) {
			t.Errorf("%s: got %v, %v", file, list, err)
		}
	}
}

// TestAnAmbiguousLineIsAnError has a line that one release of systemd takes for a
// comment and the next one does not.
func TestAnAmbiguousLineIsAnError(t *testing.T) {
	s := bookworm(t, map[string]string{mainFile: "LoginGraceTime 60\n", "/etc/default/ssh": "# mine \\\nSSHD_OPTS=-g300\n"})
	if list, err := directive(t, "LoginGraceTime: {at-least: 1, at-most: 60}").Check(t.Context(), s); err == nil || !strings.Contains(err.Error(), "comment that ends in a backslash") {
		t.Errorf("%v, %v", list, err)
	}
}

func TestDifferencesSayWhere(t *testing.T) {
	for _, c := range []struct{ directive, main, want string }{
		{"MaxAuthTries: {at-most: 4}", "\n\nmaxauthtries 9\n", "/etc/ssh/sshd_config:3: MaxAuthTries is 9, should be at most 4"},
		{"MaxAuthTries: {at-most: 4}", "", "/etc/ssh/sshd_config: MaxAuthTries is 6, the default of OpenSSH 9.2, should be at most 4"},
		{`PermitRootLogin: "no"`, "PermitRootLogin no\nMatch User a Host b\nPermitRootLogin without-password\n",
			"/etc/ssh/sshd_config:3: PermitRootLogin is prohibit-password for Match User a Host b, should be no"},
		{`PermitRootLogin: {value: "no", explicit: true}`, "include x\n", "/etc/ssh/sshd_config: PermitRootLogin is not in the file, should be no, there as well"},
		{"access: {any-of: [AllowUsers, AllowGroups]}", "", "/etc/ssh/sshd_config: access is none is set, should be one of AllowUsers, AllowGroups that keeps others out"},
		{"AllowUsers: {absent: true}", "AllowUsers a b\n", "/etc/ssh/sshd_config:1: AllowUsers is a b, should be absent"},
	} {
		s := bookworm(t, map[string]string{mainFile: c.main, "/etc/ssh/x": "PermitRootLogin no\n"})
		list, err := directive(t, c.directive).Check(context.Background(), s)
		if err != nil || len(list) != 1 || list[0].String() != c.want {
			t.Errorf("got %v, %v, want %s", list, err, c.want)
		}
	}
}

// TestWithoutAKnownReleaseEveryDefaultCounts uses that the key exchange of the
// two releases differs.
func TestWithoutAKnownReleaseEveryDefaultCounts(t *testing.T) {
	ctx := context.Background()
	d := directive(t, "KexAlgorithms: {without: [diffie-hellman-group14-sha256]}")
	for version, fails := range map[string]bool{"12": true, "13": false, "14": true} {
		s := bookworm(t, map[string]string{mainFile: "", "/etc/os-release": "VERSION_ID=" + version + "\n"})
		list, err := d.Check(ctx, s)
		if err != nil || len(list) > 0 != fails {
			t.Errorf("%s: %v, %v", version, list, err)
		}
		if _, err := d.Apply(ctx, s); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

func TestWhatSshdWouldRefuseIsNoPass(t *testing.T) {
	for text, want := range map[string]string{
		"PermitRootLogon no\n":                       `/etc/ssh/sshd_config:1, which sshd would refuse: unknown keyword "PermitRootLogon"; did you mean "PermitRootLogin"?`,
		"Banner \"/etc/x\n":                          "a quote is not closed",
		"Banner\n":                                   "the keyword has no argument",
		"Banner # x\n":                               "Banner: the keyword has no argument",
		"X11Forwarding no yes\n":                     "X11Forwarding has more than one argument",
		"Match User a\nCiphers aes256-ctr\n":         "Ciphers is not allowed in a Match block",
		"Match Usr a\n":                              `unknown criterion "Usr" of Match; did you mean "user"?`,
		"Match User\n":                               "has no argument",
		"Include /etc/ssh/sshd_config\n":             "too many files include one another",
		"Match User a\nInclude /etc/ssh/g\n":         "UsePAM is not allowed in a Match block",
		"X11Forwarding n\x00o\n":                     "zero byte",
		strings.Repeat("Port 22\n", 100_001):         "more than 100000 lines",
		"Include /etc/ssh\n":                         "not a regular file",
		strings.Repeat("Include /etc/ssh/g\n", 1001): "too many files",
	} {
		s := bookworm(t, map[string]string{mainFile: text, "/etc/ssh/g": "UsePAM yes\n"})
		_, err := directive(t, `PermitRootLogin: "no"`).Check(context.Background(), s)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %s", text, err, want)
		}
	}
	_, err := directive(t, `PermitRootLogin: "no"`).Check(context.Background(), system.NewMemory())
	if fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
		t.Errorf("without sshd: %v", err)
	}
}

func TestWhatIsNotBelowEtcStays(t *testing.T) {
	s := bookworm(t, map[string]string{mainFile: "Include /usr/share/x\n", "/usr/share/x": "X11Forwarding yes\n"})
	_, err := directive(t, `X11Forwarding: "no"`).Apply(context.Background(), s)
	if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), "is not below /etc") {
		t.Errorf("got %v", err)
	}
}

func TestMistakesAreFoundAtTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`PermitRootLogon: "no"`:                                        `a.yaml:1:1: unknown keyword "PermitRootLogon" of sshd; did you mean "PermitRootLogin"?`,
		`MaxAuthTries: {atmost: 4}`:                                    `did you mean "at-most"?`,
		`MaxAuthTries: {at-most: many}`:                                `"many" is not a number`,
		`MaxAuthTries: four`:                                           `"four" is not a number that MaxAuthTries can have`,
		`MaxAuthTries: {at-most: 4, value: 5}`:                         `"5" is not at most 4`,
		`MaxStartups: {at-most: 10:30}`:                                `is not a number`,
		`Banner: ""`:                                                   `Banner cannot have the value ""`,
		`AllowUsers: "a\tb\x01"`:                                       `cannot have the value`,
		`AllowUsers: "# x"`:                                            `AllowUsers cannot have the value`,
		`Banner: {value: x, else: {Banner: y}}`:                        `"else" goes with "any-of" only`,
		`Banner: {absent: true, explicit: true}`:                       `"explicit" does not go with "absent"`,
		`Banner: {any-of: [Banner]}`:                                   `give it a name that is none`,
		`x: {any-of: []}`:                                              `"any-of" is empty`,
		`x: {any-of: [AlowUsers]}`:                                     `did you mean "AllowUsers"?`,
		`x: {any-of: [AllowUsers], value: a}`:                          `unknown key "value"`,
		`x: {any-of: [AllowUsers], else: {DenyUsers: a}}`:              `"DenyUsers" is not in "any-of"`,
		`x: {any-of: [AllowUsers, DenyUsers], else: {AllowUsers: ''}}`: `AllowUsers cannot have the value ""`,
	} {
		_, err := decode(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

// FuzzConfiguration applies directives to any configuration: no input harms the
// program, and what was applied holds and needs no second time.
func FuzzConfiguration(f *testing.F) {
	for _, text := range []string{
		include + "PermitRootLogin yes\n", "Match user a\nPermitRootLogin yes\nMatch all\nPermitRootLogin=no\nCiphers -*\n",
		"\"PermitRootLogin\" \"yes\" # a\n", "P\"ermitRootLogin\" 'y'es", "=PermitRootLogin yes\n", "Include [a-\\ *\n",
		"MaxStartups 5\nMaxStartups 1:2:3", "AcceptEnv 'a b' c\n", "Include sshd_config.d/*", "Ciphers +,,,\n", "Ciphers ^\n",
	} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, main, other string) {
		ctx := context.Background()
		for _, text := range []string{
			`PermitRootLogin: {value: "no", explicit: true}`, `Ciphers: {without: [aes128-ctr]}`, `MaxStartups: {at-most: "10:30:60"}`, `AcceptEnv: {value: LANG}`,
			`DenyUsers: {absent: true}`, `access: {any-of: [AllowUsers, AllowGroups], else: {AllowGroups: ssh}}`,
		} {
			s := bookworm(t, map[string]string{mainFile: main, "/etc/ssh/sshd_config.d/10.conf": other})
			d := directive(t, text)
			if _, err := d.Check(ctx, s); err != nil {
				continue
			}
			if _, err := d.Apply(ctx, s); err != nil {
				if fault.KindOf(err) != fault.Input {
					t.Fatalf("%s: %v", text, err)
				}
				continue
			}
			if list, err := d.Check(ctx, s); err != nil || len(list) > 0 {
				t.Fatalf("%s: after applying: %v, %v", text, list, err)
			}
			if again, err := d.Apply(ctx, s); again || err != nil {
				t.Fatalf("%s: a second time: %v, %v", text, again, err)
			}
		}
	})
}
