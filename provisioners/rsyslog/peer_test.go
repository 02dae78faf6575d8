package rsyslog_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/system"
)

// forms are configurations, and files that they include, after "=== NAME" lines.
// What rsyslogd -N1 says of each is what reading it must say.
var forms = []string{
	// What people write.
	"*.* /x\n", "*.* /x", "*.*\n/x\n", "*.* \\\n  /x\n", "*.* /x # comment\n", "*.info -/var/log/x;RSYSLOG_FileFormat # c\n", "*.*@host\n", "*.*;mail.none/x\n",
	"mail.=info;mail.!err,kern.* /x\n", "MAIL.INFO /x\n", "mail.3;mail.!=info /x\n", "auth,authpriv.*  /a\n*.=debug;auth,authpriv.none;news.none;mail.none -/var/log/debug\n",
	"*.emerg :omusrmsg:*\n", "*.* @@host:514\n& stop\n& ~\n", "*.* @(z9)h:514\n*.* @@(o)[::1]:514;RSYSLOG_ForwardFormat\n", "*.* stop\n*.* /x\n", "*.* |/dev/xconsole\n",
	":msg, contains, \"a\" /x\n:msg,!ereregex,\"a\\\"b\" ~\n", ":msg , contains , \"x\" /x\n", ":syslogtag, isequal, \"a:\" :omfile:/x\n", "*.* { /x\n}\n",
	"if $msg contains \"x\" then {\n /var/log/a\n} else { stop }\n*.* /x\n", "if $msg contains \"x\" then \n /var/log/a\n*.* /x\n",
	"if $msg contains \"x\" then { action(type=\"omfile\" file=\"/a\") }\n*.* /x\n",
	"if ($msg contains [\"a\",\"b\"]) and not (re_match($msg, \"x\") or $pri <= 5) then stop else if prifilt(\"mail.*\") then stop\n*.* /x\n",
	"if $msg <> 'a' AND NOT $msg != 0777 or 12 >= 3 then stop\n*.* /x\n", "if $syslogfacility-text == \"kern\" and $!a!b != 0x1f then /var/log/a\n*.* /x\n",
	"if /* c */ $msg == \"a\\$b\\n\\x41\\101\" then # c\n stop /* x */\n*.* /x\n", "if $msg == `echo a` then stop\n*.* /x\n",
	"set $.a = 1 + 2 * (3 - 4) & \"x\" ;\nunset $.a;\nreset $!b = [\"c\"];\n*.* /x\n", "set $.a = cstr(-1 - -2 % 3);\n*.* /x\n",
	"foreach ($.i in $!a) do { stop }\n*.* /x\n", "call_indirect $.a;\n*.* /x\n", "continue\n*.* /x\n", "ruleset(name=\"abc\" )\n{ }\n*.* { call abc }\n*.* /x\n",
	"template(name=\"ab\" type=\"list\") {\n property(name=\"msg\")\n constant(value=\"x\")\n}\n*.* /x;ab\n", "$template ab,\"%msg%#\\n\"\n*.* /x;ab\n",
	"template(name=\"x\" type=\"string\" string=\"%msg%\" option.sql=\"on\")\n*.* /x\n", "/* a\n*/\n*.* /x\n", "*.* /x\r\nmail.* /y\r\n",
	"Module ( Load = \"imuxsock\" )\n*.* /x\n", "module\n(\n# a )\nload=\"imtcp\" /* ) */)\ninput(type=\"imtcp\" port=\"514\")\n*.* /x\n", "module(load=\"im\\\nuxsock\")\n*.* /x\n",
	"module(load=\"imuxsock\" SysSock.Name=\"a\\\"b\\?\\'\\101\")\n*.* /x\n", "module(load=\"imuxsock\" SysSock.Name=`echo $HOME`)\n*.* /x\n",
	"global(environment=[\"A=b\", \"C=d\"])\n*.* /x\n", "action(type=\"omfile\" file=\"/a\") action(type=\"omfile\" file=\"/b\")\n", "main_queue(queue.type=\"LinkedList\")\n*.* /x\n",
	"*.* /x\n $FileCreateMode 0640 # x\n", "*.* /x\n$FileCreateMode 06\\\n40\n", "*.* {\n$FileCreateMode 0640\n/x\n}\n", "$ModLoad imudp\n$UDPServerRun 514\n*.* /x\n",
	"$DefaultNetstreamDriver gtls\n$ActionSendStreamDriverMode 1\n$ActionSendStreamDriverAuthMode x509/name\n*.* @@h:6514\n",
	"mail.info,kern,daemon.* /x\n", "mail.info,;kern.!=err /x\n", "*.* ./x\n", "*.* .x;RSYSLOG_FileFormat # c\n", "$outchannel c,/var/log/x\n*.* :omfile:$c\n", "*.* :omfile:-/x\n", "*.* action(type=\"omfile\" dynafile=\"RSYSLOG_FileFormat\")\n",
	// Includes.
	"include(text=\"*.* /x\")\n", "include(file=\"/nowhere\" mode=\"optional\")\n*.* /x\n", "$IncludeConfig /nowhere/*.conf\n*.* /x\n", "include(file=\"/d\")\n=== /d/a\n*.* /x\n",
	"include(file=\"/d/\")\n=== /d/sub/a\n*.* /x\n", " $IncludeConfig d/*.conf # c\n=== /d/a.conf\n*.* /x\n", "if $msg == \"a\" then include(file=\"/d/a\")\n*.* /x\n=== /d/a\nstop\n",
	"*.* {\n include(file=\"/d/a\") }\n=== /d/a\n/x\n", "include(file=\"/d/\\\\a\")\n=== /d/a\n*.* /x\n", "*.* /x\n$IncludeConfig /d/*\n=== /d/.hidden\nbad((\n",
	// What rsyslogd refuses.
	".* /x\n*.* /x\n", "*.* @(z9)h:51 /x\n", "*.* :musrmsg:*\n", "*.* :omfwd:h\n", "*.* :OMFILE:/x\n", "*.* :omfile:* /x\n", "*.* :omfile:/x /y\n", "*.* :omrelp:h:1\n*.* /x\n", "*.* >h,d,u,p\n*.* /x\n", "*.* -|/x\n",
	"mail.info,ke*.* /x\n", "mail.err,kern /x\n", "if $msg = 'a' then stop\n*.* /x\n", "module(lad=\"imuxsock\")\n*.* /x\n", "$FileCreateMode\\ 0640\n*.* /x\n",
	"*.* action(type=\"omfile\" fe=\"/a\")\n*.* /x\n",
	"", "# *.* /x\n", "# c \\\n*.* /x\n", "garbage\n*.* /x\n", "(\n*.* /x\n", "*.* /x\n}\n", "*.* /x\n;\n", "*.* /x\n\"abc\"\n", "*.* {\n/x\n", "if 1 then { }\n*.* /x\n", "else stop\n*.* /x\n",
	"module(load=\"imtcp\"\n*.* /x\n", "module(load=imtcp)\n*.* /x\n", "module(load='imtcp')\n*.* /x\n", "module(load=\"imtcp\", maxsessions=\"5\")\n*.* /x\n", "module(load=\"im\\q\")\n*.* /x\n",
	"global(a)\n*.* /x\n", "global(a=)\n*.* /x\n", "global(1a=\"x\")\n*.* /x\n", "global(environment=[\"A=b\" , ])\n*.* /x\n", "global(workDirectory=\"/\" workDirectory=\"/tmp\")\n*.* /x\n",
	"if 1 then { module(load=\"imklog\") }\n*.* /x\n", "*.* global(workDirectory=\"/\")\n*.* /x\n", "ruleset(name=\"a\")\n*.* /x\n", "template(name=\"a\" type=\"list\") {\n property(name=\"msg\")\n*.* /x\n",
	"foo.* /x\n", "*.foo /x\n", "mail.=!info /x\n", "*.info;/x\n", "local8.info /x\n", ":msg, contains /x\n*.* /y\n", ":msg, nosuch, \"x\" /x\n", "*.*\n", "call\n*.* /x\n", "*.* /x y\n", "*.* @\n*.* /x\n", "*.* @(z9host\n*.* /x\n",
	"*.* @(bad)host\n*.* /x\n", "*.* -@host\n*.* /x\n", "set $.a = 1\n*.* /x\n", "set $!a = ;\n*.* /x\n", "set $msg = 1;\n*.* /x\n", "unset $.a\n*.* /x\n", "set $.a = (1) (2);\n*.* /x\n",
	"if $msg contains then stop\n*.* /x\n", "if $msg == \"a$b\" then stop\n*.* /x\n", "if $msg == \"a\\q\" then stop\n*.* /x\n", "if $msg == # c\n \"a\" then stop\n*.* /x\n", "foreach ($.a in [1,2]) do stop\n*.* /x\n",
	"*.*  {\n/x\n& /y\n}\n& /z\n", "/* a\n*.* /x\n", "!prog\n*.* /x\n", "+host\n*.* /x\n", "$Garbage 1\n*.* /x\n", "$UDPServerRun 514\n*.* /x\n", "*.* /x\n$FileCreateMode 640\n", "*.* /x\n$FileCreateMode 0640 x\n",
	"*.* /x\n$FileCreateMode\n", "*.* /x\n*.* action(type=\"omfile\" file=\"/x\" FileCreateMode=\"644\")\n", "*.* /x\ninclude(text=\"bad((\")\n", "include(file=\"/nowhere\")\n*.* /x\n", "$IncludeConfig /nowhere\n*.* /x\n",
	"$IncludeConfig /d/*\n*.* /x\n=== /d/a\nbad((\n", "include(file=\"/d/{a,b}\")\n*.* /x\n=== /d/a\n\n", "*.* /x\ninclude(file=\"/d\")\n=== /d/sub/a\nmodule(\n",
}

