package feeds_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imgbuild/ci/feeds"
	"imgbuild/images/advisory"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

func nothing(*advisory.Record) error { return nil }

func TestOnlyWhatChangedIsSent(t *testing.T) {
	server := serve(t, records(t, 20))
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL + "/all.zip"}
	state := sync1(t, s, f)
	if len(state.Alarms) > 0 || state.Records != 20 || state.Files[0].ETag != `"1"` || !state.AsOf.Equal(now.Add(-24*time.Hour)) || !state.Read.Equal(now) {
		t.Fatalf("the state is %+v", state)
	}
	// The second time nothing is sent, and it counts as read.
	later := now.Add(time.Hour)
	s.Now = func() time.Time { return later }
	again := sync1(t, s, f)
	requests := server.asked()
	if len(requests) != 2 || requests[1].Header.Get("If-None-Match") != `"1"` {
		t.Errorf("it was asked %d times, with %q", len(requests), requests[len(requests)-1].Header)
	}
	if again.Digest != state.Digest || !again.Read.Equal(later) || again.Records != 20 || again.Files[0].ETag != `"1"` {
		t.Errorf("the state is %+v", again)
	}
	server.set(records(t, 21), `"2"`, nil)
	if state := sync1(t, s, f); state.Records != 21 || count(t, s, f) != 21 {
		t.Errorf("the state is %+v", state)
	}
}

func TestLastModifiedWhereThereIsNoETag(t *testing.T) {
	server := serve(t, records(t, 1))
	when := now.Add(-time.Hour).Format(http.TimeFormat)
	server.set(server.body, "", func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Last-Modified", when)
		if r.Header.Get("If-Modified-Since") != when {
			return false
		}
		w.WriteHeader(http.StatusNotModified)
		return true
	})
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL + "/all.zip"}
	sync1(t, s, f)
	if state := sync1(t, s, f); len(state.Alarms) > 0 || server.asked()[1].Header.Get("If-Modified-Since") != when {
		t.Errorf("the state is %+v", state)
	}
}

