package fetch_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// file is a package's bytes with its lock entry.
type file struct {
	updates.Package
	bytes []byte
}

func newFile(name string, size int, seed uint64) file {
	b := make([]byte, size)
	r := rand.NewPCG(seed, uint64(size))
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	sum := sha256.Sum256(b)
	return file{bytes: b, Package: updates.Package{
		Name: name, Version: "1.0+b1~rc", Architecture: "amd64", Archive: "debian", Suite: "bookworm",
		Path: "pool/main/" + name + "_1.0+b1~rc_amd64.deb", Size: int64(size), SHA256: hex.EncodeToString(sum[:]),
	}}
}

// mirror serves files; fault, when set, may answer a request itself and then
// returns true.
type mirror struct {
	*httptest.Server
	files map[string]file
	fault func(w http.ResponseWriter, r *http.Request, f file, nth int) bool

	mu     sync.Mutex
	asked  map[string]int
	ranges []string
	open   atomic.Int32
}

func serve(t *testing.T, files ...file) *mirror {
	t.Helper()
	m := &mirror{files: map[string]file{}, asked: map[string]int{}}
	for _, f := range files {
		m.files["/debian/"+f.Path] = f
	}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := m.files[r.URL.Path]
		m.mu.Lock()
		m.asked[r.URL.Path]++
		nth := m.asked[r.URL.Path]
		if value := r.Header.Get("Range"); value != "" {
			m.ranges = append(m.ranges, value)
		}
		m.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		if m.fault != nil && m.fault(w, r, f, nth) {
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.bytes))
	}))
	m.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			m.open.Add(1)
		}
	}
	m.Start()
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) source() fetch.Mirror {
	return fetch.Mirror{Bases: map[string]string{"debian": m.URL + "/debian/"}}
}

func (m *mirror) times(f file) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked["/debian/"+f.Path]
}

func newFetcher(t *testing.T, sources ...fetch.Source) *fetch.Fetcher {
	t.Helper()
	store, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &fetch.Fetcher{Store: store, Sources: sources, Baseline: "web",
		Retry: fetch.Retry{Attempts: 4, Delay: time.Millisecond, Stall: 150 * time.Millisecond}}
}

func all(files ...file) []updates.Package {
	var ps []updates.Package
	for _, f := range files {
		ps = append(ps, f.Package)
	}
	return ps
}

