package project_test

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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
