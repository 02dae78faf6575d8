package catalog_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
)

// startTLS puts TLS before a registry on this machine.
func startTLS(t *testing.T, registry string) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: registry})
		r.SetXForwarded() // the registry says where to upload by it
		r.Out.Host = r.In.Host
	}})
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // who distrusts the certificate hangs up
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// trusting is a transport as the setting ca: makes it.
func trusting(server *httptest.Server) *http.Transport {
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
}

func TestTLSIsSpokenOnThisMachineToo(t *testing.T) {
	ctx := t.Context()
	server := startTLS(t, registrytest.Start(t, ""))
	cfg := catalog.Config{
		Location: "docker://" + strings.TrimPrefix(server.URL, "https://") + "/team", Locks: t.TempDir(), Transport: trusting(server),
	}
	v := mustBake(t, open(t, cfg), "web", "one", nil)
	if got, err := open(t, cfg).Resolve(ctx, v.Ref(), catalog.RefuseRevoked); err != nil || got.Index.Digest != v.Index.Digest {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := open(t, cfg).Baselines(ctx); err != nil || len(got) != 1 {
		t.Errorf("baselines: got %v, %v", got, err)
	}
	// A certificate that is not trusted is no reason to speak in clear.
	cfg.Transport = watch(t, &http.Transport{}, func(r *http.Request) {
		if r.URL.Scheme != "https" {
			t.Errorf("sent in clear: %s", r.URL)
		}
	})
	if _, err := open(t, cfg).List(ctx, "web"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: got %v", err)
	}
}

func TestPlainHTTPIsOnlyForThisMachine(t *testing.T) {
	var seen []string
	answer := func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.URL.Scheme)
		if r.URL.Scheme == "https" {
			return nil, http.ErrSchemeMismatch
		}
		return nil, context.Canceled
	}
	// 192.0.2.0/24 is for documentation (RFC 5737): nothing may be sent there
	// in clear text, not even when it asks for that.
	for host, want := range map[string]string{"192.0.2.1": "https", "registry.example": "https", "127.0.0.1:1": "https http", "[::1]:1": "https http"} {
		seen = nil
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := open(t, catalog.Config{Location: "docker://" + host + "/x", Locks: t.TempDir(), Transport: roundTripper(answer)})
		if _, err := c.List(ctx, "web"); err == nil {
			t.Fatalf("%s: a registry that is not there answered", host)
		}
		if got := strings.Join(seen, " "); got != want {
			t.Errorf("%s: got schemes %q, want %q", host, got, want)
		}
	}
}

func TestNoProxyStandsBeforeThisMachine(t *testing.T) {
	elsewhere, err := url.Parse("http://192.0.2.1:3128")
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, catalog.Config{
		Location: "docker://" + registrytest.Start(t, ""), Locks: t.TempDir(), Transport: &http.Transport{Proxy: http.ProxyURL(elsewhere)},
	})
	mustBake(t, c, "web", "one", nil)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// watch shows every request before it is sent.
func watch(t *testing.T, transport http.RoundTripper, see func(*http.Request)) http.RoundTripper {
	t.Helper()
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		see(r)
		return transport.RoundTrip(r)
	})
}