// TestFaultsKeepTheLastGoodData has a server do all that it must not, after it
// has been good once.
func TestFaultsKeepTheLastGoodData(t *testing.T) {
	good := records(t, 100)
	header := func(key, value string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.Header().Set(key, value); return false }
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
	}
	half := func(then func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Write(good[:len(good)/2])
			w.(http.Flusher).Flush()
			then(w, r)
			return true
		}
	}
	for name, c := range map[string]struct {
		body     []byte
		fault    func(http.ResponseWriter, *http.Request) bool
		patience feeds.Patience
		what     feeds.What
		says     string
	}{
		"the connection breaks": {nil, half(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), feeds.Patience{}, feeds.Truncated, "breaks off"},
		"it stalls": {nil, half(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			feeds.Patience{Silence: 50 * time.Millisecond}, feeds.Unreachable, "sent nothing for too long"},
		"it never answers": {nil, func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
			feeds.Patience{Silence: 50 * time.Millisecond}, feeds.Unreachable, "sent nothing for too long"},
		"it drips": {nil, half(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond)
			}
		}), feeds.Patience{Whole: 100 * time.Millisecond}, feeds.Unreachable, "took too long in all"},
		"it says less than it has": {nil, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)/2))
			w.Write(good)
			return true
		}, feeds.Patience{}, feeds.Truncated, "breaks off"},
		"it says more than it has": {nil, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)+1))
			w.Write(good)
			return true
		}, feeds.Patience{}, feeds.Truncated, "breaks off"},
		"it says that it is endless": {nil, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<40))
			w.WriteHeader(http.StatusOK)
			return true
		}, feeds.Patience{}, feeds.Refused, "the limit of its kind"},
		"it has packed it":                 {nil, header("Content-Encoding", "gzip"), feeds.Patience{}, feeds.Refused, "encoded"},
		"it is gone":                       {nil, status(http.StatusNotFound), feeds.Patience{}, feeds.Unreachable, "404 Not Found"},
		"it is broken":                     {nil, status(http.StatusInternalServerError), feeds.Patience{}, feeds.Unreachable, "500"},
		"it says there is nothing":         {nil, status(http.StatusNoContent), feeds.Patience{}, feeds.Unreachable, "204"},
		"it sends a part unasked":          {nil, status(http.StatusPartialContent), feeds.Patience{}, feeds.Unreachable, "another version"},
		"it has no byte":                   {[]byte{}, nil, feeds.Patience{}, feeds.Empty, "is empty"},
		"it has no record":                 {records(t, 0), nil, feeds.Patience{}, feeds.Empty, "is empty"},
		"it is a page":                     {[]byte("<html>Please log in</html>"), nil, feeds.Patience{}, feeds.Unreadable, "no whole feed of kind osv"},
		"it is in UTF-16":                  {[]byte("\xff\xfe{\x00}\x00"), nil, feeds.Patience{}, feeds.Unreadable, "byte order mark"},
		"it has shrunk":                    {records(t, 80), nil, feeds.Patience{}, feeds.Shrunk, "it has 80 advisories, and had 100"},
		"it is cut":                        {good[:len(good)-100], nil, feeds.Patience{}, feeds.Truncated, "cut short"},
		"it is an old copy":                {recordsOf(t, 100, now.Add(-100*24*time.Hour)), nil, feeds.Patience{}, feeds.Older, "its newest thing is of 2025-11-21"},
		"it sends on to http":              {nil, redirect("http://feeds.example/all.zip"), feeds.Patience{}, feeds.Refused, "not https"},
		"it sends on to a file":            {nil, redirect("file:///etc/passwd"), feeds.Patience{}, feeds.Refused, "not https"},
		"it sends on for ever":             {nil, redirect("/again"), feeds.Patience{}, feeds.Refused, "more than 5 times"},
		"it says nothing changed, unasked": {nil, func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(http.StatusNotModified); return true }, feeds.Patience{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, good)
			s := store(t, server.transport())
			f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL + "/all.zip"}
			first := sync1(t, s, f)
			body := c.body
			if body == nil {
				body = good
			}
			server.set(body, `"2"`, c.fault)
			if c.patience.Silence > 0 {
				s.Fetch.Patience.Silence, s.Fetch.Patience.Attempts = c.patience.Silence, 1
			}
			if c.patience.Whole > 0 {
				s.Fetch.Patience.Whole = c.patience.Whole
			}
			later := now.Add(time.Minute)
			s.Now = func() time.Time { return later }
			state := sync1(t, s, f)
			if c.what != "" {
				alarmOf(t, state, c.what, c.says)
				if feeds.Judge(f, state, later).Fresh {
					t.Error("it can be relied on")
				}
				if !state.Tried.Equal(later) || !state.Read.Equal(now) {
					t.Errorf("it was tried at %s and read at %s", state.Tried, state.Read)
				}
			}
			if state.Digest != first.Digest || state.Records != 100 || count(t, s, f) != 100 {
				t.Errorf("what was kept is gone: %+v", state)
			}
			// When it is good again, so is the feed.
			s.Fetch.Patience = patient
			server.set(records(t, 101), `"3"`, nil)
			if state := sync1(t, s, f); len(state.Alarms) > 0 || count(t, s, f) != 101 {
				t.Errorf("the state is %+v", state)
			}
		})
	}
}

func redirect(to string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, to, http.StatusFound)
		return true
	}
}

// TestWhoIsOutsideSendsNobodyInside has one server be outside and one inside.
func TestWhoIsOutsideSendsNobodyInside(t *testing.T) {
	inside := serve(t, records(t, 1))
	outside := serve(t, records(t, 1))
	outside.set(nil, "", redirect(inside.URL+"/secret"))
	s := store(t, outside.transport())
	s.Fetch.Private = func(address string) bool { return strings.HasSuffix(inside.URL, address) }
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: outside.URL + "/all.zip"}
	alarmOf(t, sync1(t, s, f), feeds.Refused, "of an inner network")
	if len(inside.asked()) > 0 {
		t.Error("the server inside was asked")
	}
	// Who is inside already may.
	s.Fetch.Private = func(string) bool { return true }
	if state := sync1(t, s, f); len(state.Alarms) > 0 || state.Records != 1 {
		t.Errorf("the state is %+v", state)
	}
}

// TestAProxyIsNoWayAround has a proxy connect, so that the addresses are seen in
// URLs alone.
func TestAProxyIsNoWayAround(t *testing.T) {
	inside := serve(t, records(t, 1))
	outside := serve(t, nil)
	outside.set(nil, "", redirect(inside.URL+"/secret"))
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := strings.TrimPrefix(outside.URL, "https://")
		if r.Method != http.MethodConnect || r.Host != "example.com:443" {
			t.Errorf("the proxy is asked for %s %s", r.Method, r.Host)
		}
		there, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer here.Close()
		fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n")
		go io.Copy(there, here)
		io.Copy(here, there)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := outside.transport().Clone()
	transport.Proxy = http.ProxyURL(at)
	s := store(t, transport)
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: "https://example.com/all.zip"}
	alarmOf(t, sync1(t, s, f), feeds.Refused, "of an inner network")
	if len(inside.asked()) > 0 || len(outside.asked()) == 0 {
		t.Error("the server inside was asked")
	}
}

