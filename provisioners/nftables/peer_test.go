package nftables_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/nftables"
	"imgbuild/provisioners/system"
)

// real loads a ruleset into the kernel of a network namespace of its own and
// returns what nft lists then, as text and as JSON.
func real(t *testing.T, tree peertest.Tree, file string) (text, structure string) {
	t.Helper()
	nft := tree.Command("usr/sbin/nft")
	const script = `"$0" -c -f "$1" && "$0" -f "$1" && "$0" list ruleset && echo ---- && "$0" -j list ruleset`
	cmd := exec.Command("unshare", "-n", "sh", "-c", script, nft.Path, file)
	cmd.Env = nft.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft refuses %s: %v\n%s", file, err, out)
	}
	text, structure, _ = strings.Cut(string(out), "----\n")
	return text, structure
}

// TestRulesetsAreThoseOfTheKernel has the kernel read what this package reads
// and writes: the rules that it lists have the same form, and the chains are
// the same.
func TestRulesetsAreThoseOfTheKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace takes root")
	}
	tree := peertest.Unpack(t, "nftables", "libnftables1", "libnftnl11", "libmnl0", "libxtables12", "libjansson4")
	probe := tree.Command("usr/sbin/nft", "list", "ruleset")
	inside := exec.Command("unshare", "-n", probe.Path, "list", "ruleset")
	inside.Env = probe.Env
	if out, err := inside.CombinedOutput(); err != nil {
		t.Skipf("nft does not work here: %v\n%s", err, out)
	}
	for name, files := range map[string]map[string]string{
		"applied to nothing":          nil,
		"applied to the stock file":   {"/etc/nftables.conf": stock},
		"applied to somebody's file":  {"/etc/nftables.conf": own},
		"an exact chain of somebodys": {"/etc/nftables.conf": own, "exact": ""},
		"everything":                  {"/etc/nftables.conf": strings.ReplaceAll(everything, "/etc/nftables.d/*.conf", "/etc/nftables.d/*.nft"), "/etc/nftables.d/a.nft": "define web = { http, https }\n", "as it is": ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			root, err := system.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			recipe := firewall
			if _, exact := files["exact"]; exact {
				recipe = "inet filter input: {policy: drop, exact: true, loopback: true, rules: [tcp dport 22 accept]}"
			}
			for file, content := range files {
				if !filepath.IsAbs(file) {
					continue
				}
				if err := os.MkdirAll(filepath.Dir(dir+file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(dir+file, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, asItIs := files["as it is"]; !asItIs {
				for _, r := range decode(t, recipe) {
					if _, err := r.Apply(context.Background(), root); err != nil {
						t.Fatal(err)
					}
				}
			}
			set, err := nftables.Load(root, "/etc/nftables.conf")
			if err != nil {
				t.Fatal(err)
			}
			// nft looks for includes in the machine's own /etc.
			data, err := os.ReadFile(dir + "/etc/nftables.conf")
			if err != nil {
				t.Fatal(err)
			}
			local := filepath.Join(dir, "local.nft")
			if err := os.WriteFile(local, []byte(strings.ReplaceAll(string(data), `"/etc/`, `"`+dir+`/etc/`)), 0o644); err != nil {
				t.Fatal(err)
			}
			text, structure := real(t, tree, local)
			listed, err := nftables.Parse(root, "nft list ruleset", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(sorted(set), sorted(listed)); diff != "" {
				t.Errorf("-file +kernel:\n%s\n%s", diff, text)
			}
			if diff := cmp.Diff(shape(t, structure), shapes(set)); diff != "" {
				t.Errorf("-kernel +file:\n%s", diff)
			}
		})
	}
}

// TestFormsAreOneToTheKernel loads every form of every group: the kernel lists
// all of a group alike.
func TestFormsAreOneToTheKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("a network namespace takes root")
	}
	tree := peertest.Unpack(t, "nftables", "libnftables1", "libnftnl11", "libmnl0", "libxtables12", "libjansson4")
	var b strings.Builder
	b.WriteString("table inet t {\n")
	for i, group := range groups {
		fmt.Fprintf(&b, "chain c%d {\n%s\n}\n", i, strings.Join(group, "\n"))
	}
	b.WriteString("}\n")
	file := filepath.Join(t.TempDir(), "forms.nft")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	text, _ := real(t, tree, file)
	listed, err := nftables.Parse(memory(t, nil), "nft list ruleset", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for i, group := range groups {
		c := listed.Chain("inet", "t", fmt.Sprint("c", i))
		if c == nil || len(c.Rules) != len(group) {
			t.Fatalf("chain %d: %v", i, c)
		}
		for k, rule := range group {
			if own, _ := nftables.Normal(rule); own != c.Rules[k] {
				t.Errorf("%q is %q, the kernel's form is %q", rule, own, c.Rules[k])
			}
		}
	}
}

func sorted(set *nftables.Ruleset) []*nftables.Chain {
	list := append([]*nftables.Chain(nil), set.Chains...)
	key := func(c *nftables.Chain) string { return c.Family + " " + c.Table + " " + c.Name }
	sort.Slice(list, func(i, j int) bool { return key(list[i]) < key(list[j]) })
	return list
}

// shapes tell of every chain what nft's JSON does.
func shapes(set *nftables.Ruleset) map[string]string {
	out := map[string]string{}
	for _, c := range set.Chains {
		out[c.Family+" "+c.Table+" "+c.Name] = fmt.Sprint(c.Type, " ", c.Hook, " ", c.Priority, " ", c.Policy, " ", len(c.Rules))
	}
	return out
}

func shape(t *testing.T, structure string) map[string]string {
	t.Helper()
	type chain struct {
		Family, Table, Name, Type, Hook, Policy string
		Prio                                    int
	}
	var all struct {
		Nftables []struct {
			Chain *chain
			Rule  *struct{ Family, Table, Chain string }
		}
	}
	if err := json.Unmarshal([]byte(structure), &all); err != nil {
		t.Fatalf("%v\n%s", err, structure)
	}
	rules, chains := map[string]int{}, map[string]*chain{}
	for _, one := range all.Nftables {
		if r := one.Rule; r != nil {
			rules[r.Family+" "+r.Table+" "+r.Chain]++
		}
		if c := one.Chain; c != nil {
			chains[c.Family+" "+c.Table+" "+c.Name] = c
		}
	}
	out := map[string]string{}
	for name, c := range chains {
		out[name] = fmt.Sprint(c.Type, " ", c.Hook, " ", c.Prio, " ", c.Policy, " ", rules[name])
	}
	return out
}
