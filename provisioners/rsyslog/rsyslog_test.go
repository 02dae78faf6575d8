package rsyslog_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit/edittest"
	"imgbuild/provisioners/rsyslog"
	"imgbuild/provisioners/system"
)

func state(t testing.TB, recipe string) *rsyslog.State {
	t.Helper()
	n, err := node.Parse("a.yaml", nil, "a.yaml", []byte("a: "+recipe))
	if err != nil {
		t.Fatal(err)
	}
	s, err := rsyslog.New(n.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t testing.TB, recipe string, files map[string]string) ([]system.Difference, error) {
	t.Helper()
	return state(t, recipe).Check(context.Background(), edittest.Memory(t, files))
}

func text(t *testing.T, root, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func remove(root, name string) error { return os.RemoveAll(filepath.Join(root, name)) }

// hardened is every wish at once.
const hardened = "{listens: false, file-mode: 0640, forwards: verified}"

const debian = "module(load=\"imuxsock\") # local\n$FileOwner root\n$FileCreateMode 0640\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.*;auth,authpriv.none\t-/var/log/syslog\nauth.*\t/var/log/auth.log\n*.emerg\t:omusrmsg:*\n"

// TestWhatIsFound has configurations with what is told of them, and what hardening
// them leaves; "refused" where it is left to a person.
func TestWhatIsFound(t *testing.T) {
	for _, c := range []struct {
		name, wish string
		files      map[string]string
		// want are parts of the differences, in order.
		want []string
		// left are the files that are changed.
		left    map[string]string
		refused string
	}{
		{"as Debian ships it", hardened, map[string]string{"/etc/rsyslog.conf": debian}, nil, nil, ""},
		{"a listener in a drop-in, over several lines", "{listens: false}", map[string]string{
			"/etc/rsyslog.conf": debian, "/etc/rsyslog.d/net.conf": "# remote\nmodule(\n  load = \"imtcp\"\n) # all\ninput(port=\"514\" type=\"imtcp\")\n"},
			[]string{"/etc/rsyslog.d/net.conf:2: module() of imtcp is an input from the network, should be absent", "/etc/rsyslog.d/net.conf:5: input() of imtcp"},
			map[string]string{"/etc/rsyslog.d/net.conf": "# remote\n"}, ""},
		{"one where no drop-in is", "{listens: false}", map[string]string{
			"/etc/rsyslog.conf": debian + "include(file=\"/srv/more/\")\n", "/srv/more/a": "$ModLoad imudp.so\n$UDPServerAddress *\n$UDPServerRun 514\nmail.* /var/log/m\n"},
			[]string{"/srv/more/a:1: $ModLoad of imudp", "/srv/more/a:2: $udpserveraddress", "/srv/more/a:3: $udpserverrun"},
			map[string]string{"/srv/more/a": "mail.* /var/log/m\n"}, ""},
		{"one beside something else", "{listens: false}", map[string]string{"/etc/rsyslog.conf": "module(load=\"imklog\") module(load=\"imrelp\") action(type=\"omfile\" file=\"/x\")\n"},
			[]string{"/etc/rsyslog.conf:1: module() of imrelp"}, map[string]string{"/etc/rsyslog.conf": "module(load=\"imklog\")  action(type=\"omfile\" file=\"/x\")\n"}, ""},
		{"one behind a joined comment is none", "{listens: false}", map[string]string{"/etc/rsyslog.conf": "# off \\\nmodule(load=\"imtcp\")\n*.* /x\n"}, nil, nil, ""},
		{"a module by its path", "{listens: false}", map[string]string{"/etc/rsyslog.conf": "module(load=\"/opt/imnet.so\")\n*.* /x\n"}, []string{"module() of imnet"}, map[string]string{"/etc/rsyslog.conf": "*.* /x\n"}, ""},
		{"one in a text", "{listens: false}", map[string]string{"/etc/rsyslog.conf": "*.* /x\ninclude(text=\"$ModLoad imtcp\")\n"}, []string{"/etc/rsyslog.conf:2: $ModLoad of imtcp"}, nil, "in the text of an include()"},
		{"no mode at all", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "# mine\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /x\n", "/etc/rsyslog.d/a.conf": "mail.* ?mails\n"},
			[]string{"/etc/rsyslog.conf: $FileCreateMode is 0644, should be at most 0640"},
			map[string]string{"/etc/rsyslog.conf": "# mine\n$FileCreateMode 0640\n$IncludeConfig /etc/rsyslog.d/*.conf\n*.* /x\n"}, ""},
		{"a drop-in that opens what follows", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": debian, "/etc/rsyslog.d/a.conf": "  $filecreatemode 0644\n"},
			[]string{"/etc/rsyslog.d/a.conf:1: $FileCreateMode is 0644"}, map[string]string{"/etc/rsyslog.d/a.conf": ""}, ""},
		{"the only one, open", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0666 # all\n*.* /x\n"},
			[]string{"$FileCreateMode is 0666"}, map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\n*.* /x\n"}, ""},
		{"directives that are reset", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\n*.* /x\n$ResetConfigVariables\n"},
			[]string{"/etc/rsyslog.conf:3: $FileCreateMode is 0644"}, map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\n*.* /x\n$ResetConfigVariables\n$FileCreateMode 0640\n"}, ""},
		{"an action does not go by the directive", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\n*.* action(type=\"omfile\"\n  dynafile=\"a\"\n)\n"},
			[]string{"/etc/rsyslog.conf:2: fileCreateMode of an action, by default is 0644"}, map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\n*.* action(type=\"omfile\"\n  dynafile=\"a\" fileCreateMode=\"0640\"\n)\n"}, ""},
		{"one in a ruleset, joined", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\nruleset(name=\"ab\") {\n if 1 then {\n  stop\n } else action(type=\"omfile\" file=\"/x\" fileCreate\\\nMode=\"06\\\n44\")\n}\n"},
			[]string{"fileCreateMode of an action is 0644"}, map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\nruleset(name=\"ab\") {\n if 1 then {\n  stop\n } else action(type=\"omfile\" file=\"/x\" fileCreate\\\nMode=\"0640\")\n}\n"}, ""},
		{"the module's", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\nmodule(load=\"builtin:omfile\" fileCreateMode=\"0644\")\n*.* action(type=\"omfile\" file=\"/x\")\n"},
			[]string{"/etc/rsyslog.conf:2: fileCreateMode of the module omfile is 0644"}, map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\nmodule(load=\"builtin:omfile\" fileCreateMode=\"0640\")\n*.* action(type=\"omfile\" file=\"/x\")\n"}, ""},
		{"files by other names", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "*.* ./x\n$FileCreateMode 0640\n*.* /y\n"}, []string{"/etc/rsyslog.conf: $FileCreateMode is 0644"},
			map[string]string{"/etc/rsyslog.conf": "$FileCreateMode 0640\n*.* ./x\n$FileCreateMode 0640\n*.* /y\n"}, ""},
		{"a device is not made", "{file-mode: 0640}", map[string]string{"/etc/rsyslog.conf": "*.* /dev/tty8\n*.* |/dev/xconsole\n$FileCreateMode 0640\n"}, nil, nil, ""},
		{"in clear, over several lines", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": debian, "/etc/rsyslog.d/a.conf": "*.* action(\n  type=\"omfwd\"\n  target=\"logs.example.com\" protocol=\"tcp\"\n)\n"},
			[]string{"/etc/rsyslog.d/a.conf:1: action of omfwd is sent in clear, should be encrypted"}, nil, "which certificates to trust"},
		{"in clear, as of old", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "$ModLoad omrelp\n*.*@a\nmail.* @@(o)[2001:db8::1]:514\n& :omrelp:b:1\n*.* @127.0.0.1:514\n*.* @@[::1]\n"},
			[]string{"/etc/rsyslog.conf:2: action of omfwd", "/etc/rsyslog.conf:3: action of omfwd", "/etc/rsyslog.conf:4: action of omrelp"}, nil, "which certificates to trust"},
		{"encrypted", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "global(defaultNetstreamDriver=\"gtls\")\n*.* action(type=\"omfwd\" target=\"a\" protocol=\"tcp\" StreamDriverMode=\"1\")\n*.* action(type=\"omrelp\" target=\"a\" tls=\"on\")\n"}, nil, nil, ""},
		{"to whoever answers", "{forwards: verified}", map[string]string{"/etc/rsyslog.conf": "$ActionSendStreamDriver gtls\n$ActionSendStreamDriverMode 1\n*.* @@a\n$ActionSendStreamDriverAuthMode x509/name\n*.* @@a\n"},
			[]string{"/etc/rsyslog.conf:3: action of omfwd is sent to whoever answers"}, nil, "which certificates to trust"},
		{"the mode is not on", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "*.* action(type=\"omfwd\" target=\"a\" protocol=\"tcp\" StreamDriver=\"gtls\" StreamDriverMode=\"0\")\n"}, []string{"sent in clear"}, nil, "which certificates"},
		{"by UDP TLS does nothing", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "*.* action(type=\"omfwd\" target=\"a\" StreamDriver=\"gtls\" StreamDriverMode=\"1\")\n"}, []string{"sent in clear"}, nil, "which certificates"},
		{"to two, of which one is here", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "*.* action(type=\"omfwd\" target=[\"::1\", \"a\"] protocol=\"tcp\")\n"}, []string{"sent in clear"}, nil, "which certificates"},
		{"a server by its scheme", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "*.* action(type=\"omelasticsearch\" server=[\"https://a\", \"b\"] usehttps=\"on\")\n*.* action(type=\"omhttp\" server=\"https://a\" usehttps=\"off\")\n" +
			"*.* action(type=\"omelasticsearch\" server=[\"b\", \"http://a\"] usehttps=\"on\")\n*.* action(type=\"omelasticsearch\" server=[\"https://a\", \"b\"])\n"},
			[]string{"/etc/rsyslog.conf:3: action of omelasticsearch is sent in clear", "/etc/rsyslog.conf:4: action of omelasticsearch"}, nil, "which certificates"},
		{"what is not understood", "{forwards: encrypted}", map[string]string{"/etc/rsyslog.conf": "*.* action(type=\"omkafka\" topic=\"a\")\n"}, []string{"action of omkafka is sent in a way of which it is not known"}, nil, "which certificates"},
		{"started with another configuration", "{listens: false}", map[string]string{"/etc/rsyslog.conf": debian, "/usr/lib/systemd/system/rsyslog.service": "[Service]\nExecStart=/usr/sbin/rsyslogd -n -iNONE\n",
			"/etc/systemd/system/rsyslog.service.d/a.conf": "[Service]\nExecStart=\nExecStart=/usr/sbin/rsyslogd -iNONE \\\n  -nf /srv/mine.conf\n"}, []string{"/etc/systemd/system/rsyslog.service.d/a.conf: ExecStart is rsyslogd with the configuration /srv/mine.conf"}, nil, "ExecStart is"},
		{"users, as of old", hardened, map[string]string{"/etc/rsyslog.conf": debian + "*.alert root,joe\n*.emerg *\n"}, nil, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			edittest.Case{Files: c.files, Found: c.want, Left: c.left, Refused: c.refused}.Run(t, state(t, c.wish))
		})
	}
}

