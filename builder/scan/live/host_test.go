package live_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/scan/live"
	"imgbuild/images/fault"
)

func TestFind(t *testing.T) {
	home := t.TempDir()
	must(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	config := filepath.Join(home, ".ssh", "config")
	must(t, os.WriteFile(config, []byte(`
Host web*
  User deploy
  IdentityFile ~/.ssh/web
Host web1
  HostName %h.example.com
  Port 2222
Host far
  ProxyJump bastion
Host *
  User everybody
`), 0o600))
	c := live.NewClient(home, "me", "", config)
	for target, want := range map[string]string{
		"ssh://web1":              "ssh://deploy@web1.example.com:2222",
		"ssh://root@web1:22":      "ssh://root@web1.example.com",
		"ssh://other":             "ssh://everybody@other",
		"ops@10.0.0.1":            "ssh://ops@10.0.0.1",
		"ssh://ops@[2001:db8::1]": "ssh://ops@[2001:db8::1]",
	} {
		h, err := c.Find(target)
		if err != nil || h.String() != want {
			t.Errorf("%s: got %v, %v; want %s", target, h, err, want)
		}
	}
	for target, want := range map[string]string{
		"http://web1":            "the scheme is not ssh",
		"ssh://web1/path":        "something follows",
		"ssh://a:secret@web1":    "a password",
		"ssh://-oProxyCommand=x": "cannot be read",
		"ssh://":                 "name is none",
		"ssh://-x":               "name is none",
		"ssh://$(id)@web1":       "name is none",
		"ssh://web1:0":           "port is none",
		"ssh://far":              "ProxyJump",
	} {
		_, err := c.Find(target)
		if fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), want) && !strings.Contains(err.Error(), "is no server") {
			t.Errorf("%s: got %v", target, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is shown: %v", err)
		}
	}
	must(t, os.WriteFile(config, []byte("Match exec \"true\"\n  User evil\n"), 0o600))
	if _, err := c.Find("web1"); fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "--ssh-config none") {
		t.Errorf("a configuration that cannot be followed: %v", err)
	}
}

func TestReadInventory(t *testing.T) {
	dir := t.TempDir()
	read := func(text string) ([]live.Listed, error) {
		file := filepath.Join(dir, "hosts.yaml")
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return live.ReadInventory(file)
	}
	for text, want := range map[string][]live.Listed{
		"- ssh://ops@web1\n- web2\n": {{Name: "ops@web1", Address: "ssh://ops@web1"}, {Name: "web2", Address: "web2"}},
		"web1:\nweb2: ssh://10.0.0.2\nold: {address: ssh://10.0.0.3, baseline: debian-12, identity: keys/old}\n": {
			{Name: "web1", Address: "web1"}, {Name: "web2", Address: "ssh://10.0.0.2"},
			{Name: "old", Address: "ssh://10.0.0.3", Baseline: "debian-12", Identity: filepath.Join(dir, "keys/old")},
		},
	} {
		got, err := read(text)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	for text, want := range map[string]string{
		"web1: {adress: x}":    `hosts.yaml:1:8: unknown key "adress"; did you mean "address"?`,
		"- 1":                  "expected the address of a server",
		"- ../../etc/passwd":   "is no name of a server",
		"- web1\n- ssh://web1": "is named already at",
		"just text":            "expected a list",
	} {
		if _, err := read(text); fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