// TestWhatParsesIsWhatRsyslogdTakes has rsyslogd judge configurations, and those
// that come with it.
func TestWhatParsesIsWhatRsyslogdTakes(t *testing.T) {
	root := peertest.Root(t, []string{"rsyslog", "libestr0", "libfastjson4"}, "/usr/sbin/rsyslogd")
	peertest.Write(t, root, "/etc/group", "root:x:0:\nadm:x:4:\n")
	for _, text := range forms {
		files := split(text)
		for name, text := range files {
			peertest.Write(t, root, name, text)
		}
		out, err := peertest.Command(root, "/usr/sbin/rsyslogd", "-N1", "-f", "/etc/test.conf").CombinedOutput()
		compare(t, text, files, err == nil, out)
		if err == nil {
			hardenedIsTaken(t, root, text, files)
		}
		for name := range files {
			if err := remove(root, name); err != nil {
				t.Fatal(err)
			}
		}
	}
	shipped := map[string]string{"/etc/test.conf": text(t, root, "/etc/rsyslog.conf")}
	out, err := peertest.Command(root, "/usr/sbin/rsyslogd", "-N1", "-f", "/etc/rsyslog.conf").CombinedOutput()
	compare(t, "what Debian ships", shipped, err == nil, out)
}

func compare(t *testing.T, form string, files map[string]string, takes bool, out []byte) {
	t.Helper()
	_, err := check(t, "{file-mode: 0666, main: /etc/test.conf}", files)
	if takes != (err == nil) {
		t.Errorf("%q: rsyslogd takes it: %v, reading it: %v\n%s", form, takes, err, out)
	}
}

