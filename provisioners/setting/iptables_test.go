package setting_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/system"
)

const rulesV4 = "/etc/iptables/rules.v4"

// rules4 is a file of rules with these in its filter table.
func rules4(more string) string {
	return "# x\n*filter\n:INPUT ACCEPT [1:2]\n:FORWARD DROP [0:0]\n:own - [0:0]\n" + more + "COMMIT\n"
}

func TestRulesAreReadInTheirOrder(t *testing.T) {
	for _, c := range []struct{ key, more, want string }{
		{"filter INPUT", "", "ACCEPT"},
		{"filter FORWARD", "", "DROP"},
		{"filter OUTPUT", "", "not set"},
		{"filter FORWARD", "-A FORWARD -i lo -j ACCEPT\n", "DROP"},
		{"filter FORWARD", "-A FORWARD -j ACCEPT\n", "ACCEPT"},
		{"filter FORWARD", "-A FORWARD -s 0.0.0.0/0 -p all -m comment --comment \"a b\" -j ACCEPT\n", "ACCEPT"},
		{"filter FORWARD", "-A FORWARD -j DROP\n-A FORWARD -j ACCEPT\n", "DROP"},
		{"filter INPUT -s 127.0.0.0/8", "-A INPUT -s 127.0.0.0/8 -j DROP\n", "DROP"},
		{"filter INPUT -s 127.0.0.0/8", "[4:5] -A INPUT --src 127.1.2.3/8 --jump REJECT --reject-with icmp-port-unreachable\n", "REJECT --reject-with icmp-port-unreachable"},
		{"filter INPUT -s 127.0.0.0/8", "-A INPUT ! -s 127.0.0.0/8 -j DROP\n-A INPUT -s 127.0.0.0/8 -i eth0 -j DROP\n-A own -s 127.0.0.0/8 -j DROP\n", "not set"},
		{"filter INPUT -s 127.0.0.0/8", "-A INPUT -s 127.0.0.0/8 -j ACCEPT\n-A INPUT -s 127.0.0.0/8 -j DROP\n", "ACCEPT"},
		{"filter INPUT -s 127.0.0.0/8", "-A INPUT -j ACCEPT\n-A INPUT -s 127.0.0.0/8 -j DROP\n", "not set"},
		{"filter INPUT -p tcp --dport 22 -i lo", "-A INPUT -i lo -p tcp -m tcp --dport 22 -j own\n", "own"},
	} {
		s := memory(t, map[string]string{rulesV4: rules4(c.more)})
		r := newSetting(t, "path: "+rulesV4+", format: iptables, key: '"+c.key+"', value: elsewhere")
		if got := have(t, s, r); got != c.want {
			t.Errorf("%s of %q is %q, want %q", c.key, c.more, got, c.want)
		}
	}
}