// TestWhatCannotBeToldIsAnError has what no reading of files tells.
func TestWhatCannotBeToldIsAnError(t *testing.T) {
	for _, text := range []string{
		"*.* /x\ninclude(file=`echo $A`)\n", "*.* action(type=`echo omfile` file=\"/x\")\n", "*.* action(file=\"/x\")\n", "module(load=`echo imtcp`)\n*.* /x\n",
		"*.* action(type=\"omfile\" file=\"/x\" fileCreateMode=`echo 0640`)\n", "*.* action(type=\"omfwd\" target=\"a\" protocol=`echo tcp`)\n",
		"global(defaultNetstreamDriver=`echo gtls`)\n*.* /x\n", "*.* /x\n\x00", "*.* /x\ninclude(file=\"/etc/rsyslog.conf\")\n", "*.* /x\ninclude(text=\"a\")\n",
		strings.Repeat("*.* {\n", 100) + "/x\n" + strings.Repeat("}\n", 100), "if " + strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000) + " then stop\n*.* /x\n",
	} {
		if d, err := check(t, hardened, map[string]string{"/etc/rsyslog.conf": text}); err == nil {
			t.Errorf("%.60q is told: %v", text, d)
		}
	}
	if _, err := check(t, hardened, nil); err == nil {
		t.Error("without a configuration it is told")
	}
}

// FuzzApply hardens whatever is taken for a configuration: either that is an error,
// or the states hold afterwards and a second time changes nothing.
func FuzzApply(f *testing.F) {
	for _, form := range forms {
		f.Add(form)
	}
	f.Add(debian)
	f.Fuzz(func(t *testing.T, form string) {
		files := split(form)
		files["/d/z"] = "*.* /x\n"
		s := edittest.Memory(t, files)
		wish := state(t, "{listens: false, file-mode: 0640, forwards: encrypted, main: /etc/test.conf}")
		if _, err := wish.Apply(t.Context(), s); err != nil {
			return
		}
		edittest.Settled(t, wish, s)
	})
}