func mustHave(t *testing.T, f *fetch.Fetcher, files ...file) {
	t.Helper()
	for _, want := range files {
		got, err := os.ReadFile(f.Store.Path(want.SHA256))
		if err != nil || !bytes.Equal(got, want.bytes) {
			t.Errorf("%s is not in the store as it should be: %v", want.Name, err)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(f.Store.Dir(), "partial")); len(left) != 0 {
		t.Errorf("%d partial files are left", len(left))
	}
}

// tally counts what a task is told.
type tally struct {
	total, added atomic.Int64
	end          atomic.Value
}

func (t *tally) Start(_ string, total int64, unit progress.Unit) progress.Task {
	t.total.Store(total)
	return t
}
func (t *tally) Note(string, ...any)  {}
func (t *tally) Add(n int64)          { t.added.Add(n) }
func (t *tally) Done(detail string)   { t.end.Store("done " + detail) }
func (t *tally) Cached(detail string) { t.end.Store("cached " + detail) }
func (t *tally) Fail(error)           { t.end.Store("failed") }

// untouchable fails the test when anything is asked of it.
type untouchable struct{ t *testing.T }

func (u untouchable) Places(p updates.Package) []fetch.Place {
	u.t.Errorf("a source was asked for %s", p.Name)
	return nil
}

func (u untouchable) RoundTrip(r *http.Request) (*http.Response, error) {
	u.t.Errorf("a request was made: %s", r.URL)
	return nil, errors.New("no network")
}

func TestFetchesInParallelOverFewConnections(t *testing.T) {
	var files []file
	for i := range 60 {
		files = append(files, newFile(fmt.Sprintf("p%d", i), 1000+i*997, uint64(i)))
	}
	m := serve(t, files...)
	f := newFetcher(t, m.source())
	var seen tally
	f.Reporter = &seen
	if err := f.All(t.Context(), append(all(files...), files[0].Package)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, f, files...)
	if n := m.open.Load(); n > 16 { // a dial may race with a connection that gets free
		t.Errorf("opened %d connections for 8 parallel downloads", n)
	}
	if seen.added.Load() != seen.total.Load() || seen.end.Load() != "done 60 packages" {
		t.Errorf("progress: %d of %d bytes, %v", seen.added.Load(), seen.total.Load(), seen.end.Load())
	}
}

func TestCompleteArchiveTouchesNothing(t *testing.T) {
	a, b := newFile("a", 3000, 1), newFile("b", 0, 2)
	f := newFetcher(t, untouchable{t})
	for _, x := range []file{a, b} {
		if err := f.Store.Put(t.Context(), x.SHA256, x.Size, bytes.NewReader(x.bytes)); err != nil {
			t.Fatal(err)
		}
	}
	var seen tally
	f.Reporter = &seen
	for _, client := range []*http.Client{nil, {Transport: untouchable{t}}} {
		f.Client = client
		if err := f.All(t.Context(), all(a, b)); err != nil {
			t.Fatal(err)
		}
		if seen.end.Load() != "cached 2 packages in the archive" {
			t.Errorf("progress ended as %v", seen.end.Load())
		}
	}
}

func TestSurvivesFaults(t *testing.T) {
	const size = 1 << 20
	half := func(w http.ResponseWriter, f file) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		w.Write(f.bytes[:size/2])
		http.NewResponseController(w).Flush()
	}
	cases := map[string]struct {
		fault  func(w http.ResponseWriter, r *http.Request, f file, nth int) bool
		asked  int
		resume bool
	}{
		"broken off in the middle": {asked: 2, resume: true, fault: func(w http.ResponseWriter, _ *http.Request, f file, nth int) bool {
			if nth == 1 {
				half(w, f)
				panic(http.ErrAbortHandler)
			}
			return false
		}},
		"stalls in the middle": {asked: 2, resume: true, fault: func(w http.ResponseWriter, r *http.Request, f file, nth int) bool {
			if nth == 1 {
				half(w, f)
				<-r.Context().Done()
			}
			return nth == 1
		}},
		"stalls before the header": {asked: 2, fault: func(_ http.ResponseWriter, r *http.Request, _ file, nth int) bool {
			if nth == 1 {
				<-r.Context().Done()
			}
			return nth == 1
		}},
		"busy twice": {asked: 3, fault: func(w http.ResponseWriter, _ *http.Request, _ file, nth int) bool {
			if nth <= 2 {
				http.Error(w, "later", http.StatusServiceUnavailable)
			}
			return nth <= 2
		}},
		"connection reset": {asked: 3, fault: func(w http.ResponseWriter, _ *http.Request, _ file, nth int) bool {
			if nth <= 2 {
				panic(http.ErrAbortHandler)
			}
			return false
		}},
		"range ignored": {asked: 2, resume: true, fault: func(w http.ResponseWriter, r *http.Request, f file, nth int) bool {
			if nth == 1 {
				half(w, f)
				panic(http.ErrAbortHandler)
			}
			r.Header.Del("Range")
			return false
		}},
		"more breaks than attempts, each with progress": {asked: 11, resume: true, fault: func(w http.ResponseWriter, r *http.Request, f file, nth int) bool {
			if nth <= 10 {
				var from int
				fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
				if from > 0 {
					w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, size-1, size))
					w.WriteHeader(http.StatusPartialContent)
				}
				w.Write(f.bytes[from : from+size/20])
				http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			return false
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newFile("x", size, 7)
			m := serve(t, x)
			m.Config.ErrorLog = nil
			m.fault = c.fault
			f := newFetcher(t, m.source())
			var seen tally
			f.Reporter = &seen
			if err := f.All(t.Context(), all(x)); err != nil {
				t.Fatal(err)
			}
			mustHave(t, f, x)
			if m.times(x) != c.asked {
				t.Errorf("asked %d times, want %d", m.times(x), c.asked)
			}
			if (len(m.ranges) > 0) != c.resume {
				t.Errorf("range requests: %v", m.ranges)
			}
			if seen.added.Load() != size {
				t.Errorf("progress counted %d bytes of %d", seen.added.Load(), size)
			}
		})
	}
}

