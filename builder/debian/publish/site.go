package publish

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Site serves snapshots:
//
//	/snapshots/NAME/           the snapshot as it is now
//	/snapshots/NAME-LOCK/      the same by the first digits of its lock's digest
//	/key.asc                   the public key that signed them
//
// Nothing else of the archive can be had from it, and it can only be read.
type Site struct {
	snapshots map[string]*Snapshot
	key       []byte
	about     string
}

// lockDigits is how much of a lock's digest is in an address.
const lockDigits = 12

// Exact is the name under which a snapshot stays the same: another lock of that
// name has another one.
func (s *Snapshot) Exact() string { return s.Name + "-" + s.Lock[:lockDigits] }

// NewSite makes a site of snapshots whose names are unique, all signed by key.
func NewSite(key *signing.PGPKey, snapshots ...*Snapshot) (*Site, error) {
	armoured, err := key.PublicArmor()
	if err != nil {
		return nil, err
	}
	site := &Site{snapshots: map[string]*Snapshot{}, key: armoured}
	for _, s := range snapshots {
		for _, name := range []string{s.Name, s.Exact()} {
			if site.snapshots[name] != nil {
				return nil, fault.Inputf("two snapshots are called %s", name).WithHint("serve one of them, or rename a lock's file")
			}
			site.snapshots[name] = s
		}
		site.about += fmt.Sprintf("/snapshots/%s/ %s %s, %d packages\n", s.Name, s.Suite, s.Architecture, s.Packages)
	}
	return site, nil
}

// Handler answers requests.
func (site *Site) Handler() http.Handler { return http.HandlerFunc(site.serve) }

func (site *Site) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this repository can only be read", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case "/":
		give(w, r, "text/plain; charset=utf-8", "", strings.NewReader(site.about+"/key.asc\n"))
		return
	case "/key.asc":
		give(w, r, "application/pgp-keys", "", bytes.NewReader(site.key))
		return
	}
	rest, _ := strings.CutPrefix(r.URL.Path, "/snapshots/")
	name, file, _ := strings.Cut(rest, "/")
	s := site.snapshots[name]
	if s == nil {
		http.NotFound(w, r)
		return
	}
	s.serve(w, r, file)
}

func (s *Snapshot) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, err := s.File(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if f.Data != nil {
		give(w, r, contentType(name), f.SHA256, bytes.NewReader(f.Data))
		return
	}
	in, err := s.archive.OpenFile(f.SHA256)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer in.Close()
	give(w, r, contentType(name), f.SHA256, in)
}

// give sends content. There is no time of change: an index may be another one
// while its lock's date is the same.
func give(w http.ResponseWriter, r *http.Request, kind, sum string, content io.ReadSeeker) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if sum != "" {
		w.Header().Set("ETag", `"`+sum+`"`)
	}
	http.ServeContent(w, r, "", time.Time{}, content)
}

func contentType(name string) string {
	switch base := path.Base(name); {
	case slices.Contains([]string{"Release", "InRelease", "Release.gpg", "Packages"}, base):
		return "text/plain; charset=utf-8"
	case strings.HasSuffix(base, ".deb"):
		return "application/vnd.debian.binary-package"
	}
	return "application/octet-stream"
}
