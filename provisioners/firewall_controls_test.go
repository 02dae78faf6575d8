package provisioners_test

import (
	"strings"
	"testing"

	"imgbuild/images/control"
	"imgbuild/provisioners/system"
)

// TestIptablesWithoutRules: where iptables-persistent is the firewall, rules that
// nobody has saved drop nothing.
func TestIptablesWithoutRules(t *testing.T) {
	const open = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
	closed := strings.ReplaceAll(open, "ACCEPT", "DROP")
	fails := map[string]control.Result{"iptables-default-drop": control.Fail, "ip6tables-default-drop": control.Fail, "iptables-loopback": control.Fail, "ip6tables-loopback": control.Fail}
	for _, c := range []struct {
		rules string
		there bool
		want  map[string]control.Result
	}{
		{"", false, fails},
		{"", true, fails},
		{open, true, fails},
		{closed, true, map[string]control.Result{"iptables-default-drop": control.Pass, "ip6tables-default-drop": control.Pass}},
	} {
		s := system.NewMemory()
		write := func(name, text string) {
			t.Helper()
			if err := system.MkdirAll(s, name[:strings.LastIndexByte(name, '/')]); err != nil {
				t.Fatal(err)
			}
			if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
				t.Fatal(err)
			}
		}
		write("/var/lib/dpkg/status", "Package: iptables-persistent\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n")
		if c.there {
			write("/etc/iptables/rules.v4", c.rules)
			write("/etc/iptables/rules.v6", c.rules)
		}
		for _, one := range benchmarkControls(t, "cis-debian-12") {
			want, asked := c.want[one.ID]
			if !asked {
				continue
			}
			if got, err := one.Check(t.Context(), s); err != nil || got.Result != want {
				t.Errorf("%s with %q: %s, want %s (%s, %v)", one.ID, c.rules, got.Result, want, got.Why, err)
			}
		}
	}
}