func TestRulesAreWrittenBeforeTheOthers(t *testing.T) {
	for _, c := range []struct{ key, text, want string }{
		{"filter INPUT", rules4(""), strings.Replace(rules4(""), "INPUT ACCEPT", "INPUT DROP", 1)},
		{"filter INPUT", "", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"},
		{"filter INPUT", "*nat\nCOMMIT\n", "*nat\nCOMMIT\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n"},
		{"filter INPUT", rules4("-A INPUT -j ACCEPT\n"), rules4("-A INPUT -j DROP\n")},
		{"filter INPUT -i lo", rules4("-A own -j DROP\n-A INPUT -j ACCEPT\n"), rules4("-A own -j DROP\n-A INPUT -i lo -j DROP\n-A INPUT -j ACCEPT\n")},
		{"filter INPUT -i lo", rules4(""), rules4("-A INPUT -i lo -j DROP\n")},
		{"filter INPUT -i lo", rules4("-A INPUT -i lo -j ACCEPT\n"), rules4("-A INPUT -i lo -j DROP\n")},
		{"filter INPUT -s 127.0.0.0/8", rules4("-A INPUT -i lo -j ACCEPT\n-A INPUT -j own\n"), rules4("-A INPUT -i lo -j ACCEPT\n-A INPUT -s 127.0.0.0/8 -j DROP\n-A INPUT -j own\n")},
		{"filter OUTPUT -o lo", "*filter\nCOMMIT\n", "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -o lo -j DROP\nCOMMIT\n"},
	} {
		s := memory(t, map[string]string{rulesV4: c.text})
		applied(t, s, newSetting(t, "path: "+rulesV4+", format: iptables, key: '"+c.key+"', value: DROP"))
		data, err := system.ReadFile(s, rulesV4, 10_000)
		if err != nil || string(data) != c.want {
			t.Errorf("%s: %q became\n%q, want\n%q: %v", c.key, c.text, data, c.want, err)
		}
	}
}

// TestRulesAreReadAsIptablesReadsThem gives files to iptables-restore-translate,
// which reads what iptables-restore does and loads nothing: what it refuses is an
// error here.
func TestRulesAreReadAsIptablesReadsThem(t *testing.T) {
	peertest.Need(t, "iptables-restore-translate")
	file := filepath.Join(t.TempDir(), "rules")
	refused := 0
	for _, text := range []string{
		rules4(""), rules4("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 80,443 -m conntrack --ctstate NEW -j ACCEPT\n-A INPUT -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix \"[x] \"\n"),
		rules4("-A INPUT -i lo -j ACCEPTED\n"), rules4("-A INPUT -i\n"), rules4("-A INPUT --in lo -j ACCEPT x\n"), rules4("-A INPUT -s 127.0.0.0/99 -j DROP\n"), rules4("-A INPUT -s ::1 -j DROP\n"),
		rules4("-A INPUT --dport 22 -j ACCEPT\n"), rules4("-A INPUT -p tcp --dport a:b -j ACCEPT\n"), rules4("-A INPUT -m nothing -j ACCEPT\n"), rules4("-A INPUT -m conntrack --ctstate OLD -j ACCEPT\n"),
		rules4("-A INPUT -j REJECT --reject-with never\n"), rules4("-A INPUT -j DROP --reject-with tcp-reset\n"), rules4("-A nowhere -j DROP\n"), rules4("-A INPUT -j nowhere\n"), rules4("garbage\n"),
		rules4("-A INPUT -m comment --comment \"a -j ACCEPT\n"), rules4(" -A INPUT -j ACCEPT\n"), rules4("\t\n"), rules4("-P INPUT ACCEPT\n"), rules4("-F INPUT\n"), rules4("-D INPUT 1\n"), rules4("-I INPUT -j ACCEPT\n"),
		rules4("") + rules4(""), "*filter\n:INPUT DROP [0:0]\n", "*filters\nCOMMIT\n", "COMMIT\n", ":INPUT DROP [0:0]\n", "*filter\n:INPUT DROPPED [0:0]\nCOMMIT\n", "*filter\n:INPUT\nCOMMIT\n", "*filter\n*nat\nCOMMIT\n",
		rules4("-A INPUT -p icmp --icmp-type 8 -j ACCEPT\n"), rules4("-A INPUT -p icmp --icmp-type eight -j ACCEPT\n"), rules4("-A INPUT -m addrtype --dst-type LOCAL -j RETURN\n"), rules4("-A INPUT -i lo ! -j ACCEPT\n"),
		rules4("-A INPUT -m limit --limit often -j ACCEPT\n"), rules4("-A INPUT -i lo -i eth0 -j DROP\n"), rules4("-A INPUT -g own\n"), rules4("-A INPUT -j own\n-A own -j ACCEPT\n"), rules4("-A INPUT -j ACCEPT -i lo\n"),
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, peer := exec.Command("iptables-restore-translate", "-f", file).CombinedOutput()
		if peer != nil {
			refused++
		}
		if err := reads(t, rulesV4, "iptables", "filter OUTPUT", text); peer != nil && err == nil {
			t.Errorf("%q is read; iptables: %s", text, out)
		}
	}
	if refused < 10 {
		t.Errorf("iptables refused %d files alone", refused)
	}
}

// TestRulesOfUfwAreRead has the files that ufw copies to /etc/ufw.
func TestRulesOfUfwAreRead(t *testing.T) {
	tree := peertest.Unpack(t, "ufw")
	for name, keys := range map[string][]string{
		"before": {"filter ufw-before-input -i lo", "filter ufw-before-output -o lo"}, "before6": {"filter ufw6-before-input -i lo", "filter ufw6-before-output -o lo"}, "after": nil, "after6": nil,
	} {
		data, err := os.ReadFile(tree.Path("usr/share/ufw/iptables/" + name + ".rules"))
		if err != nil {
			t.Fatal(err)
		}
		path := "/etc/ufw/" + name + ".rules"
		s := memory(t, map[string]string{path: string(data)})
		if err := reads(t, path, "iptables", "filter x", string(data)); err != nil {
			t.Error(err)
		}
		for _, key := range keys {
			if list, err := newSetting(t, "path: "+path+", format: iptables, key: "+key+", value: ACCEPT").Check(t.Context(), s); err != nil || len(list) > 0 {
				t.Errorf("%s: %v, %v", path, list, err)
			}
		}
	}
}
