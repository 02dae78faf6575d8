package publish

import (
	"bytes"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// Handler answers requests.
func (site *Site) Handler() http.Handler { return http.HandlerFunc(site.serve) }

func (site *Site) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this repository can only be read", http.StatusMethodNotAllowed)
		return
	}
	now := site.shown.Load()
	switch r.URL.Path {
	case "/":
		give(w, r, "text/plain; charset=utf-8", "", strings.NewReader(now.about+"/key.asc\n"))
		return
	case "/key.asc":
		give(w, r, "application/pgp-keys", "", bytes.NewReader(site.public))
		return
	}
	rest, _ := strings.CutPrefix(r.URL.Path, "/snapshots/")
	name, file, _ := strings.Cut(rest, "/")
	s, f, ok := now.find(name, file)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if f.Data != nil {
		give(w, r, contentType(file), f.SHA256, bytes.NewReader(f.Data))
		return
	}
	in, err := s.archive.OpenFile(f.SHA256)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer in.Close()
	give(w, r, contentType(file), f.SHA256, in)
}

// find looks a file up: in what a name has now, and by its digest in what it had.
func (now *shown) find(name, file string) (*Snapshot, File, bool) {
	e := now.editions[name]
	if e == nil {
		return nil, File{}, false
	}
	if f, ok := e.files[file]; ok {
		return e.Snapshot, f, true
	}
	if !strings.HasPrefix(file, poolDir) && !strings.Contains(file, "/"+byHash+"/") {
		return nil, File{}, false
	}
	for _, s := range now.history[name] {
		own := strings.Replace(file, "dists/"+name+"/", "dists/"+s.Exact()+"/", 1)
		if f, ok := now.editions[s.Exact()].files[own]; ok {
			return s, f, true
		}
	}
	return nil, File{}, false
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
