package fetch_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/debian/fetch"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

func TestEverySourceServes(t *testing.T) {
	x := newFile("x", 5000, 1)
	content := filepath.Join("sha256", x.SHA256[:2], x.SHA256)
	place := func(names ...string) string {
		dir := t.TempDir()
		for _, name := range names {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), x.bytes, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	web := serve(t)
	web.files["/a/"+filepath.ToSlash(content)] = x
	web.files["/v2/team/packages/blobs/sha256:"+x.SHA256] = x
	web.files["/snap/archive/debian/20250305T000000Z/"+x.Path] = x
	local := x
	local.Archive, local.Suite = "", ""
	tree := place(x.Path)
	cases := map[string]struct {
		source fetch.Source
		file   file
	}{
		"archive directory": {fetch.Directory{Dir: place(content)}, x},
		"flat directory":    {fetch.Directory{Dir: place(filepath.Base(x.Path))}, x},
		"mirror directory":  {fetch.Directory{Dir: tree}, x},
		"archive over HTTP": {fetch.HTTPArchive{Base: web.URL + "/a"}, x},
		"registry": {&fetch.Registry{Repository: strings.TrimPrefix(web.URL, "http://") + "/team/packages",
			PlainHTTP: true}, x},
		"file mirror": {fetch.Mirror{Bases: map[string]string{"debian": "file://" + tree}}, x},
		"snapshot": {fetch.Snapshot{Base: web.URL + "/snap", Releases: []updates.Release{
			{Archive: "debian", Suite: "bookworm", Date: "2025-03-04T00:00:00Z"}}}, x},
		"project": {fetch.Project{Dir: tree}, local},
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFetcher(t, c.source)
			if err := f.All(t.Context(), all(c.file)); err != nil {
				t.Fatal(err)
			}
			mustHave(t, f, c.file)
		})
	}
}

func TestHostilePathsLeadNowhere(t *testing.T) {
	x := newFile("x", 10, 1)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), x.bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"../secret", "a/../../secret", filepath.Join(dir, "secret"), ""} {
		x.Path = path
		local := x
		local.Archive = ""
		f := newFetcher(t, fetch.Project{Dir: inner}, fetch.Directory{Dir: inner},
			fetch.Mirror{Bases: map[string]string{"debian": inner}})
		for _, p := range []file{x, local} {
			if err := f.All(t.Context(), all(p)); fault.KindOf(err) != fault.World {
				t.Errorf("path %q: %v", path, err)
			}
		}
	}
}

func TestDirectoryOfWrongBytesIsPassedOver(t *testing.T) {
	x := newFile("x", 5000, 1)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(x.Path)), bytes.Repeat([]byte{1}, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	m := serve(t, x)
	f := newFetcher(t, fetch.Directory{Dir: dir}, m.source())
	if err := f.All(t.Context(), all(x)); err != nil {
		t.Fatal(err)
	}
	mustHave(t, f, x)
}
