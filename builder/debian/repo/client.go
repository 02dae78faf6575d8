package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/builder/progress"
	"imgbuild/builder/stall"
	"imgbuild/images/fault"
)

// The limits on what a mirror may send.
const (
	maxRelease    = 32 << 20
	maxCompressed = 512 << 20
	maxIndex      = 2 << 30
)

// Client reads repositories over HTTP and keeps what it read in a cache.
type Client struct {
	// HTTP makes the requests.
	HTTP *http.Client
	// Cache is the directory of kept releases and indexes; it is made when
	// needed. What is in it may be deleted at any time.
	Cache string
	// Now tells the time against which signatures and Valid-Until are judged.
	Now func() time.Time
	// Progress shows what is fetched.
	Progress progress.Reporter
	// Backoff is the pause before the first repetition of a failed request;
	// it doubles with each of the three. 0 means half a second.
	Backoff time.Duration
	// Stall is how long a mirror may send nothing; 0 means stall.Limit.
	Stall time.Duration
}

// Read verifies the sources' releases and reads their indexes for arch, in
// parallel. The result is in the order of sources.
func (c *Client) Read(ctx context.Context, arch string, sources []Source) ([]*Index, error) {
	indexes := make([]*Index, len(sources))
	group, ctx := errgroup.WithContext(ctx)
	for i, source := range sources {
		group.Go(func() error {
			index, err := c.read(ctx, arch, source)
			if err != nil {
				return fmt.Errorf("reading %s of archive %s: %w", source.Suite, source.Archive, err)
			}
			indexes[i] = index
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return indexes, nil
}

func (c *Client) read(ctx context.Context, arch string, source Source) (*Index, error) {
	if !IsCleanPath(source.Suite) || !IsCleanPath(source.Archive) || strings.Contains(source.Archive, "/") {
		return nil, fault.Inputf("%q of archive %q is no suite's name", source.Suite, source.Archive)
	}
	source.URL = strings.TrimRight(source.URL, "/")
	release, err := c.release(ctx, source)
	if err != nil {
		return nil, err
	}
	index := &Index{Source: source, Release: release}
	arches := []string{arch}
	if release.SplitAll {
		arches = append(arches, "all")
	}
	for _, component := range source.Components {
		if !IsCleanPath(component) {
			return nil, fault.Inputf("%q is no component's name", component)
		}
		for _, a := range arches {
			packages, err := c.packages(ctx, source, release, component+"/binary-"+a+"/Packages")
			if err != nil {
				return nil, err
			}
			index.Packages = append(index.Packages, packages...)
		}
	}
	return index, nil
}

// release fetches and verifies a suite's InRelease file. The last verified
// one is kept, to refuse older ones of the same archive.
func (c *Client) release(ctx context.Context, source Source) (*Release, error) {
	name := c.releaseFile(source)
	var last *Release
	kept, err := os.ReadFile(name)
	if err == nil {
		// What cannot be verified any more, as after a change of keys, is no
		// measure for what comes.
		last, _ = VerifyRelease(kept, source.Keys, c.Now())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading cached release: %w", err)
	}
	var fresh bytes.Buffer
	err = c.get(ctx, source.URL+"/"+source.Path(), func(body io.Reader) error {
		fresh.Reset()
		n, err := io.Copy(&fresh, io.LimitReader(body, maxRelease+1))
		if err == nil && n > maxRelease {
			return fault.Worldf("fetching release: larger than %d bytes", maxRelease)
		}
		return err
	})
	if errors.Is(err, errNotFound) {
		return nil, fault.Worldf("fetching release").Because(err).
			WithHint("check the mirror's address and the suite's name")
	}
	if err != nil {
		return nil, err
	}
	release, err := VerifyRelease(fresh.Bytes(), source.Keys, c.Now())
	if err != nil {
		return nil, err
	}
	for _, check := range []error{
		release.checkSuite(source.Suite), release.checkFresh(c.Now()), release.checkNotOlder(last),
	} {
		if check != nil {
			return nil, check
		}
	}
	if last != nil && last.SHA256 == release.SHA256 {
		return release, nil
	}
	return release, writeFile(name, func(w io.Writer) error {
		_, err := w.Write(fresh.Bytes())
		return err
	})
}

// get requests url and passes the body to use, repeating both when the
// network or the server fails.
func (c *Client) get(ctx context.Context, url string, use func(io.Reader) error) error {
	pause := c.Backoff
	if pause == 0 {
		pause = 500 * time.Millisecond
	}
	for attempt := 1; ; attempt++ {
		err := c.getOnce(ctx, url, use)
		if err == nil || attempt == 4 || errors.Is(err, errNotFound) || fault.KindOf(err) != fault.Failed || ctx.Err() != nil {
			return err
		}
		c.Progress.Note("%v; trying again in %s", err, pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

var errNotFound = errors.New("the mirror does not have it")

// getOnce makes one request and gives it up when nothing comes any more.
func (c *Client) getOnce(ctx context.Context, url string, use func(io.Reader) error) error {
	ctx, watch := stall.Start(ctx, c.Stall)
	defer watch.Stop()
	err := watch.Explain(c.request(ctx, url, func(body io.Reader) error { return use(watch.Reader(body)) }))
	if errors.Is(err, stall.ErrStalled) {
		return fault.Failedf("fetching %s", shown(url)).Because(fmt.Errorf("the mirror %w", err)).
			WithHint("try again later, or use another mirror")
	}
	return err
}

func (c *Client) request(ctx context.Context, url string, use func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		// The error has the whole URL in it.
		return fault.Inputf("requesting %s: it is no URL", shown(url)).
			WithHint("check the mirror's address: imgbuild help settings")
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		if fault.KindOf(err) != fault.Failed {
			return fmt.Errorf("fetching: %w", err) // it says itself what to do
		}
		return fault.Failedf("fetching").Because(err).
			WithHint("check the mirror's address, the network, and the proxy if one is used: imgbuild help settings")
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusOK:
		if err := use(response.Body); err != nil {
			return fmt.Errorf("fetching %s: %w", shown(url), err)
		}
		return nil
	case response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusGone:
		return fmt.Errorf("fetching %s: %w", shown(url), errNotFound)
	case response.StatusCode >= 400 && response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests:
		return fault.Worldf("fetching %s: the mirror answers %s", shown(url), response.Status).
			WithHint("check the mirror's address, and the proxy if one is used: imgbuild help settings")
	}
	return fault.Failedf("fetching %s: the mirror answers %s", shown(url), response.Status).
		WithHint("try again later, or use another mirror")
}

// shown is a URL for people: without its password.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "a URL that is none" // and may have a password in it
	}
	return u.Redacted()
}

// writeFile makes the file name whole or not at all.
func writeFile(name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return fmt.Errorf("writing to the cache: %w", err)
	}
	return nil
}
