package feeds_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/ci/feeds"
	"imgbuild/images/unzip/ziptest"
)

// now is when the tests take place.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// source is an HTTPS server with an authority of its own that has one file, and
// faults.
type source struct {
	*httptest.Server
	mu       sync.Mutex
	body     []byte
	etag     string
	fault    func(w http.ResponseWriter, r *http.Request) bool
	requests []*http.Request
}

func serve(t testing.TB, body []byte) *source {
	t.Helper()
	s := &source{body: body, etag: `"1"`}
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r.Clone(context.Background()))
	body, etag, fault := s.body, s.etag, s.fault
	s.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	if fault != nil && fault(w, r) {
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// set changes what the server has.
func (s *source) set(body []byte, etag string, fault func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.etag, s.fault, s.requests = body, etag, fault, nil
}

func (s *source) asked() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func (s *source) transport() *http.Transport { return s.Client().Transport.(*http.Transport) }

// store is a new one.
func store(t testing.TB, transport *http.Transport) *feeds.Store {
	return &feeds.Store{
		Dir: filepath.Join(t.TempDir(), "feeds"), Now: func() time.Time { return now }, Progress: progress.Discard,
		Fetch: feeds.Fetch{Transport: transport, Patience: patient},
	}
}

// patient is enough for a machine that is busy.
var patient = feeds.Patience{Silence: 30 * time.Second, Whole: time.Minute, Attempts: 2, Pause: time.Millisecond}

// records is an archive of so many OSV records, the newest a day old.
func records(t testing.TB, n int) []byte { return recordsOf(t, n, now.Add(-24*time.Hour)) }

func recordsOf(t testing.TB, n int, modified time.Time) []byte {
	t.Helper()
	return ziptest.Make(t, func(w *zip.Writer) {
		for i := range n {
			ziptest.Add(t, w, fmt.Sprintf("CVE-2026-%04d.json", i), fmt.Appendf(nil,
				`{"id": "CVE-2026-%04d", "modified": %q, "affected": [{"package": {"ecosystem": "Debian:12", "name": "sizer"}, "versions": ["%d"]}]}`,
				i, modified.Format(time.RFC3339), i))
		}
	})
}

func sync1(t testing.TB, s *feeds.Store, f *feeds.Feed) *feeds.State {
	t.Helper()
	state, err := s.Sync(context.Background(), f, feeds.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.State(f)
	if err != nil {
		t.Fatal(err)
	}
	if state.Digest != again.Digest || len(state.Alarms) != len(again.Alarms) || !state.Tried.Equal(again.Tried) {
		t.Errorf("the state that is kept is %+v instead of %+v", again, state)
	}
	return state
}

// count reads what is kept.
func count(t testing.TB, s *feeds.Store, f *feeds.Feed) int {
	t.Helper()
	n, err := s.Read(context.Background(), f, nothing)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// alarmOf is the one alarm of a state.
func alarmOf(t testing.TB, s *feeds.State, what feeds.What, says string) {
	t.Helper()
	if len(s.Alarms) != 1 {
		t.Errorf("the alarms are %v, want one %s", s.Alarms, what)
		return
	}
	a := s.Alarms[0]
	if a.What != what || !strings.Contains(a.Reason, says) || a.Mend == "" || a.At.IsZero() {
		t.Errorf("the alarm is %s: %s (%s), want %s: %s", a.What, a.Reason, a.Mend, what, says)
	}
}
