package nftables_test

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/nftables"
	"imgbuild/provisioners/system"
)

func decode(t testing.TB, recipe string) []*nftables.State {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte(recipe))
	if err != nil {
		t.Fatal(err)
	}
	var list []*nftables.State
	for _, e := range n.Entries {
		s, err := nftables.New(e)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// groups are rules in the forms that mean the same.
var groups = [][]string{
	{"ct state established,related accept", "ct state { related, established } accept", "ct state related , established counter packets 5 bytes 10 accept", `ct state established,related accept comment "x"`},
	{"iif lo accept", `iif "lo" accept`, "meta iif lo accept", "iifname lo accept", "iif == lo counter accept", "iif eq lo accept"},
	{"iif != lo ip saddr 127.0.0.0/8 drop", `iifname ne "lo" ip saddr 127.0.0.1/8 drop`},
	{"tcp dport 22 accept", "tcp dport ssh accept", "tcp dport { 22 } accept", "tcp dport { ssh } counter accept", "meta l4proto tcp tcp dport 22 accept"},
	{"tcp dport { 80, 443 } accept", "tcp dport {https,http} accept", "tcp dport { 443, { 80, 443 } } accept"},
	{"tcp flags syn,ack drop", "tcp flags ack , syn drop"},
	{"tcp flags { syn, ack } drop"},
	{"ip6 saddr ::1 drop", "ip6 saddr 0:0:0:0:0:0:0:1/128 drop"},
	{"ct state vmap { established : accept, invalid : drop }", "ct state vmap {invalid:drop,established:accept}"},
	{"tcp dport 1-1024 drop", "tcp dport 1 - 1024 drop"},
	{"udp dport 1-1024 drop"},
	{`log prefix "in: " drop`}, {`log prefix "out: " drop`},
	{"meta mark 16 accept", "mark 0x10 accept"},
	{"reject", "reject with icmpx type port-unreachable", "reject with icmpx port-unreachable"},
	{"limit rate 10/second accept", "limit rate 10/second burst 5 packets accept"},
	{"ether saddr 00:11:22:33:44:55 accept"},
}

func TestOneMeaningHasOneForm(t *testing.T) {
	seen := map[string]string{}
	for _, group := range groups {
		var first string
		for i, rule := range group {
			form, err := nftables.Normal(rule)
			if err != nil {
				t.Fatalf("%q: %v", rule, err)
			}
			if again, err := nftables.Normal(form); again != form || err != nil {
				t.Errorf("%q is %q, then %q, %v", rule, form, again, err)
			}
			if i == 0 {
				first = form
				if other, taken := seen[form]; taken {
					t.Errorf("%q and %q mean the same", other, rule)
				}
				seen[form] = rule
			} else if form != first {
				t.Errorf("%q and %q: %q and %q", group[0], rule, first, form)
			}
		}
	}
}

const everything = `#!/usr/sbin/nft -f
flush ruleset
include "/etc/nftables.d/*.conf"
define lan = { 10.0.0.0/8,
	192.168.0.0/16 } # private
define ports = 22
table inet filter {
	comment "all of it"
	set blocked {
		type ipv4_addr; flags interval
		elements = { 192.0.2.0/24,
			198.51.100.1 }
	}
	chain input {
		type filter hook input priority filter - 5; policy drop
		ct state vmap { established : accept, related : accept, \
			invalid : drop }
		ip saddr @blocked drop; iif lo accept
		ip saddr $lan tcp dport { $ports, $web } accept # a comment; with }
		jump extra
	}
	chain extra { udp dport 53 accept; return; }
	chain output { type filter hook output priority 0; }
}
add table ip nat
add chain ip nat out { type nat hook postrouting priority srcnat; policy accept; }
add rule ip nat out oifname "eth0" masquerade
insert rule nat out oifname "eth1" return
table inet filter { chain extra { accept; }; }
`

func TestParse(t *testing.T) {
	s := memory(t, map[string]string{"/etc/nftables.conf": everything, "/etc/nftables.d/a.conf": "define web = { http, https }\n", "/etc/nftables.d/.hidden.conf": "nonsense"})
	set, err := nftables.Load(s, "/etc/nftables.conf")
	if err != nil {
		t.Fatal(err)
	}
	want := []*nftables.Chain{
		{Family: "inet", Table: "filter", Name: "input", Type: "filter", Hook: "input", Priority: -5, Policy: "drop", Rules: []string{
			"ct state vmap { established : accept , invalid : drop , related : accept }", "ip saddr @blocked drop", "iif lo accept",
			"ip saddr { 10.0.0.0/8 , 192.168.0.0/16 } tcp dport { 22 , 443 , 80 } accept", "jump extra",
		}},
		{Family: "inet", Table: "filter", Name: "extra", Rules: []string{"udp dport 53 accept", "return", "accept"}},
		{Family: "inet", Table: "filter", Name: "output", Type: "filter", Hook: "output", Policy: "accept"},
		{Family: "ip", Table: "nat", Name: "out", Type: "nat", Hook: "postrouting", Priority: 100, Policy: "accept", Rules: []string{"oifname eth1 return", "oifname eth0 masquerade"}},
	}
	if diff := cmp.Diff(want, set.Chains); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	fine := []string{"table inet f { chain x { accept; }; }"}
	for _, text := range []string{
		"table inet filter {", "table inet filter { chain x {", "nonsense", "table inet f { chain input { type filter hook input } }", "add rule inet f input accept",
		"table inet f { chain x { ip saddr $lan accept } }", `include "/etc/missing"`, "include /etc/x", "table inet f { wrong }", "add chain inet f x y",
		"add chain inet f x\nadd rule inet f x position 3 accept", "delete rule inet f x handle 3", "replace rule inet f x handle 3 accept", "table inet f { chain x { \"open",
		"table inet f { chain i { type filter hook input priority high; } }", "table inet f { chain x { ip saddr { 10.0.0.1 accept } }", "flush everything",
		"table inet f { chain i { type filter hook input priority 0; } chain i { type filter hook output priority 0; }; }", `include "/etc/self"`, "} ", "table inet f { chain x { accept } ; }", "table inet f { chain x { accept; } }", "table inet f { } table inet g { }", "table inet f { chain i { policy maybe; } }",
	} {
		// Blocks on one line are written right as well, so that this is not the mistake found.
		for _, text := range []string{text, strings.NewReplacer(" }; }", "; }; }", "; } }", "; }; }", " } }", "; }; }").Replace(text)} {
			s := memory(t, map[string]string{"/etc/nftables.conf": text, "/etc/self": `include "/etc/self"`})
			set, err := nftables.Load(s, "/etc/nftables.conf")
			if err == nil && !slices.Contains(fine, text) {
				t.Errorf("%q: %d chains", text, len(set.Chains))
			}
		}
	}
}

const firewall = `inet filter input: {policy: drop, loopback: true, rules: ["ct state established,related accept", "tcp dport { 80, 443 } accept", "tcp dport 22 accept"]}
inet filter forward: {policy: drop}
inet filter output: {}
inet filter extra: {rules: [return]}
`

// stock is the file of package nftables.
const stock = "#!/usr/sbin/nft -f\n\nflush ruleset\n\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;\n\t}\n\tchain forward {\n" +
	"\t\ttype filter hook forward priority filter;\n\t}\n\tchain output {\n\t\ttype filter hook output priority filter;\n\t}\n}\n"

// own is one that an administrator wrote.
const own = "flush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0;\n\t\tudp dport 53 accept\n\t}\n}\ntable ip other { chain x { accept; }; }"

func TestApply(t *testing.T) {
	for name, c := range map[string]struct {
		main string
		// first says how the main file begins then.
		first string
	}{
		"no file":    {"", "#!/usr/sbin/nft -f\n# Each chain"},
		"stock file": {stock, "#!/usr/sbin/nft -f\n# Each chain"},
		"own file":   {own, own + "\n\ninclude \"/etc/nftables.d/*.nft\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			files := map[string]string{}
			if c.main != "" {
				files["/etc/nftables.conf"] = c.main
			}
			s := memory(t, files)
			for i := range 2 {
				for _, r := range decode(t, firewall) {
					before, err := r.Check(ctx, s)
					if err != nil {
						t.Fatal(err)
					}
					if changed, err := r.Apply(ctx, s); err != nil || changed != (len(before) > 0) || i == 1 && changed {
						t.Errorf("%s, time %d: %v, %v", r.Identity(), i, changed, err)
					}
				}
			}
			text, err := system.ReadFile(s, "/etc/nftables.conf", 1<<20)
			if err != nil || !strings.HasPrefix(string(text), c.first) {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	const chain = "table inet filter { chain input { type filter hook input priority 0; policy drop\n%s\n}\n}"
	const want = "inet filter input: {policy: drop, rules: [iif lo accept, tcp dport 22 accept]}"
	for _, c := range []struct {
		name, recipe, text string
		want               []string
	}{
		{"as it should be", want, fmt.Sprintf(chain, "iif lo accept\nct state invalid drop\ntcp dport ssh accept\ndrop"), nil},
		{"absent", want, "table inet filter {}", []string{"/etc/nftables.conf: chain inet filter input is absent, should be there"}},
		{"order", want, fmt.Sprintf(chain, "tcp dport 22 accept\niif lo accept"), []string{"/etc/nftables.conf: chain inet filter input: rule is before another that it should follow, should be tcp dport 22 accept"}},
		{"missing", want, fmt.Sprintf(chain, "iif lo accept"), []string{"/etc/nftables.conf: chain inet filter input: rule is missing, should be tcp dport 22 accept"}},
		{"policy, priority and hook", "inet filter input: {hook: forward, priority: filter + 10, policy: drop}", "table inet filter { chain input { type filter hook input priority 0; }; }", []string{
			"/etc/nftables.conf: chain inet filter input: hook is filter input, should be filter forward", "/etc/nftables.conf: chain inet filter input: priority is 0, should be 10", "/etc/nftables.conf: chain inet filter input: policy is accept, should be drop",
		}},
		{"flushed later", want, fmt.Sprintf(chain, "iif lo accept\ntcp dport 22 accept") + "\nflush ruleset\n", []string{"/etc/nftables.conf: chain inet filter input is absent, should be there"}},
		{"dormant", "inet filter input: {policy: drop}", "table inet filter { flags dormant; chain input { type filter hook input priority 0; policy drop; }; }", []string{"/etc/nftables.conf: chain inet filter input: table is dormant, should be in use"}},
		{"accepts all", want, fmt.Sprintf(chain, "iif lo accept\ntcp dport 22 accept\ncounter accept"), []string{"/etc/nftables.conf: chain inet filter input: rule is accept, for everything, should be absent"}},
		{"drops all", want, fmt.Sprintf(chain, "iif lo accept\ndrop\ntcp dport 22 accept"), []string{"/etc/nftables.conf: chain inet filter input: rule is drop, before rules that nothing gets to then, should be absent"}},
		{"exact", "inet filter input: {policy: drop, exact: true, rules: [iif lo accept]}", fmt.Sprintf(chain, "iif lo accept\nudp dport 53 accept"), []string{"/etc/nftables.conf: chain inet filter input: rule is udp dport 53 accept, should be absent"}},
		{"loopback", "inet filter input: {policy: drop, loopback: true}", fmt.Sprintf(chain, "iifname \"lo\" counter accept\nip6 saddr ::1 counter drop\niif != lo ip saddr 127.0.0.0/8 drop"), nil},
		{"loopback too late", "inet filter input: {policy: drop, loopback: true}", fmt.Sprintf(chain, "ip saddr 127.0.0.0/8 drop\niif lo accept\nip6 saddr ::1 drop"),
			[]string{"/etc/nftables.conf: chain inet filter input: rule is before another that it should follow, should be ip saddr 127.0.0.0/8 drop"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := decode(t, c.recipe)[0].Check(context.Background(), memory(t, map[string]string{"/etc/nftables.conf": c.text}))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range found {
				got = append(got, d.String())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestARuleInTheWayIsAnError(t *testing.T) {
	s := memory(t, map[string]string{"/etc/nftables.conf": "table inet filter { chain input { type filter hook input priority 0; accept; }; }"})
	if _, err := decode(t, "inet filter input: {policy: drop, rules: [tcp dport 22 accept]}")[0].Apply(context.Background(), s); err == nil || !strings.Contains(err.Error(), "exact: true") {
		t.Errorf("%v", err)
	}
	if changed, err := decode(t, "inet filter input: {policy: drop, exact: true, rules: [tcp dport 22 accept]}")[0].Apply(context.Background(), s); !changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
}

// FuzzParse reads anything, and what was read once more from its own form.
func FuzzParse(f *testing.F) {
	f.Add(strings.ReplaceAll(everything, "$web", "80"))
	f.Add(own)
	f.Fuzz(func(t *testing.T, text string) {
		s := memory(t, nil)
		set, err := nftables.Parse(s, "test", text)
		if err != nil {
			return
		}
		for _, c := range set.Chains {
			for _, rule := range c.Rules {
				// A semicolon inside braces is a rule of a chain without a name.
				if strings.Contains(rule, ";") {
					continue
				}
				if again, err := nftables.Normal(rule); err != nil || again != rule {
					t.Fatalf("%q, then %q: %v", rule, again, err)
				}
			}
		}
	})
}
