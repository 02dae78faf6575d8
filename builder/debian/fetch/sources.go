package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/images/updates"
)

// Source is somewhere that may have package files.
type Source interface {
	// Places lists where the package's file may be, best first; none when the
	// source cannot have it. It opens and asks nothing.
	Places(p updates.Package) []Place
}

// Place is one address of one file.
type Place struct {
	// Name is the address as people see it, without passwords.
	Name string
	// Host is what does not answer when a connection fails; empty for files.
	Host string
	// Open opens the file at a byte offset. It may give the whole file instead.
	Open func(ctx context.Context, client *http.Client, offset int64) (*Body, error)
}

// Body is a file's bytes.
type Body struct {
	io.ReadCloser
	// Offset is where in the file the bytes begin.
	Offset int64
	// Total is the whole file's length in bytes, -1 when it is not known.
	Total int64
}

// Project holds the local package files that a recipe names by path.
type Project struct {
	// Dir is the project's directory, which the locked paths are relative to.
	Dir string
}

// Places implements Source.
func (s Project) Places(p updates.Package) []Place {
	if p.Archive != "" || !filepath.IsLocal(p.Path) {
		return nil
	}
	return []Place{filePlace(filepath.Join(s.Dir, p.Path), -1)}
}

// Directory holds package files in the form of an archive
// (sha256/ab/abcdef…), of a mirror (pool/…), or side by side.
type Directory struct {
	Dir string
}

// Places implements Source.
func (s Directory) Places(p updates.Package) []Place {
	names := []string{contentPath(p)}
	if filepath.IsLocal(p.Path) {
		names = append(names, p.Path, path.Base(p.Path))
	}
	for i := range names {
		names[i] = filepath.Join(s.Dir, names[i])
	}
	return []Place{filePlace(s.Dir, p.Size, names...)}
}

// HTTPArchive is an archive served over HTTP: <base>/sha256/ab/abcdef….
type HTTPArchive struct {
	Base string
}

// Places implements Source.
func (s HTTPArchive) Places(p updates.Package) []Place {
	if s.Base == "" {
		return nil
	}
	return []Place{httpPlace(join(s.Base, contentPath(p)), plainDo)}
}

// Mirror is the mirror that the indexes came from.
type Mirror struct {
	// Bases maps an archive's name ("debian", "debian-security") to its base: an
	// http, https or file URL or a directory.
	Bases map[string]string
}

// Places implements Source.
func (s Mirror) Places(p updates.Package) []Place {
	base := s.Bases[p.Archive]
	if p.Archive == "" || base == "" || !filepath.IsLocal(p.Path) {
		return nil
	}
	if dir, ok := localBase(base); ok {
		return []Place{filePlace(filepath.Join(dir, p.Path), -1)}
	}
	return []Place{httpPlace(join(base, p.Path), plainDo)}
}

// Snapshot is a service that keeps every state of an archive in the form of
// Debian's: <base>/archive/<archive>/<YYYYMMDDTHHMMSSZ>/<path>.
type Snapshot struct {
	// Base is empty when no service is to be used.
	Base string
	// Releases are the lock's: their dates say which state to ask for.
	Releases []updates.Release
}

// Places implements Source. A release is published some time after its date,
// so the state a day later is asked next; packages stay at least that long.
func (s Snapshot) Places(p updates.Package) []Place {
	if s.Base == "" || p.Archive == "" || !filepath.IsLocal(p.Path) {
		return nil
	}
	var places []Place
	for _, date := range s.dates(p) {
		for _, at := range []time.Time{date, date.Add(24 * time.Hour)} {
			state := at.UTC().Format("20060102T150405Z")
			places = append(places, httpPlace(join(s.Base, path.Join("archive", p.Archive, state, p.Path)), plainDo))
		}
	}
	return places
}

// dates are those of the release that lists p, or of all of its archive when
// the suite's name does not tell.
func (s Snapshot) dates(p updates.Package) []time.Time {
	var exact, others []time.Time
	for _, r := range s.Releases {
		date, err := time.Parse(time.RFC3339, r.Date)
		if r.Archive != p.Archive || err != nil {
			continue
		}
		if r.Suite == p.Suite {
			exact = append(exact, date)
		} else {
			others = append(others, date)
		}
	}
	if exact != nil {
		return exact
	}
	return others
}

// contentPath is a file's path in an archive; see updates.Store.
func contentPath(p updates.Package) string {
	return path.Join("sha256", p.SHA256[:min(2, len(p.SHA256))], p.SHA256)
}

// join appends a path to a base URL. The plus sign and the tilde are escaped
// as apt does it: some object stores read a bare plus as a space.
func join(base, name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		part = url.PathEscape(part)
		part = strings.ReplaceAll(part, "+", "%2b")
		parts[i] = strings.ReplaceAll(part, "~", "%7e")
	}
	return strings.TrimRight(base, "/") + "/" + strings.Join(parts, "/")
}

// localBase is the directory on this machine that a mirror's base names, if it
// names one.
func localBase(base string) (dir string, ok bool) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "file" {
		return base, filepath.IsAbs(base)
	}
	dir, err = filePath(u)
	return dir, err == nil
}

// filePlace is the first of the paths that is a regular file, of this size
// unless size is negative. Without paths it is name itself.
func filePlace(name string, size int64, paths ...string) Place {
	if len(paths) == 0 {
		paths = []string{name}
	}
	return Place{Name: name, Open: func(_ context.Context, _ *http.Client, offset int64) (*Body, error) {
		for _, candidate := range paths {
			info, err := os.Stat(candidate)
			if errors.Is(err, fs.ErrNotExist) || err == nil && size >= 0 && info.Size() != size {
				continue
			}
			if err != nil {
				return nil, err
			}
			if info.Mode().IsRegular() {
				return openAt(candidate, offset)
			}
		}
		return nil, errAbsent
	}}
}

func openAt(name string, offset int64) (*Body, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &Body{ReadCloser: f, Offset: offset, Total: info.Size()}, nil
}

// doer makes requests with a client; it may add what a server demands.
type doer func(ctx context.Context, client *http.Client, r *http.Request) (*http.Response, error)

func plainDo(_ context.Context, client *http.Client, r *http.Request) (*http.Response, error) {
	return client.Do(r)
}

// httpPlace is a file behind a URL, asked for with a Range (RFC 9110 section
// 14). What a changed file would mix up, the digest finds.
func httpPlace(address string, do doer) Place {
	place := Place{Name: address}
	if u, err := url.Parse(address); err == nil {
		place.Name, place.Host = u.Redacted(), u.Host
	}
	place.Open = func(ctx context.Context, client *http.Client, offset int64) (*Body, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errAbsent, err)
		}
		r.Header.Set("Accept-Encoding", "identity")
		r.Header.Set("User-Agent", "imgbuild")
		if offset > 0 {
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		}
		response, err := do(ctx, client, r)
		if err != nil {
			return nil, trim(err)
		}
		body, err := readHeader(response, offset)
		if err != nil {
			response.Body.Close()
		}
		return body, err
	}
	return place
}

// trim takes the address off an error that is shown beside it.
func trim(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