// hardenedIsTaken has rsyslogd judge what hardening leaves.
func hardenedIsTaken(t *testing.T, root, form string, files map[string]string) {
	t.Helper()
	s := edittest.Memory(t, files)
	changed, err := state(t, "{listens: false, file-mode: 0640, main: /etc/test.conf}").Apply(t.Context(), s)
	if err != nil && !strings.Contains(err.Error(), "in the text of an include()") {
		t.Errorf("%q: %v", form, err)
	}
	if err != nil || !changed {
		return
	}
	for name := range files {
		after, _, err := system.ReadText(s, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		peertest.Write(t, root, name, after)
	}
	if out, err := peertest.Command(root, "/usr/sbin/rsyslogd", "-N1", "-f", "/etc/test.conf").CombinedOutput(); err != nil {
		t.Errorf("%q: hardened, rsyslogd does not take it: %s", form, out)
	}
}

// TestModesAreThoseOfTheFilesThatAreMade starts rsyslogd with rules of every kind:
// what is told of them is what their files get, before they are hardened and after.
func TestModesAreThoseOfTheFilesThatAreMade(t *testing.T) {
	root := peertest.Root(t, []string{"rsyslog", "libestr0", "libfastjson4"}, "/usr/sbin/rsyslogd")
	const main = "module(load=\"impstats\" interval=\"1\")\n$Umask 0000\n*.* /var/log/first\n$FileCreateMode 0600\n*.* /var/log/old\n" +
		"*.* action(type=\"omfile\" file=\"/var/log/new\")\n*.* action(type=\"omfile\" file=\"/var/log/own\" fileCreateMode=\"0604\")\n" +
		"module(load=\"builtin:omfile\" fileCreateMode=\"0666\")\n$FileCreateMode 0660\n*.* :omfile:/var/log/late\n*.* action(type=\"omfile\" file=\"/var/log/module\")\n"
	made := func(config string) map[string]fs.FileMode {
		peertest.Write(t, root, "/etc/test.conf", config)
		if err := remove(root, "/var/log"); err != nil {
			t.Fatal(err)
		}
		peertest.Write(t, root, "/var/log/x", "")
		cmd := peertest.Command(root, "/usr/sbin/rsyslogd", "-n", "-iNONE", "-f", "/etc/test.conf")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		modes := map[string]fs.FileMode{}
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			for _, name := range []string{"first", "old", "new", "own", "late", "module"} {
				if info, err := os.Stat(filepath.Join(root, "/var/log", name)); err == nil {
					modes[name] = info.Mode()
				}
			}
			if len(modes) == 6 {
				break
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return modes
	}
	if diff := cmp.Diff(map[string]fs.FileMode{"first": 0o644, "old": 0o600, "new": 0o644, "own": 0o604, "late": 0o660, "module": 0o666}, made(main)); diff != "" {
		t.Errorf("as it is (-want +got):\n%s", diff)
	}
	s := edittest.Memory(t, map[string]string{"/etc/test.conf": main})
	if _, err := state(t, "{file-mode: 0640, main: /etc/test.conf}").Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	after, _, err := system.ReadText(s, "/etc/test.conf", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]fs.FileMode{"first": 0o640, "old": 0o600, "new": 0o640, "own": 0o640, "late": 0o600, "module": 0o640}, made(after)); diff != "" {
		t.Errorf("hardened (-want +got):\n%s\n%s", diff, after)
	}
}

// split gives the files of a form.
func split(form string) map[string]string {
	files := map[string]string{}
	parts := strings.Split(form, "=== ")
	files["/etc/test.conf"] = parts[0]
	for _, part := range parts[1:] {
		name, text, _ := strings.Cut(part, "\n")
		if path.IsAbs(name) && path.Clean(name) == name {
			files[name] = text
		}
	}
	return files
}
