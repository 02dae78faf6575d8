package setting_test

import (
	"context"
	"path"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/setting"
	"imgbuild/provisioners/system"
)

type resource interface {
	Check(ctx context.Context, r system.Reader) ([]system.Difference, error)
	Apply(ctx context.Context, s system.System) (bool, error)
}

func entry(t testing.TB, text string) node.Entry {
	t.Helper()
	n, err := node.Parse("a.yaml", nil, "a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return n.Entries[0]
}

func newSetting(t testing.TB, fields string) resource {
	t.Helper()
	s, err := setting.New(entry(t, "x: {"+fields+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newUnit(t *testing.T, name, fields string) resource {
	t.Helper()
	u, err := setting.NewUnit(entry(t, name+": {"+fields+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// memory makes a system of files; a content "-> x" is a link to x.
func memory(t testing.TB, files map[string]string) system.System {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(text, "-> ")
		err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644})
		if link {
			err = s.Symlink(target, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// unlikely is a value that nothing has.
const unlikely = "4242"

// have is the value that a setting is seen to have; "not set" without one.
func have(t *testing.T, s system.Reader, r resource) string {
	t.Helper()
	list, err := r.Check(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 {
		t.Fatalf("%d differences: %v", len(list), list)
	}
	return list[0].Have
}

// TestValuesAreReadAsTheProgramReadsThem is by the man pages, and by what
// useradd and pwscore were seen to do.
func TestValuesAreReadAsTheProgramReadsThem(t *testing.T) {
	for _, c := range []struct{ format, path, key, text, want string }{
		{"words", "/etc/login.defs", "UMASK", "UMASK 022\n", "022"},
		{"words", "/etc/login.defs", "UMASK", "  UMASK\t\t022  \n", "022"},
		{"words", "/etc/login.defs", "UMASK", "UMASK 022\nUMASK 022", "022"},
		{"words", "/etc/login.defs", "PASS_MAX_DAYS", "PASS_MAX_DAYS 9\nPASS_MAX_DAYS \"99\" x\n", "99"},
		{"words", "/etc/login.defs", "ENV_PATH", "ENV_PATH PATH=/bin # so\n", "PATH=/bin # so"},
		{"words", "/etc/login.defs", "UMASK", "#UMASK 1\n # UMASK 2\n", "not set"},

		{"equals", "/etc/security/faillock.conf", "deny", "deny = 5\n", "5"},
		{"equals", "/etc/security/faillock.conf", "deny", "deny=5# x\n", "5"},
		{"equals", "/etc/security/faillock.conf", "deny", "deny 5\ndeny\t=\t6\r\n", "6"},
		{"equals", "/etc/security/faillock.conf", "unlock_time", "deny 5\nunlock_time = never", "never"},
		{"equals", "/etc/security/faillock.conf", "deny", "# deny = 5\n#Deny = 5\n", "not set"},
		{"equals", "/etc/security/faillock.conf", "even_deny_root", " even_deny_root # x\n", "set without a value"},
		{"equals", "/etc/security/faillock.conf", "even_deny_root", "even_deny_root = no\n", "set without a value"},

		{"equals", "/etc/audit/auditd.conf", "max_log_file", "max_log_file = 8\nMAX_LOG_FILE = 9\n", "9"},
		{"equals", "/etc/audit/auditd.conf", "log_group", "log_group = a\nspace_left_action = exec  /bin/x\n  # x = y\n", "a"},

		{"equals", "/etc/default/grub", "GRUB_X", "GRUB_X=\"a 'b' \\$c\" # d\n", "a 'b' $c"},
		{"equals", "/etc/default/grub", "GRUB_X", "export GRUB_X='a'b\\ c\n", "ab c"},
		{"equals", "/etc/default/grub", "GRUB_X", "GRUB_X=a#b\n# GRUB_X = c\n#GRUB_X=d\n", "a#b"},
		{"equals", "/etc/default/grub", "GRUB_X", "GRUB_X=a\nOTHER=`lsb_release -i`$(id; GRUB_X=b)\nMORE=${GRUB_X:-c}\n", "a"},
		{"equals", "/etc/default/grub", "GRUB_X", "GRUB_X='a\n b'\\\nc\nexport A=b", "a\n bc"},
		{"equals", "/etc/ufw/ufw.conf", "ENABLED", "ENABLED=no\nENABLED=yes # x\n", "yes"},
		{"equals", "/etc/adduser.conf", "DIR_MODE", "DIR_MODE = 0750\n", "0750"},
		{"equals", "/etc/adduser.conf", "DIR_MODE", "dir_mode='0750'\n", "0750"},
		{"equals", "/etc/deluser.conf", "BACKUP", "BACKUP=1 # x\n", "1 # x"},
		{"equals", "/etc/adduser.conf", "DIR_MODE", "DIR_MODE=\"0750\"\n", "0750"},
		{"equals", "/etc/default/useradd", "INACTIVE", "INACTIVE=29\nINACTIVE=30\n # INACTIVE=31\n", "30"},

		{"equals", "/etc/postfix/main.cf", "inet_interfaces", "inet_interfaces = loopback-only # x\n", "loopback-only # x"},
		{"equals", "/etc/postfix/main.cf", "inet_interfaces", "inet_interfaces=loopback-only\n# c\n\n  all\n", "loopback-only all"},
		{"equals", "/etc/postfix/main.cf", "inet_interfaces", "inet_interfaces = a\ninet_interfaces = ${b}$c\nb = loopback-only\n", "loopback-only$c"},
		{"equals", "/etc/postfix/main.cf", "inet_interfaces", "inet_interfaces = ${b?loopback-only}\nx = y\n  inet_interfaces = z\n", "${b?loopback-only}"},

		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "[Journal]\nStorage = a\nStorage=b ; c\n", "b ; c"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "[Journal]\nStorage=a\nStorage=\n", "not set"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "Storage=a\n[Other]\nStorage=b\n[journal]\nStorage=c\n", "not set"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "[Journal]\n;Storage=a\n #Storage=b\nstorage=c\n", "not set"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "[Journal]\nStorage=a \\\n# no\n  b\n", "a  b"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "[Journal]\nOther=a \\\nStorage=b\n", "not set"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "[Journal]\nOther=a \\\\\nStorage=b\n", "b"},
		{"ini", "/etc/systemd/journald.conf", "Journal.Storage", "\ufeff[Journal]\r\nStorage=b\r\n", "b"},
		{"ini", "/etc/systemd/timesyncd.conf", "Time.NTP", "[Time]\nNTP=a\nNTP=b c\n", "a b c"},
		{"ini", "/etc/systemd/timesyncd.conf", "Time.NTP", "[Time]\nNTP=a\nNTP=\nNTP=b\n", "b"},

		{"limits", "/etc/security/limits.conf", "* hard core", "* hard core 5\n", "5"},
		{"limits", "/etc/security/limits.conf", "* hard core", "*\t-\tcore\t5 # x\n", "5"},
		{"limits", "/etc/security/limits.conf", "* hard core", "* HARD Core 5\n* hard core 6\n", "6"},
		{"limits", "/etc/security/limits.conf", "* hard core", "* soft core 5\nroot hard nofile 6\n#* hard core 7\n", "not set"},

		{"ini", "/etc/gdm3/daemon.conf", "xdmcp.Enable", "# x\n[xdmcp]\nEnable = true\n[other]\nEnable=false\n", "true"},
		{"ini", "/etc/gdm3/daemon.conf", "xdmcp.Enable", "[xdmcp]\nenable=true\n[chooser]\nEnable=true\n", "not set"},
	} {
		s := memory(t, map[string]string{c.path: c.text})
		ask := "value: " + unlikely
		if c.want == "set without a value" {
			ask = "absent: true"
		}
		r := newSetting(t, `path: `+c.path+`, format: `+c.format+`, key: "`+c.key+`", `+ask)
		if got := have(t, s, r); got != c.want {
			t.Errorf("%s of %q is %q, want %q", c.key, c.text, got, c.want)
		}
		applied(t, s, r)
	}
}

// applied applies a resource, which then has nothing to do.
func applied(t *testing.T, s system.System, r resource) {
	t.Helper()
	ctx := context.Background()
	for _, want := range []bool{true, false} {
		if changed, err := r.Apply(ctx, s); err != nil || changed != want {
			t.Fatalf("applying: changed %v, %v", changed, err)
		}
	}
	if list, err := r.Check(ctx, s); err != nil || len(list) > 0 {
		t.Fatalf("after applying: %v, %v", list, err)
	}
}

func TestTheRestOfAFileStays(t *testing.T) {
	for _, c := range []struct{ fields, path, text, want string }{
		{"format: words, key: PASS_MAX_DAYS, at-most: 5", "/etc/login.defs", "PASS_MAX_DAYS 9\n\tPASS_MAX_DAYS\t 7\r\nUMASK 1", "PASS_MAX_DAYS 9\n\tPASS_MAX_DAYS\t 5\r\nUMASK 1"},
		{"format: words, key: UMASK, value: 5", "/etc/login.defs", "# UMASK is a mask\n# UMASK 3\n", "# UMASK is a mask\nUMASK\t5\n"},
		{"format: words, key: UMASK, value: 5", "/etc/login.defs", "#\tUMASK\tA mask\nTTYPERM 1", "#\tUMASK\tA mask\nTTYPERM 1\nUMASK\t5\n"},
		{"format: words, key: ENV_TZ, absent: true", "/etc/login.defs", "ENV_TZ 9\nUMASK 1\nENV_TZ 7", "#ENV_TZ 9\nUMASK 1\n#ENV_TZ 7"},
		{"format: equals, key: deny, at-most: 5", "/etc/security/faillock.conf", "deny 9 # many\n# deny = 3\n", "deny = 5 # many\n# deny = 3\n"},
		{"format: equals, key: deny, at-most: 5", "/etc/security/faillock.conf", "  deny  =  9 # many\n", "  deny  =  5 # many\n"},
		{"format: equals, key: dictpath, value: ''", "/etc/security/pwquality.conf", "dictpath = 1 # x\n", "dictpath # x\n"},
		{"format: equals, key: silent, value: ''", "/etc/security/faillock.conf", "# silent\n", "silent\n"},
		{"format: equals, key: A, value: a b", "/etc/default/x", "A='c' # d\n", "A=\"a b\" # d\n"},
		{"format: equals, key: A, value: a b", "/etc/default/x", "#A=\"\"\n", "A=\"a b\"\n"},
		{"format: equals, key: A, value: ''", "/etc/default/x", "A=b # d\n", "A=\"\" # d\n"},
		{"format: equals, key: name, value: x", "/etc/audit/auditd.conf", "##name = mydomain\nfreq = 1\n", "##name = mydomain\nfreq = 1\nname = x\n"},
		{"format: equals, key: a, value: c", "/etc/postfix/main.cf", "a = b\n# x\n  c\nd = $a\n", "a = c\nd = $a\n"},
		{"format: equals, key: a, value: c", "/etc/postfix/main.cf", "a =\n#a = c\n", "a = c\n#a = c\n"},
		{"format: equals, key: a, value: c", "/etc/postfix/main.cf", "b = d\n#a = c\n  e", "b = d\n#a = c\n  e\na = c\n"},
		{"format: equals, key: a, absent: true", "/etc/postfix/main.cf", "a = b\n# x\n  c\nd = e\n", "#a = b\n## x\n#  c\nd = e\n"},
		{"format: ini, key: A.B, value: c", "/etc/systemd/x.conf", "[Z]\nB=1\n[A]\nC=2\n\n[Y]\nB=3\n", "[Z]\nB=1\n[A]\nC=2\nB=c\n\n[Y]\nB=3\n"},
		{"format: ini, key: A.B, value: c", "/etc/systemd/x.conf", "[Z]\n#B=1\n[A]\n#B=2\n", "[Z]\n#B=1\n[A]\nB=c\n"},
		{"format: ini, key: A.B, value: c", "/etc/systemd/x.conf", "[Z]\n#B=1", "[Z]\n#B=1\n\n[A]\nB=c\n"},
		{"format: ini, key: A.B, value: c", "/etc/systemd/x.conf", "[A]\nC=1 \\\n[Z]\nD=2\n[Z]\n", "[A]\nC=1 \\\n[Z]\nD=2\nB=c\n[Z]\n"},
		{"format: ini, key: A.B, value: c", "/etc/systemd/x.conf", "[A]\nB = 1 \\\n 2\nD=2", "[A]\nB = c\nD=2"},
		{"format: ini, key: A.NTP, value: c", "/etc/systemd/x.conf", "[A]\nNTP=a\nNTP=b\n", "[A]\nNTP=a\nNTP=\nNTP=c\n"},
		{"format: limits, key: '* hard core', value: 0", "/etc/security/limits.conf", "* - core 5 # x\n* soft core 1\n", "* - core 5 # x\n*\thard\tcore\t0\n* soft core 1\n"},
		{"format: limits, key: '* hard core', value: 0", "/etc/security/limits.conf", "* hard core 5 # x\nroot hard core unlimited\n@a -\n", "* hard core 0 # x\nroot hard core 0\n#@a -\n"},
	} {
		s := memory(t, map[string]string{c.path: c.text})
		applied(t, s, newSetting(t, "path: "+c.path+", "+c.fields))
		data, err := system.ReadFile(s, c.path, 1000)
		if err != nil || string(data) != c.want {
			t.Errorf("%s:\n%q became\n%q, want\n%q: %v", c.fields, c.text, data, c.want, err)
		}
	}
}

func TestWhatCannotBeReadIsNoPass(t *testing.T) {
	ctx := context.Background()
	for _, c := range []struct{ fields, text, want string }{
		{"path: /etc/audit/auditd.conf, format: equals, key: freq, value: 1", "freq = 1\nname=d\n", "line 2: it is not of the form key = value"},
		{"path: /etc/login.defs, format: words, key: UMASK, value: 1", "UMASK 1\x00\n", "zero byte"},
		{"path: /etc/postfix/main.cf, format: equals, key: a, value: b", "a = b\ngarbage\n", "line 2 has no ="},
		{"path: /etc/postfix/main.cf, format: equals, key: a, value: b", " a = b\n", "line 1 begins with white space"},
		{"path: /etc/postfix/main.cf, format: equals, key: a, value: b", "a = b\nc d = e\n", "line 2: the name of a parameter is one word"},
		{"path: /etc/postfix/main.cf, format: equals, key: a, value: b", "a = b\nc = $d\nd = $c\n", "stands in its own value"},
		{"path: /etc/systemd/x.conf, format: ini, key: A.B, value: b", "[A]\nB=b\nC=d\rB=c\n", "carriage return"},
	} {
		r := newSetting(t, c.fields)
		name := strings.Fields(strings.ReplaceAll(c.fields, ",", ""))[1]
		if _, err := r.Check(ctx, memory(t, map[string]string{name: c.text})); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.fields, err, c.want)
		}
	}
}

func TestWhatIsReadLastIsWhereTheValueGoes(t *testing.T) {
	ctx := context.Background()
	journald := "path: /etc/systemd/journald.conf, format: ini, key: Journal.Storage, value: persistent, drop-in: 50-imgbuild.conf"
	for _, c := range []struct {
		name, fields string
		files        map[string]string
		// changed is the file that gets the value, "" when applying fails with
		// the error.
		changed, error string
	}{
		{"nothing there", journald, nil, "/etc/systemd/journald.conf.d/50-imgbuild.conf", ""},
		{"vendor's main file", journald, map[string]string{"/usr/lib/systemd/journald.conf": "[Journal]\nStorage=a\n"}, "/etc/systemd/journald.conf.d/50-imgbuild.conf", ""},
		{"later in etc", journald, map[string]string{"/etc/systemd/journald.conf.d/90-a.conf": "[Journal]\nStorage=a\n"}, "/etc/systemd/journald.conf.d/90-a.conf", ""},
		{"later of a package", journald, map[string]string{"/usr/lib/systemd/journald.conf.d/90-a.conf": "[Journal]\nStorage=a\n"}, "", "is not below /etc"},
		{"later but masked", journald, map[string]string{"/usr/lib/systemd/journald.conf.d/90-a.conf": "[Journal]\nStorage=a\n", "/etc/systemd/journald.conf.d/90-a.conf": "-> /dev/null"}, "/etc/systemd/journald.conf.d/50-imgbuild.conf", ""},
		{"own name masked", journald, map[string]string{"/etc/systemd/journald.conf.d/50-imgbuild.conf": "-> /dev/null"}, "", "not a regular file"},
		{"pwquality reads the main file last", "path: /etc/security/pwquality.conf, format: equals, key: minlen, at-least: 14, drop-in: a.conf",
			map[string]string{"/etc/security/pwquality.conf": "minlen = 8\n"}, "/etc/security/pwquality.conf", ""},
		{"pwquality without a line", "path: /etc/security/pwquality.conf, format: equals, key: minlen, at-least: 14, drop-in: a.conf",
			map[string]string{"/etc/security/pwquality.conf": "# minlen = 8\n"}, "/etc/security/pwquality.conf.d/a.conf", ""},
		{"no file", "path: /etc/login.defs, format: words, key: UMASK, value: 1", nil, "", "there is no file /etc/login.defs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := memory(t, c.files)
			r := newSetting(t, c.fields)
			if list, err := r.Check(ctx, s); err != nil || len(list) != 1 {
				t.Fatalf("before: %v, %v", list, err)
			}
			if c.error != "" {
				if _, err := r.Apply(ctx, s); err == nil || !strings.Contains(err.Error(), c.error) {
					t.Fatalf("got %v, want %s", err, c.error)
				}
				return
			}
			applied(t, s, r)
			data, err := system.ReadFile(s, c.changed, 1000)
			if err != nil || !strings.Contains(string(data), "persistent") && !strings.Contains(string(data), "14") {
				t.Errorf("%q, %v", data, err)
			}
		})
	}
}

// TestTheMainFileSaysSoItself is how journald is kept from forwarding on Debian,
// where a drop-in of the package asks for it.
func TestTheMainFileSaysSoItself(t *testing.T) {
	const main, drop = "/etc/systemd/journald.conf", "/etc/systemd/journald.conf.d/zz-imgbuild.conf"
	fields := "path: " + main + ", format: ini, key: Journal.ForwardToSyslog, value: \"no\", explicit: true, drop-in: "
	vendor := map[string]string{"/usr/lib/systemd/journald.conf.d/syslog.conf": "[Journal]\nForwardToSyslog=yes\n", main: "[Journal]\n#ForwardToSyslog=no\n"}
	s := memory(t, vendor)
	applied(t, s, newSetting(t, fields+"zz-imgbuild.conf"))
	for _, name := range []string{main, drop} {
		data, err := system.ReadFile(s, name, 1000)
		if err != nil || string(data) != "[Journal]\nForwardToSyslog=no\n" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	_, err := newSetting(t, fields+"50-imgbuild.conf").Apply(context.Background(), memory(t, vendor))
	if err == nil || !strings.Contains(fault.HintOf(err), "sorts after") {
		t.Errorf("a drop-in that comes too early: %v", err)
	}
	s = memory(t, map[string]string{main: "[Journal]\n", drop: "[Journal]\nForwardToSyslog=off\n"})
	r := newSetting(t, fields+"zz-imgbuild.conf")
	if got := have(t, s, r); got != "set elsewhere" {
		t.Errorf("it is %q", got)
	}
	applied(t, s, r)
	data, err := system.ReadFile(s, main, 1000)
	if err != nil || string(data) != "[Journal]\nForwardToSyslog=off\n" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestAnEmptyValueIsNeitherAValueNorNone(t *testing.T) {
	for fields, want := range map[string]string{"value: a": "not set", "absent: true": "a", "value: ''": ""} {
		s := memory(t, map[string]string{"/etc/systemd/x.conf": "[A]\nB=a\nB=\n"})
		r := newSetting(t, "path: /etc/systemd/x.conf, format: ini, key: A.B, "+fields)
		list, err := r.Check(context.Background(), s)
		if err != nil || len(list) > 1 || len(list) == 1 && list[0].Have != want || len(list) == 0 && want != "" {
			t.Errorf("%s: %v, %v", fields, list, err)
		}
		if want != "" {
			applied(t, s, r)
		}
	}
}

func TestUnitsAreFoundByAnyName(t *testing.T) {
	files := map[string]string{
		"/usr/lib/systemd/system/a-b.service":               "[Service]\nExecStart=/bin/true\nUMask=1\n",
		"/usr/lib/systemd/system/alias.service":             "-> a-b.service",
		"/usr/lib/systemd/system/t@.service":                "[Service]\nUMask=2\n",
		"/usr/lib/systemd/system/s@.service":                "-> t@.service",
		"/etc/systemd/system/other.service":                 "-> /usr/lib/systemd/system/a-b.service",
		"/run/systemd/system/other.service.d/x.conf":        "[Service]\nNice=8\n",
		"/etc/systemd/system/masked.service":                "-> /dev/null",
		"/usr/lib/systemd/system/masked.service":            "[Service]\n",
		"/etc/systemd/system/a-.service.d/10-x.conf":        "[Service]\nUMask=3\n",
		"/usr/lib/systemd/system/a-b.service.d/10-x.conf":   "[Service]\nUMask=4\n",
		"/etc/systemd/system/service.d/00-all.conf":         "[Service]\nPrivateTmp=on\n",
		"/etc/systemd/system/t@one.service.d/override.conf": "[Service]\nUMask=5\n",
	}
	ctx := context.Background()
	for _, c := range []struct{ unit, key, want string }{
		{"a-b.service", "Service.UMask", "3"},
		{"alias.service", "Service.UMask", "3"},
		{"a-b.service", "Service.Nice", "8"},
		{"alias.service", "Service.Nice", "8"},
		{"t@two.service", "Service.UMask", "2"},
		{"s@two.service", "Service.UMask", "2"},
		{"s@one.service", "Service.UMask", "5"},
		{"t@one.service", "Service.UMask", "5"},
		{"t@one.service", "Service.PrivateTmp", "on"},
		{"a-b.service", "Service.NoNewPrivileges", "not set"},
	} {
		if got := have(t, memory(t, files), newUnit(t, c.unit, c.key+": "+unlikely)); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.key, c.unit, got, c.want)
		}
	}
	s := memory(t, files)
	if list, err := newUnit(t, "masked.service", "Service.UMask: 7").Check(ctx, s); err != nil || len(list) > 0 {
		t.Errorf("a masked unit: %v, %v", list, err)
	}
	if list, err := newUnit(t, "a-b.service", `Service.PrivateTmp: "yes"`).Check(ctx, s); err != nil || len(list) > 0 {
		t.Errorf("yes is not on: %v, %v", list, err)
	}
	_, err := newUnit(t, "a-c.service", "Service.UMask: 7").Check(ctx, s)
	if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), `did you mean "a-b.service"?`) {
		t.Errorf("an unknown unit: %v", err)
	}
	// override.conf is read after imgbuild.conf.
	applied(t, s, newUnit(t, "t@one.service", "Service.UMask: 7"))
	applied(t, s, newUnit(t, "alias.service", `Service.UMask: 7, Service.NoNewPrivileges: "yes"`))
	applied(t, s, newUnit(t, "a-b.service", "Service.ProtectHome: true"))
	data, err := system.ReadFile(s, "/etc/systemd/system/a-b.service.d/imgbuild.conf", 1000)
	if want := "[Service]\nNoNewPrivileges=yes\nUMask=7\nProtectHome=true\n"; err != nil || string(data) != want {
		t.Errorf("%q, want %q: %v", data, want, err)
	}
}

func TestMistakesAreFoundAtTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		`{path: /etc/a, format: words, value: b}`:                                                        `missing key "key"`,
		`{path: /etc/a, format: word, key: A, value: b}`:                                                 `did you mean "words"?`,
		`{path: etc/a, format: words, key: A, value: b}`:                                                 `expected a clean absolute path below /etc`,
		`{path: /etc/../usr/a, format: words, key: A, value: b}`:                                         `expected a clean absolute path below /etc`,
		`{path: /etc/a, format: words, key: "A B", value: b}`:                                            `expected a key such as "PASS_MAX_DAYS", found "A B"`,
		`{path: /etc/a, format: ini, key: A, value: b}`:                                                  `expected a key such as "Journal.Storage"`,
		`{path: /etc/a, format: limits, key: core, value: b}`:                                            `expected a key such as "* hard core"`,
		`{path: /etc/login.defs, format: words, key: UMASK, value: 1, drop-in: x.conf}`:                  `/etc/login.defs has no directory of drop-ins`,
		`{path: /etc/security/limits.conf, format: limits, key: "* hard core", value: 0, drop-in: ../x}`: `expected a file name that ends in .conf`,
		`{path: /etc/login.defs, format: words, key: ENV_TZ, value: 'a"b'}`:                              `the file cannot hold the value`,
		`{path: /etc/security/faillock.conf, format: equals, key: dir, value: '/a#b'}`:                   `the file cannot hold the value`,
		`{path: /etc/login.defs, format: words, key: PASS_MAX_DAYS, at-most: 1x}`:                        `"1x" is not a number`,
		`{path: /etc/login.defs, format: words, key: UMASK}`:                                             `expected "value"`,
		`{path: /etc/app.conf, format: equals, key: A, value: b}`:                                        `how /etc/app.conf is, is not known`,
		`{path: /etc/host.conf, format: words, key: UMASK, value: b}`:                                    `how /etc/host.conf is, is not known`,
		`{path: /etc/app.ini, format: ini, key: A.B, value: b}`:                                          `how /etc/app.ini is, is not known`,
		`{path: /etc/login.defs, format: words, key: UMASKS, value: b}`:                                  `did you mean "UMASK"?`,
		`{path: /etc/security/faillock.conf, format: equals, key: deny, at-most: never}`:                 `"never" is not a number`,
	} {
		_, err := setting.New(entry(t, "x: "+text))
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		`nginx: {Service.UMask: 7}`:                   `expected the name of a unit such as nginx.service`,
		`nginx.service: {}`:                           `asks for nothing`,
		`nginx.service: {UMask: 7}`:                   `expected a section and a key`,
		`nginx.service: {Service.UMask: {atmost: 7}}`: `did you mean "at-most"?`,
		`nginx.service: {Service.UMask: 'a\'}`:        `the file cannot hold the value`,
	} {
		_, err := setting.NewUnit(entry(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
