package fetch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/host"
	"imgbuild/images/updates"
)

// known returns what apt's index says of packages of the release's main pool.
func known(t *testing.T, names ...string) []updates.Package {
	t.Helper()
	out, err := exec.Command("apt-cache", append([]string{"show"}, names...)...).Output()
	if errors.Is(err, exec.ErrNotFound) || len(out) == 0 {
		t.Skip("apt has no package index here")
	}
	var packages []updates.Package
	for _, paragraph := range strings.Split(string(out), "\n\n") {
		fields := map[string]string{}
		for _, line := range strings.Split(paragraph, "\n") {
			if key, value, ok := strings.Cut(line, ": "); ok && key[0] != ' ' {
				fields[key] = value
			}
		}
		size, err := strconv.ParseInt(fields["Size"], 10, 64)
		if err != nil || !strings.HasPrefix(fields["Filename"], "pool/main/") {
			continue
		}
		packages = append(packages, updates.Package{
			Name: fields["Package"], Version: fields["Version"], Architecture: fields["Architecture"],
			Archive: host.ArchiveDebian, Path: fields["Filename"], Size: size, SHA256: fields["SHA256"],
		})
	}
	if len(packages) == 0 {
		t.Skip("apt's index names none of the packages")
	}
	return packages
}

// counter counts the bytes of bodies.
type counter struct{ bytes, requests atomic.Int64 }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.requests.Add(1)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(response.Body, c), response.Body}
	}
	return response, err
}

func (c *counter) Write(b []byte) (int, error) {
	c.bytes.Add(int64(len(b)))
	return len(b), nil
}

// TestRealMirror fetches from the mirror of the host's own apt, then again
// with some of the files gone and some half there.
func TestRealMirror(t *testing.T) {
	sources, err := host.AptSources()
	if err != nil {
		t.Skipf("reading apt's sources: %v", err)
	}
	base, err := sources.Mirror(host.ArchiveDebian, "bookworm")
	if err != nil {
		t.Skipf("%v", err)
	}
	packages := known(t, "hello", "sed", "grep", "tar", "gzip", "hostname", "libc-bin", "libstdc++6", "ncurses-base", "tzdata")
	network, err := host.ReadAptNetwork(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	f := newFetcher(t, fetch.Mirror{Bases: map[string]string{host.ArchiveDebian: base}})
	f.Retry = fetch.Retry{}
	if proxy, _ := network.Proxy(u); proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		f.Client = fetch.NewClient()
		f.Client.Transport.(*http.Transport).Proxy = http.ProxyURL(u)
	}
	if err := f.All(t.Context(), packages); err != nil {
		t.Fatal(err)
	}
	var missing int64
	for i, p := range packages {
		if err := f.Store.Verify(t.Context(), p.SHA256); err != nil {
			t.Error(err)
		}
		if i%3 == 0 {
			continue
		}
		b, err := os.ReadFile(f.Store.Path(p.SHA256))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Store.Remove(p.SHA256); err != nil {
			t.Fatal(err)
		}
		have := b[:len(b)/2*(i%3-1)]
		missing += p.Size - int64(len(have))
		if err := os.WriteFile(filepath.Join(f.Store.Dir(), "partial", p.SHA256), have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if f.Client == nil {
		var seen counter
		f.Client = &http.Client{Transport: &seen}
		defer func() {
			if seen.bytes.Load() != missing {
				t.Errorf("%d bytes were missing, %d came", missing, seen.bytes.Load())
			}
		}()
	}
	if err := f.All(t.Context(), packages); err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		if err := f.Store.Verify(t.Context(), p.SHA256); err != nil {
			t.Error(err)
		}
	}
}
