package setting_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/setting"
)

// reads tells whether a file with this text is read here, by a setting that it
// does not have.
func reads(t *testing.T, name, format, key, text string) error {
	t.Helper()
	s, err := setting.New(entry(t, "x: {path: "+name+", format: "+format+", key: '"+key+"', absent: true}"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Check(t.Context(), memory(t, map[string]string{name: text}))
	return err
}

// journal listens where syslog(3) of a root writes, and gives what was written
// since it was asked last.
func journal(t *testing.T, root string) func() string {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(root, "dev/log"), Net: "unixgram"}
	c, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Skip(err)
	}
	own, err := net.DialUnix("unixgram", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	const end = "asked"
	all := make(chan string)
	go func() {
		defer close(all)
		var b strings.Builder
		buffer := make([]byte, 8192)
		for {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			if string(buffer[:n]) != end {
				b.Write(append(buffer[:n], '\n'))
				continue
			}
			all <- b.String()
			b.Reset()
		}
	}()
	t.Cleanup(func() { own.Close(); c.Close() })
	return func() string {
		if _, err := own.Write([]byte(end)); err != nil {
			t.Fatal(err)
		}
		return <-all
	}
}

// TestModulesOfPAMComplainOfWhatIsNotRead lets both modules read files with one
// odd line each: a line that they log, or give up at, is an error here.
func TestModulesOfPAMComplainOfWhatIsNotRead(t *testing.T) {
	root := peertest.Root(t, []string{"pamtester", "libpam-modules", "libpam0g"}, "/usr/bin/pamtester",
		"/lib/x86_64-linux-gnu/security/pam_faillock.so", "/lib/x86_64-linux-gnu/security/pam_limits.so")
	said := journal(t, root)
	peertest.Write(t, root, "/etc/pam.d/faillock", "auth required pam_faillock.so preauth\nauth required pam_faillock.so authfail\n")
	peertest.Write(t, root, "/etc/pam.d/limits", "session required pam_limits.so\n")
	for _, c := range []struct {
		name, format, key, asks, action string
		// fine are lines that are read, odd those that are not.
		fine, odd []string
	}{
		{"/etc/security/faillock.conf", "equals", "admin_group", "faillock", "authenticate",
			[]string{"deny = 3", "deny 3 # x", "silent", "silent = no", "unlock_time=never", "\tfail_interval = 900\r", "dir = /run/faillock", "# x = y", "audit#"},
			[]string{"deny = x", "deny =", "Deny = 3", "deny: 3", "fail_interval = never", "unlock_time = 999999", "root_unlock_time = -1", "dir = faillock", "garbage", "= 3", "deny == 3"}},
		{"/etc/security/limits.conf", "limits", "* hard core", "limits", "open_session",
			[]string{"root hard nofile 99", "@root - nproc 9 # x", "root -", "root SOFT Core unlimited", "root hard nice -5", "1000: soft as infinity", "@0:5 hard cpu -1"},
			[]string{"root hard", "root hard nofile", "garbage", "root medium core 5", "root hard cores 5", "root hard core five", "x: hard core 5"}},
	} {
		ask := func(line string) string {
			peertest.Write(t, root, c.name, line+"\n")
			said()
			cmd := peertest.Command(root, "/usr/bin/pamtester", c.asks, "root", c.action)
			cmd.Stdin = strings.NewReader("x\n")
			out, err := cmd.CombinedOutput()
			if err != nil && !strings.Contains(string(out), "pamtester: ") {
				t.Skipf("pamtester: %v: %s", err, out)
			}
			return said()
		}
		complains := func(log string) bool {
			for _, word := range []string{"Unknown option", "Bad number", "not absolute", "invalid line", "unknown limit", "wrong limit", "invalid uid range", "skipped"} {
				if strings.Contains(log, word) {
					return true
				}
			}
			return false
		}
		for _, line := range c.fine {
			if log := ask(line); complains(log) {
				t.Errorf("%s: %q: %s", c.name, line, log)
			}
			if err := reads(t, c.name, c.format, c.key, line+"\n"); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
		for _, line := range c.odd {
			if log := ask(line); !complains(log) {
				t.Errorf("%s: no complaint of %q: %s", c.name, line, log)
			}
			if err := reads(t, c.name, c.format, c.key, line+"\n"); err == nil {
				t.Errorf("%s: %q is read", c.name, line)
			}
		}
	}
}

// auditdPlain are the lines that auditd.conf needs.
const auditdPlain = "space_left = 75\nadmin_space_left = 50\n"

// TestAuditdIsReadAsItsProgramsReadIt has aureport, which reads the same file
// by the same rules.
func TestAuditdIsReadAsItsProgramsReadIt(t *testing.T) {
	root := peertest.Root(t, []string{"auditd", "libauparse0", "libaudit1"}, "/sbin/aureport")
	for _, dir := range []string{"/var/log/audit/x", "/etc/audit/plugins.d/x"} {
		peertest.Write(t, root, dir, "")
	}
	for _, line := range []string{
		"freq = 5", "FREQ  =  5", "freq = 5 ", " freq = 5", "  # x", "log_format = ENRICHED", "name = a", "transport = TCP", "space_left = 30%", "num_logs = 5", "flush = DATA",
		"log_group = root", "tcp_client_ports = 1024-65535", "overflow_action = halt", "plugin_dir = /etc/audit/plugins.d", "max_log_file_action = keep_logs", "enable_krb5 = no",
		"freq=5", "freq =5", "freq\t= 5", "freq = 5\t", "freq = 5\r", "freq 5", "freq =", "freq = x", "freq = -1", "freq = 5 6", "garbage", "Freqs = 5", "log_format = plain",
		"disk_full_action = email", "disk_error_action = rotate", "max_log_file_action = halt", "admin_space_left = 80", "verify_email = 1", "space_left_action = exec relative",
		"action_mail_acct = r", "action_mail_acct = a,b", "flush = never", "local_events = maybe", "admin_space_left_action = halt now then", "freq = 5 # x",
	} {
		text := auditdPlain + line + "\n"
		peertest.Write(t, root, "/etc/audit/auditd.conf", text)
		cmd := peertest.Command(root, "/sbin/aureport", "-if", "/etc/passwd")
		out, _ := cmd.CombinedOutput()
		refused := strings.Contains(string(out), "line ") || strings.Contains(string(out), "must be larger") || strings.Contains(string(out), "email: ")
		if err := reads(t, "/etc/audit/auditd.conf", "equals", "krb5_principal", text); (err != nil) != refused {
			t.Errorf("%q: aureport says %q; here: %v", line, out, err)
		}
	}
}

// TestAdduserIsReadAsItsModuleReadsIt calls the function that adduser and
// deluser call.
func TestAdduserIsReadAsItsModuleReadsIt(t *testing.T) {
	peertest.Need(t, "perl")
	tree := peertest.Unpack(t, "adduser")
	file := filepath.Join(t.TempDir(), "adduser.conf")
	for _, line := range []string{
		"DIR_MODE=0750", "dir_mode = 0750", " DIR_MODE\t=\t0750", "DIR_MODE=\"0750\"", "DIR_MODE='0750'", "DIR_MODE=\"'0750'\"", "DIR_MODE=0750 # x", "DIR_MODE=", "#DIR_MODE=1", "DIR_MODE=\"0750",
		"DIR_MODE", " # DIR_MODE=1", "DIR_MODES=1", "export DIR_MODE=1", "DIR-MODE=1", "garbage",
	} {
		if err := os.WriteFile(file, []byte("DIR_MODE=1\n"+line+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("perl", "-I", tree.Path("usr/share/perl5"), "-MDebian::AdduserCommon", "-e",
			`sub gettext { $_[0] } my %c = (dir_mode => ""); read_config($ARGV[0], \%c); print $c{dir_mode}`, file)
		var warned strings.Builder
		cmd.Stderr = &warned
		out, err := cmd.Output()
		if err != nil {
			t.Skipf("perl: %v: %s", err, &warned)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		err = reads(t, "/etc/adduser.conf", "equals", "DIR_MODE", string(text))
		if (err != nil) != (warned.Len() > 0) {
			t.Errorf("%q: adduser warns %q; here: %v", line, &warned, err)
		}
		if err != nil {
			continue
		}
		got := have(t, memory(t, map[string]string{"/etc/adduser.conf": string(text)}), newSetting(t, "path: /etc/adduser.conf, format: equals, key: DIR_MODE, value: "+unlikely))
		if want := string(out); got != want && !(want == "" && got == "set without a value") {
			t.Errorf("%q: adduser has %q, here it is %q", line, want, got)
		}
	}
}

// TestShellIsReadAsShReadsIt takes files in with a dot: what sh makes of a
// value, and whether it could be told.
func TestShellIsReadAsShReadsIt(t *testing.T) {
	peertest.Need(t, "dash")
	file := filepath.Join(t.TempDir(), "x")
	for _, c := range []struct {
		text string
		// unclear says that nobody can tell here, though sh can.
		unclear bool
	}{
		{"A=b\n", false}, {"A=b # c\n", false}, {"A=b#c\n", false}, {"A='b  c'\n", false}, {"A=\"b \\$c \\x\"\n", false}, {"A=b\\ c\n", false}, {"A=b\\\nc\n", false},
		{"A=b\nA=c\n", false}, {"export A=b\n", false}, {"export A='b c'\n", false}, {"A=\n", false}, {"  A=b\n", false}, {"A='b\nc'\n", false}, {"A=b'c'\"d\"e\n", false},
		{"B=`echo x`\nA=c\n", false}, {"B=$(A=x; echo y)\nA=c\n", false}, {"A=c\nB=${A:-x}\n", false}, {"A=a=b\n", false}, {"A=b;\n", false}, {"A=*\n", false}, {"A={b,c}\n", false},
		{"A=\"`\necho x\n`\"\nA=b\n", true}, {"A=$B\n", true}, {"A=`echo b`\n", true}, {"A=~\n", true}, {"A=b:~\n", true}, {"A=$(echo b)\n", true}, {"A=b; A=c\n", true}, {"A=b B=c\n", true},
		{"A = b\n", true}, {"A=b c\n", true}, {"if true; then A=b; fi\n", true}, {"A=b\n. /dev/null\n", true}, {"A=b\nB=${A:=c}\n", true}, {"A=b\nunset A\n", true}, {"A=b\nB=$((A=1))\n", true},
		{"A=b\nC=${D?x}\n", true}, {"A+=b\n", true}, {"A=b &\n", true}, {"A=b >/dev/null\n", true}, {"A=b\nread A </dev/null\n", true}, {"A=b\nexport A=c\\*\n", true}, {"A=b\r\n", true}, {"A=\"b\n", true},
		{"A='b\n", true}, {"A=b\nB=$(echo\n", true}, {"A=b\nB=`echo\n", true}, {"A=(b)\n", true}, {"A=b)\n", true}, {"A=b\nfi\n", true}, {"A=b\nf() { A=c; }\n", true}, {"readonly A=b\nA=c\n", true},
		{"A=b\neval A=c\n", true}, {"A=b; }\n", true}, {"A=b\nB=\"${A\"\n", true}, {"A=b\nalias x=y\n", true}, {"A=b\nB=$\n", false}, {"A=b || A=c\n", true}, {"! A=b\n", true},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, shErr := exec.Command("dash", "-c", `. "$1"; printf %s "$A"`, "sh", file).Output()
		s := memory(t, map[string]string{"/etc/default/x": c.text})
		list, err := newSetting(t, "path: /etc/default/x, format: equals, key: A, value: "+unlikely).Check(t.Context(), s)
		switch {
		case err != nil:
			if !c.unclear {
				t.Errorf("%q: %v", c.text, err)
			}
		case c.unclear || shErr != nil:
			t.Errorf("%q is read: %v; sh: %q, %v", c.text, list, out, shErr)
		case list[0].Have != string(out) && !(len(out) == 0 && list[0].Have == "set without a value"):
			t.Errorf("%q: sh has %q, here it is %q", c.text, out, list[0].Have)
		}
	}
}

// TestShadowComplainsOfWhatIsNotRead holds what useradd says of its files.
func TestShadowComplainsOfWhatIsNotRead(t *testing.T) {
	peertest.Need(t, "useradd")
	if os.Getuid() != 0 {
		t.Skip("useradd takes root")
	}
	for _, c := range []struct{ name, format, key, text string }{
		{"/etc/login.defs", "words", "ENV_TZ", "PASS_MAX_DAYS 5\nUMASK 022\nTTYPERM 0600\n"},
		{"/etc/login.defs", "words", "ENV_TZ", "PASS_MAX_DAY 5\n"},
		{"/etc/login.defs", "words", "ENV_TZ", "pass_max_days 5\n"},
		{"/etc/login.defs", "words", "ENV_TZ", "PASS_MAX_DAYS=5 6\n"},
		{"/etc/login.defs", "words", "ENV_TZ", "PASS_MAX_DAYS 5 # so\n"},
		{"/etc/login.defs", "words", "ENV_TZ", "PASS_MAX_DAYS five\n"},
		{"/etc/login.defs", "words", "ENV_TZ", "[login]\nPASS_MAX_DAYS 5\ngarbage here\n"},
		{"/etc/default/useradd", "equals", "SKEL", "INACTIVE=5\nSHELL=/bin/sh\n# x\n\n"},
		{"/etc/default/useradd", "equals", "SKEL", "INACTIVE=five\n"},
		{"/etc/default/useradd", "equals", "SKEL", "INACTIVE=5 # x\n"},
		{"/etc/default/useradd", "equals", "SKEL", "INACTIVE=-2\n"},
		{"/etc/default/useradd", "equals", "SKEL", "INACTIVE=\"5\"\n"},
	} {
		root, _ := place(t, map[string]string{
			c.name: c.text, "/etc/skel/.keep": "", "/etc/passwd": "root:x:0:0::/:/bin/sh\n", "/etc/group": "root:x:0:\n", "/etc/shadow": "root:*:1::::::\n", "/etc/gshadow": "root:*::\n",
		})
		out, _ := exec.Command("useradd", "-P", root, "u").CombinedOutput()
		complains := strings.Contains(string(out), "configuration")
		if err := reads(t, c.name, c.format, c.key, c.text); (err != nil) != complains {
			t.Errorf("%s %q: useradd says %q; here: %v", c.name, c.text, out, err)
		}
	}
}

// TestStockFilesAreRead has the files that Debian's packages bring.
func TestStockFilesAreRead(t *testing.T) {
	tree := peertest.Unpack(t, "login", "passwd", "adduser", "auditd", "ufw", "aide-common", "libpam-modules", "gdm3", "grub2-common")
	for _, c := range []struct{ from, name, format, key string }{
		{"etc/login.defs", "/etc/login.defs", "words", "ENV_TZ"},
		{"etc/default/useradd", "/etc/default/useradd", "equals", "SKEL"},
		{"etc/adduser.conf", "/etc/adduser.conf", "equals", "DHOME"},
		{"etc/deluser.conf", "/etc/deluser.conf", "equals", "BACKUP"},
		{"etc/audit/auditd.conf", "/etc/audit/auditd.conf", "equals", "freq"},
		{"etc/default/ufw", "/etc/default/ufw", "equals", "IPV6"},
		{"usr/share/ufw/ufw.conf", "/etc/ufw/ufw.conf", "equals", "ENABLED"},
		{"usr/share/aide/config/default/aide", "/etc/default/aide", "equals", "CRON_DAILY_RUN"},
		{"etc/security/limits.conf", "/etc/security/limits.conf", "limits", "* hard core"},
		{"etc/security/faillock.conf", "/etc/security/faillock.conf", "equals", "deny"},
		{"etc/gdm3/daemon.conf", "/etc/gdm3/daemon.conf", "ini", "xdmcp.Enable"},
		{"usr/share/grub/default/grub", "/etc/default/grub", "equals", "GRUB_TIMEOUT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, err := os.ReadFile(tree.Path(c.from))
			if err != nil {
				t.Fatal(err)
			}
			if err := reads(t, c.name, c.format, c.key, string(data)); err != nil {
				t.Error(err)
			}
		})
	}
}