func TestPrivateAddresses(t *testing.T) {
	for address, private := range map[string]bool{
		"127.0.0.1:443": true, "10.0.0.1:443": true, "192.168.1.1:80": true, "172.16.0.1:443": true, "169.254.169.254:80": true, "0.0.0.0:1": true,
		"100.64.0.1:443": true, "[::1]:443": true, "[fe80::1%eth0]:443": true, "[fd00::1]:443": true, "[::ffff:10.0.0.1]:443": true, "[64:ff9b::10.0.0.1]:443": true, "[64:ff9b::192.0.2.1]:443": false,
		"192.0.2.1:443": false, "[2001:db8::1]:443": false, "feeds.example:443": false,
	} {
		if feeds.IsPrivate(address) != private {
			t.Errorf("%s: private is %t", address, !private)
		}
	}
}

// TestARestThatIsNotAll has a server send a few bytes as the rest of a file: a list of
// lines would read as if it ended there.
func TestARestThatIsNotAll(t *testing.T) {
	body := []byte(strings.Repeat(advisories, 50))
	server, broken := serve(t, body), false
	server.set(body, `"1"`, func(w http.ResponseWriter, r *http.Request) bool {
		from := len(body) / 2
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, from+len(advisories)-1, len(body)))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(body[from : from+len(advisories)])
			return true
		}
		if !broken {
			broken = true
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.Write(body[:from])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	s := store(t, server.transport())
	s.Fetch.Patience.Attempts = 3
	state := sync1(t, s, &feeds.Feed{Name: "dsa", Kind: feeds.DebianAdvisories, URL: server.URL})
	if len(state.Alarms) > 0 || state.Bytes != int64(len(body)) {
		t.Errorf("of %d bytes there are %d: %+v", len(body), state.Bytes, state.Alarms)
	}
}

// TestABrokenTransferIsGoneOnWith breaks off each transfer after a third.
func TestABrokenTransferIsGoneOnWith(t *testing.T) {
	body := records(t, 200)
	server := serve(t, body)
	sent := 0
	server.set(body, `"1"`, func(w http.ResponseWriter, r *http.Request) bool {
		from := 0
		if of := r.Header.Get("Range"); of != "" {
			if _, err := fmt.Sscanf(of, "bytes=%d-", &from); err != nil || r.Header.Get("If-Range") != `"1"` {
				t.Errorf("asked for %q", r.Header)
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)-from))
		if from > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		n := min(len(body)/3+1, len(body)-from)
		sent += n
		w.Write(body[from : from+n])
		w.(http.Flusher).Flush()
		if from+n < len(body) {
			panic(http.ErrAbortHandler)
		}
		return true
	})
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL + "/all.zip"}
	alarmOf(t, sync1(t, s, f), feeds.Truncated, "breaks off")
	if state := sync1(t, s, f); len(state.Alarms) > 0 || state.Records != 200 || state.Files[0].SHA256 != fmt.Sprintf("%x", sha256.Sum256(body)) {
		t.Errorf("the state is %+v", state)
	}
	if sent != len(body) {
		t.Errorf("%d bytes were sent of %d", sent, len(body))
	}
}

// TestAPartOfAnotherVersionIsDropped changes the file in the middle of a
// transfer.
func TestAPartOfAnotherVersionIsDropped(t *testing.T) {
	old, new := records(t, 200), records(t, 210)
	for name, lie := range map[string]bool{"the server sends it whole": false, "the server sends the rest of it": true} {
		server := serve(t, old)
		server.set(old, `"1"`, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(old)))
			w.Write(old[:1000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		s := store(t, server.transport())
		f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL + "/all.zip"}
		sync1(t, s, f)
		server.set(new, `"2"`, func(w http.ResponseWriter, r *http.Request) bool {
			if lie && r.Header.Get("Range") != "" {
				r.Header.Del("If-Range")
			}
			return false
		})
		if state := sync1(t, s, f); len(state.Alarms) > 0 || state.Records != 210 {
			t.Errorf("%s: the state is %+v", name, state)
		}
	}
}

