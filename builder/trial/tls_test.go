package trial_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/trial"
	"imgbuild/images/baseline"
)

// tlsServer says by what name it was asked, and logs nothing.
func tlsServer(t *testing.T) *httptest.Server {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("this is " + r.Host)) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// TestCertificates asks a server whose certificate is self-signed and for
// example.com.
func TestCertificates(t *testing.T) {
	server := tlsServer(t)
	leaf, err := x509.ParseCertificate(server.TLS.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	now := leaf.NotBefore.Add(time.Hour)
	rest := leaf.NotAfter.Sub(now)
	for name, c := range map[string]struct {
		probe baseline.TLSProbe
		at    time.Time
		want  string // of the error, "" for none
	}{
		"self-signed":           {baseline.TLSProbe{SelfSigned: true}, now, ""},
		"of its name":           {baseline.TLSProbe{SelfSigned: true, Name: "example.com"}, now, ""},
		"of another name":       {baseline.TLSProbe{SelfSigned: true, Name: "example.org"}, now, "example.org"},
		"nobody vouches for it": {baseline.TLSProbe{Name: "example.com"}, now, "unknown authority"},
		"long enough":           {baseline.TLSProbe{SelfSigned: true, ValidFor: baseline.Duration(rest)}, now, ""},
		"not long enough":       {baseline.TLSProbe{SelfSigned: true, ValidFor: baseline.Duration(rest + time.Hour)}, now, "is not valid after"},
		"no more":               {baseline.TLSProbe{SelfSigned: true}, leaf.NotAfter.Add(time.Second), "is not valid after"},
		"not yet":               {baseline.TLSProbe{SelfSigned: true}, leaf.NotBefore.Add(-time.Second), "is not valid before"},
	} {
		conn, err := tls.Dial("tcp", server.Listener.Addr().String(), trial.TLSConfig(&c.probe, c.at))
		if err == nil {
			conn.Close()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChangesOfAReportOfAIDE(t *testing.T) {
	const text = `AIDE found differences between database and filesystem!!

---------------------------------------------------
Changed entries:
---------------------------------------------------

f   ...    .C...  : /etc/hosts
f++++++++++++++++: /etc/new
d   ...    ..     : /etc/cron.d

Detailed information about changes:

File: /etc/hosts
`
	if got := trial.Changes(text); got != "/etc/hosts, /etc/new, /etc/cron.d" {
		t.Errorf("got %q", got)
	}
	if got := trial.Changes("ERROR: cannot open config\n"); got != "ERROR: cannot open config" {
		t.Errorf("got %q", got)
	}
	if got := trial.Changes(strings.Repeat("f+++: /a\n", trial.MaxChanges+2)); !strings.HasSuffix(got, "and 2 more") {
		t.Errorf("got %q", got)
	}
}

// TestAWebProbeOverTLS asks a server by its name, and one that nobody vouches
// for.
func TestAWebProbeOverTLS(t *testing.T) {
	server := tlsServer(t)
	f := newFake(t)
	f.address = server.Listener.Addr().String()
	within := baseline.Duration(time.Second)
	s := spec(t, map[string]baseline.Probe{
		"own":     {HTTP: &baseline.HTTPProbe{Port: 443, Contains: "this is example.com", TLS: &baseline.TLSProbe{Name: "example.com", SelfSigned: true}}, Within: within},
		"unknown": {HTTP: &baseline.HTTPProbe{Port: 443, TLS: &baseline.TLSProbe{}}, Within: within},
		"plain":   {HTTP: &baseline.HTTPProbe{Port: 443, Status: 400}, Within: within},
	})
	found, err := trial.NewTrial(f, s).Prove(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if wrong := found.Failed(); len(wrong) != 1 || !strings.Contains(wrong[0], "unknown (GET /, port 443, TLS): ") || !strings.Contains(wrong[0], "unknown authority") {
		t.Errorf("got %q", wrong)
	}
}
