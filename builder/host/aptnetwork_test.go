package host_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/host"
)

// fakeApt puts an apt-config first in PATH that prints text.
func fakeApt(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\ncat <<'END'\n" + text + "END\n"
	if err := os.WriteFile(filepath.Join(dir, "apt-config"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestProxyIsChosenAsAptDoes(t *testing.T) {
	const http, https = "http://mirror.example/debian", "https://mirror.example/debian"
	for name, c := range map[string]struct {
		text string
		url  string
		want string
		asks bool // the environment
	}{
		"none":              {"Acquire::http \nAcquire::https \n", https, "", true},
		"of http":           {"Acquire::http::Proxy http://proxy.example:1\n", http, "http://proxy.example:1", false},
		"of http for https": {"Acquire::http::Proxy http://proxy.example:1\n", https, "http://proxy.example:1", false},
		"of https": {
			"Acquire::http::Proxy http://proxy.example:1\nAcquire::https::Proxy http://proxy.example:2\n",
			https, "http://proxy.example:2", false,
		},
		"of https for http": {"Acquire::https::Proxy http://proxy.example:2\n", http, "", true},
		"of the host": {
			"Acquire::http::Proxy http://proxy.example:1\nAcquire::http::Proxy::Mirror.example http://proxy.example:3\n",
			http, "http://proxy.example:3", false,
		},
		"direct":              {"Acquire::http::Proxy DIRECT\n", http, "", false},
		"direct for the host": {"acquire::HTTP::proxy http://proxy.example:1\nAcquire::https::Proxy::mirror.example DIRECT\n", https, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			fakeApt(t, c.text)
			network, err := host.ReadAptNetwork(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(c.url)
			if err != nil {
				t.Fatal(err)
			}
			if got, configured := network.Proxy(u); got != c.want || configured == c.asks {
				t.Errorf("got %q, %v", got, configured)
			}
		})
	}
}

func TestAuthoritiesOfApt(t *testing.T) {
	fakeApt(t, "Acquire::https \nAcquire::https::CAInfo /etc/all of them.pem\nAcquire::https::one.example \n"+
		"Acquire::https::one.example::CaInfo /etc/one.pem\nAcquire::https::CAInfo::two.example /etc/two.pem\nAcquire::https::Verify-Peer true\n")
	network, err := host.ReadAptNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, hosts := network.Authorities()
	if all != "/etc/all of them.pem" {
		t.Errorf("of all hosts: %q", all)
	}
	if diff := cmp.Diff(map[string]string{"one.example": "/etc/one.pem", "two.example": "/etc/two.pem"}, hosts); diff != "" {
		t.Error(diff)
	}
}

func TestHostWithoutAptHasNoNetworkSettings(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	network, err := host.ReadAptNetwork(t.Context())
	if err != nil || len(network) != 0 {
		t.Errorf("got %v, %v", network, err)
	}
}