// TestAnEndlessFileIsGivenUp sends bytes without saying how many.
func TestAnEndlessFileIsGivenUp(t *testing.T) {
	server := serve(t, nil)
	server.set(nil, `"1"`, func(w http.ResponseWriter, r *http.Request) bool {
		for block := make([]byte, 1<<20); r.Context().Err() == nil; {
			w.Write(block)
		}
		return true
	})
	s := store(t, server.transport())
	alarmOf(t, sync1(t, s, &feeds.Feed{Name: "eol", Kind: feeds.EOL, URL: server.URL}), feeds.Refused, "more than 16777216 bytes")
}

func TestPinnedFiles(t *testing.T) {
	body := records(t, 3)
	server := serve(t, body)
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL + "/all.zip", SHA256: fmt.Sprintf("%x", sha256.Sum256(body))}
	if state := sync1(t, s, f); len(state.Alarms) > 0 {
		t.Errorf("the state is %+v", state)
	}
	server.set(records(t, 4), `"2"`, nil)
	alarmOf(t, sync1(t, s, f), feeds.Changed, "sha256: says")
	if n := count(t, s, f); n != 3 {
		t.Errorf("%d records are kept", n)
	}
}

// TestPlainHTTPIsForPinnedFiles lets it lead to https, and to nothing else that
// was not pinned.
func TestPlainHTTPIsForPinnedFiles(t *testing.T) {
	body := records(t, 3)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	defer server.Close()
	s := store(t, nil)
	list, err := feeds.OpenList(filepath.Join(t.TempDir(), feeds.FileName))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(t.Context(), list, server.URL+"/all.zip", feeds.Wish{}); err == nil || !strings.Contains(err.Error(), "pin the file") {
		t.Errorf("the error is %v", err)
	}
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL, SHA256: fmt.Sprintf("%x", sha256.Sum256(body))}
	if state := sync1(t, s, f); len(state.Alarms) > 0 {
		t.Errorf("the state is %+v", state)
	}
}

// TestAnAddressIsAddedByWhatItLeadsTo recognises what is downloaded.
func TestAnAddressIsAddedByWhatItLeadsTo(t *testing.T) {
	server := serve(t, records(t, 3))
	s := store(t, server.transport())
	list, err := feeds.OpenList(filepath.Join(t.TempDir(), "project", feeds.FileName))
	if err != nil {
		t.Fatal(err)
	}
	added, err := s.Add(t.Context(), list, server.URL+"/all_of_it.bin", feeds.Wish{})
	if err != nil || len(added.Feeds) != 1 || added.Feeds[0].Name != "all-of-it" || added.Feeds[0].Kind != feeds.OSV {
		t.Fatalf("%+v, %v", added, err)
	}
	if again, err := feeds.OpenList(list.Path); err != nil || again.Find("all-of-it").URL != server.URL+"/all_of_it.bin" {
		t.Errorf("%+v, %v", again, err)
	}
	server.set([]byte("<html>"), "", nil)
	if _, err := s.Add(t.Context(), list, server.URL+"/page", feeds.Wish{}); err == nil || !strings.Contains(err.Error(), "no file of a feed") || len(list.Feeds) != 1 {
		t.Errorf("%v, %d feeds", err, len(list.Feeds))
	}
}

func TestAnEndOfTheContextIsNoAlarm(t *testing.T) {
	server := serve(t, records(t, 3))
	ctx, cancel := context.WithCancel(context.Background())
	server.set(nil, "", func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	})
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL}
	if _, err := s.Sync(ctx, f, feeds.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if state, err := s.State(f); err != nil || !state.Tried.IsZero() {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

func TestMonthsAreEachAFile(t *testing.T) {
	server := serve(t, nil)
	var asked []string
	server.set(nil, "", func(w http.ResponseWriter, r *http.Request) bool {
		asked = append(asked, r.URL.Path)
		if r.URL.Path == "/2026-Mar" {
			w.WriteHeader(http.StatusNotFound) // not published yet
			return true
		}
		w.Write(bytes.ReplaceAll(month(t), []byte("2030-Jan"), []byte(r.URL.Path[1:])))
		return true
	})
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "msrc", Kind: feeds.MSRC, URL: server.URL + "/{month}", Since: feeds.Month{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	state := sync1(t, s, f)
	if len(state.Alarms) > 0 || len(state.Files) != 2 || state.Records == 0 || strings.Join(asked, " ") != "/2026-Jan /2026-Feb /2026-Mar" {
		t.Errorf("asked for %v: %+v", asked, state)
	}
}
