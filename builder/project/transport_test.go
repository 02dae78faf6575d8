package project_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/project"
)

func TestTheConfiguredAuthorityAndProxyAreUsed(t *testing.T) {
	home(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "index")
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o644); err != nil {
		t.Fatal(err)
	}
	get := func(p *project.Project, url string) (*http.Response, error) {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		if err := p.ReachRegistries(transport); err != nil {
			t.Fatal(err)
		}
		defer transport.CloseIdleConnections()
		return (&http.Client{Transport: transport}).Get(url)
	}
	p, err := project.Open(project.Options{WorkDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := get(p, server.URL); err == nil {
		answer.Body.Close()
		t.Error("a server with an unknown authority was accepted")
	}
	p.Config.CA = ca
	answer, err := get(p, server.URL)
	if err != nil {
		t.Fatalf("with ca: %v", err)
	}
	answer.Body.Close()

	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Asked-For", r.URL.String())
	}))
	defer proxy.Close()
	p.Config.Proxy = proxy.URL
	if answer, err = get(p, "http://mirror.example/debian/"); err != nil {
		t.Fatalf("by proxy: %v", err)
	}
	answer.Body.Close()
	if got := answer.Header.Get("Asked-For"); got != "http://mirror.example/debian/" {
		t.Errorf("the proxy was asked for %q", got)
	}
}

// TestMirrorsAreReachedAsAptDoes has an apt-config of the test's own say how.
func TestMirrorsAreReachedAsAptDoes(t *testing.T) {
	home(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "index")
	}))
	defer server.Close()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "proxied "+r.URL.String())
	}))
	defer proxy.Close()
	bin := t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	ca := filepath.Join(bin, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Open(project.Options{WorkDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string, apt ...string) (string, error) {
		script := "#!/bin/sh\ncat <<'END'\n" + strings.Join(apt, "\n") + "\nEND\n"
		if err := os.WriteFile(filepath.Join(bin, "apt-config"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
		if err := p.ReachMirrors(t.Context(), client); err != nil {
			return "", err
		}
		defer client.CloseIdleConnections()
		answer, err := client.Get(url)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return string(text), err
	}
	const direct = "Acquire::https::Proxy::127.0.0.1 DIRECT"
	for name, apt := range map[string][]string{
		"authority of every host": {"Acquire::https::CaInfo " + ca},
		"authority of the host":   {"Acquire::https::127.0.0.1::CaInfo " + ca},
		"directly":                {"Acquire::https::CaInfo " + ca, "Acquire::http::Proxy http://127.0.0.1:1", direct},
	} {
		if got, err := get(server.URL, apt...); err != nil || got != "index" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	for name, apt := range map[string][]string{
		"no authority":              {"Acquire::https "},
		"authority of another host": {"Acquire::https::other.example::CaInfo " + ca},
		"by a proxy that is none":   {"Acquire::https::CaInfo " + ca, "Acquire::https::Proxy http://127.0.0.1:1"},
		"authority that is none":    {"Acquire::https::CaInfo " + filepath.Join(bin, "apt-config")},
	} {
		if got, err := get(server.URL, apt...); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
	const mirror = "http://mirror.example/debian/"
	if got, err := get(mirror, "Acquire::http::Proxy "+proxy.URL); err != nil || got != "proxied "+mirror {
		t.Errorf("by apt's proxy: got %q, %v", got, err)
	}
	// What is configured wins, and then apt is not asked for it.
	p.Config.CA, p.Config.Proxy = ca, proxy.URL
	if got, err := get(mirror, "Acquire::http::Proxy http://127.0.0.1:1", "Acquire::https::CaInfo /nowhere"); err != nil || got != "proxied "+mirror {
		t.Errorf("by the configured proxy: got %q, %v", got, err)
	}
}
