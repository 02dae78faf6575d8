package feeds_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/ci/feeds"
)

// breakAfterHalf sends half of a body, says so, and then nothing more.
func breakAfterHalf(body []byte, half chan<- bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body[:len(body)/2])
		w.(http.Flusher).Flush()
		half <- true
		<-r.Context().Done()
		return true
	}
}

// victim reads the feed in a process that will be killed.
func victim(t *testing.T, dir string) {
	raw, err := os.ReadFile(os.Getenv("FEEDS_TEST_CA"))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	s := &feeds.Store{
		Dir: dir, Now: func() time.Time { return now }, Progress: progress.Discard,
		Fetch: feeds.Fetch{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Patience: patient},
	}
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: os.Getenv("FEEDS_TEST_URL")}
	for {
		if state, err := s.Sync(context.Background(), f, feeds.Options{}); err != nil || len(state.Alarms) > 0 {
			t.Fatalf("before it was killed: %+v, %v", state, err)
		}
	}
}

// prey starts a process that reads a feed again and again.
func prey(t *testing.T, s *feeds.Store, f *feeds.Feed, server *source) *exec.Cmd {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.der")
	if err := os.WriteFile(ca, server.Certificate().Raw, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "FEEDS_TEST_STORE="+s.Dir, "FEEDS_TEST_URL="+f.URL, "FEEDS_TEST_CA="+ca)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestKilledAtAnyMoment kills a process that keeps a new version of a feed each
// few milliseconds. Whatever it was doing, what is there holds together.
func TestKilledAtAnyMoment(t *testing.T) {
	s, f, server := kept(t, 50)
	versions := 0
	var bodies [5][]byte
	for i := range bodies {
		bodies[i] = records(t, 50+i)
	}
	server.set(nil, "", func(w http.ResponseWriter, _ *http.Request) bool {
		server.mu.Lock()
		versions++
		n := versions
		server.mu.Unlock()
		w.Header().Set("ETag", fmt.Sprintf(`"v%d"`, n))
		w.Write(bodies[n%len(bodies)])
		return true
	})
	for range 8 {
		server.mu.Lock()
		before := versions
		server.mu.Unlock()
		cmd := prey(t, s, f, server)
		for now := before; now < before+2; time.Sleep(time.Millisecond) {
			server.mu.Lock()
			now = versions
			server.mu.Unlock()
		}
		time.Sleep(rand.N(20 * time.Millisecond))
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		state, err := s.State(f)
		if err != nil || len(state.Alarms) > 0 || state.Records < 50 || count(t, s, f) != state.Records {
			t.Fatalf("after a kill: %+v, %v", state, err)
		}
	}
	server.set(records(t, 60), `"last"`, nil)
	if state := sync1(t, s, f); len(state.Alarms) > 0 || count(t, s, f) != 60 {
		t.Errorf("in the end: %+v", state)
	}
}