func TestRefusesOtherBytes(t *testing.T) {
	x := newFile("x", 50000, 1)
	other := bytes.Repeat([]byte("no"), 25000)
	cases := map[string]struct {
		body []byte
		want string
	}{
		"wrong bytes": {other, "wrong bytes: expected sha256 " + x.SHA256},
		"oversize":    {append(bytes.Clone(x.bytes), 'x'), "wrong size: expected 50000 bytes, found 50001"},
		"truncated":   {x.bytes[:49999], "wrong size: expected 50000 bytes, found 49999"},
	}
	for name, c := range cases {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s chunked=%v", name, chunked), func(t *testing.T) {
				m := serve(t, x)
				m.fault = func(w http.ResponseWriter, _ *http.Request, _ file, _ int) bool {
					if !chunked {
						w.Header().Set("Content-Length", fmt.Sprint(len(c.body)))
					}
					w.Write(c.body)
					return true
				}
				f := newFetcher(t, m.source())
				err := f.All(t.Context(), all(x))
				if f.Store.Has(x.SHA256) {
					t.Fatal("the file is in the store")
				}
				if chunked && name == "truncated" {
					if err == nil {
						t.Error("no error") // broke off for all that can be known
					}
					return
				}
				if fault.KindOf(err) != fault.World {
					t.Errorf("kind %d of %v", fault.KindOf(err), err)
				}
				if !chunked && !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %q does not say %q", err, c.want)
				}
				if m.times(x) != 1 {
					t.Errorf("asked %d times for a file that is wrong", m.times(x))
				}
				// The right bytes elsewhere mend it, whatever was left here.
				good := serve(t, x)
				f.Sources = append(f.Sources, good.source())
				if err := f.All(t.Context(), all(x)); err != nil {
					t.Fatal(err)
				}
				mustHave(t, f, x)
			})
		}
	}
}

func TestWrongPartialBytesAreFetchedAnew(t *testing.T) {
	x := newFile("x", 50000, 1)
	for _, n := range []int{1, 100, 49999, 50000, 50001, 90000} {
		m := serve(t, x)
		f := newFetcher(t, m.source())
		partial := filepath.Join(f.Store.Dir(), "partial", x.SHA256)
		if err := os.WriteFile(partial, make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := f.All(t.Context(), all(x)); err != nil {
			t.Fatalf("%d old bytes: %v", n, err)
		}
		mustHave(t, f, x)
	}
}

func TestCancelKeepsWhatArrived(t *testing.T) {
	x := newFile("x", 1<<20, 3)
	m := serve(t, x)
	ctx, cancel := context.WithCancel(t.Context())
	f := newFetcher(t, m.source())
	partial := filepath.Join(f.Store.Dir(), "partial", x.SHA256)
	m.fault = func(w http.ResponseWriter, r *http.Request, f file, nth int) bool {
		if nth > 1 {
			return false
		}
		w.Write(f.bytes[:600000])
		http.NewResponseController(w).Flush()
		for r.Context().Err() == nil {
			if st, err := os.Stat(partial); err == nil && st.Size() == 600000 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-r.Context().Done()
		return true
	}
	if err := f.All(ctx, all(x)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	if err := f.All(t.Context(), all(x)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, f, x)
	if len(m.ranges) != 1 || m.ranges[0] != "bytes=600000-" {
		t.Errorf("the second run asked for %v", m.ranges)
	}
}

func TestErrorNamesEveryPlaceAndTheWayOut(t *testing.T) {
	here, gone, other := newFile("here", 10, 1), newFile("nginx", 10, 2), newFile("zlib1g", 10, 3)
	m := serve(t, here)
	f := newFetcher(t,
		fetch.Directory{Dir: t.TempDir()},
		fetch.HTTPArchive{Base: m.URL + "/store"},
		m.source(),
		fetch.Snapshot{Base: m.URL + "/snap", Releases: []updates.Release{
			{Archive: "debian", Suite: "bookworm", Date: "2025-03-04T10:20:30Z"},
			{Archive: "debian", Suite: "bookworm-updates", Date: "2025-05-04T10:20:30Z"},
		}})
	f.Baseline = "shop"
	f.Offered = func(name string) string { return map[string]string{"nginx": "2.0-1"}[name] }
	err := f.All(t.Context(), all(here, gone, other))
	if fault.KindOf(err) != fault.World {
		t.Fatalf("kind %d: %v", fault.KindOf(err), err)
	}
	for _, want := range []string{
		"no source has nginx 1.0+b1~rc (amd64)", "offered now: 2.0-1", "no source has zlib1g",
		f.Sources[0].(fetch.Directory).Dir + ": does not have it",
		m.URL + "/store/sha256/" + gone.SHA256[:2] + "/" + gone.SHA256 + ": 404 Not Found",
		m.URL + "/debian/pool/main/nginx_1.0%2bb1%7erc_amd64.deb: 404 Not Found",
		m.URL + "/snap/archive/debian/20250304T102030Z/pool/main/nginx_1.0%2bb1%7erc_amd64.deb: 404 Not Found",
		"/20250305T102030Z/",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "20250504") {
		t.Errorf("the state of another suite was asked for:\n%v", err)
	}
	if hint := fault.HintOf(err); hint != "run: imgbuild lock shop --update nginx --update zlib1g" {
		t.Errorf("hint: %s", hint)
	}
	if !f.Store.Has(here.SHA256) {
		t.Error("what is there was not fetched")
	}
	if n := m.times(gone); n != 1 {
		t.Errorf("asked %d times after 404", n)
	}
}

func TestErrorNamesTheSettingThatIsMissing(t *testing.T) {
	gone := newFile("nginx", 10, 1)
	local := gone
	local.Archive, local.Suite = "", ""
	const update, snapshot = "run: imgbuild lock shop --update nginx", "; or set snapshot: to a service that keeps what mirrors drop"
	for name, c := range map[string]struct {
		file    file
		sources []fetch.Source
		want    string
	}{
		"of a mirror":    {file: gone, want: update + snapshot},
		"no service":     {file: gone, sources: []fetch.Source{fetch.Snapshot{}}, want: update + snapshot},
		"of the project": {file: local, want: update},
	} {
		f := newFetcher(t, c.sources...)
		f.Baseline = "shop"
		if got := fault.HintOf(f.All(t.Context(), all(c.file))); got != c.want {
			t.Errorf("%s: got hint %q, want %q", name, got, c.want)
		}
	}
}

func TestSilentHostIsAFailureThatPasses(t *testing.T) {
	x, y := newFile("x", 10, 1), newFile("y", 10, 2)
	dead := serve(t, x, y)
	source := dead.source()
	dead.Close()
	f := newFetcher(t, source)
	err := f.All(t.Context(), all(x))
	if fault.KindOf(err) != fault.Failed || !strings.Contains(err.Error(), "x 1.0") || fault.HintOf(err) == "" {
		t.Errorf("got kind %d, hint %q: %v", fault.KindOf(err), fault.HintOf(err), err)
	}
	live := serve(t, x, y)
	f.Sources = append(f.Sources, live.source())
	if err := f.All(t.Context(), all(x, y)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, f, x, y)
}
