package layers_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/scan/layers"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
)

const epoch = 1700000000

// item is one entry of a layer.
type item struct {
	tar.Header
	body string
}

func dir(name string, mode int64) item {
	return item{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}}
}

func file(name, body string, mode int64) item {
	return item{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}, body: body}
}

func symlink(name, target string) item {
	return item{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func hardlink(name, target string, mode int64) item {
	return item{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: mode}}
}

func node(kind byte, name string, major, minor int64) item {
	return item{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o620, Devmajor: major, Devminor: minor}}
}

func (i item) owned(uid, gid int) item {
	i.Uid, i.Gid = uid, gid
	return i
}

func (i item) at(seconds, nanoseconds int64) item {
	i.ModTime, i.Format = time.Unix(seconds, nanoseconds), tar.FormatPAX
	return i
}

func (i item) gnu() item {
	i.Format = tar.FormatGNU
	return i
}

func (i item) xattr(name, value string) item {
	i.PAXRecords = map[string]string{"SCHILY.xattr." + name: value}
	return i
}

// pack writes a tar. Times that are not set are the epoch.
func pack(t testing.TB, items ...item) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, i := range items {
		i.Size = int64(len(i.body))
		if i.ModTime.IsZero() {
			i.ModTime = time.Unix(epoch, 0)
		}
		if err := w.WriteHeader(&i.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// compress gives a layer the form of a media type.
func compress(t testing.TB, mediaType string, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch {
	case strings.HasSuffix(mediaType, "gzip"):
		w = gzip.NewWriter(&out)
	case strings.HasSuffix(mediaType, "zstd"):
		w, err = zstd.NewWriter(&out)
	default:
		return plain
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// layout writes an OCI layout.
type layout struct {
	t   testing.TB
	dir string
}

func newLayout(t testing.TB) layout {
	t.Helper()
	l := layout{t, filepath.Join(t.TempDir(), "layout")}
	if err := os.MkdirAll(filepath.Join(l.dir, "blobs", "sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.write("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return l
}

func (l layout) write(name string, raw []byte) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), raw, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l layout) blob(mediaType string, raw []byte) ocispec.Descriptor {
	l.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	l.write("blobs/sha256/"+d.Digest.Encoded(), raw)
	return d
}

func (l layout) json(mediaType string, v any) ocispec.Descriptor {
	l.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.blob(mediaType, raw)
}

// config is the configuration of the images of the tests.
var config = ocispec.ImageConfig{
	User: "33:33", Entrypoint: []string{"/usr/bin/tool"}, Cmd: []string{"serve"}, Env: []string{"PATH=/usr/bin"},
	ExposedPorts: map[string]struct{}{"80/tcp": {}}, Labels: map[string]string{"a": "b"},
}

// image stores an image of layers of one media type; change may make a bad one
// of it.
func (l layout) image(architecture, mediaType string, tars [][]byte, change ...func(*ocispec.Manifest, *ocispec.Image)) ocispec.Descriptor {
	l.t.Helper()
	c := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: architecture}, Config: config}
	c.RootFS.Type = "layers"
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	for _, plain := range tars {
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, digest.FromBytes(plain))
		c.History = append(c.History, ocispec.History{CreatedBy: "test"})
		m.Layers = append(m.Layers, l.blob(mediaType, compress(l.t, mediaType, plain)))
	}
	for _, f := range change {
		f(&m, &c)
	}
	if m.Config.Digest == "" {
		m.Config = l.json(ocispec.MediaTypeImageConfig, c)
	}
	d := l.json(ocispec.MediaTypeImageManifest, m)
	d.Platform = &c.Platform
	return d
}

// index writes index.json.
func (l layout) index(manifests ...ocispec.Descriptor) {
	l.t.Helper()
	raw, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: manifests})
	if err != nil {
		l.t.Fatal(err)
	}
	l.write("index.json", raw)
}

func tagged(d ocispec.Descriptor, tag string) ocispec.Descriptor {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: tag}
	return d
}

// opened opens an image until the test ends.
func opened(t testing.TB, name string) *layers.Image {
	t.Helper()
	img, err := open(t, name, layers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	})
	return img
}

func open(t testing.TB, name string, o layers.Options) (*layers.Image, error) {
	t.Helper()
	source, err := layers.ParseSource(name)
	if err != nil {
		t.Fatal(err)
	}
	o.Spool = t.TempDir()
	img, err := layers.Open(context.Background(), source, o)
	if left, _ := os.ReadDir(o.Spool); len(left) != 0 {
		t.Errorf("%s is left in the spool's directory", left)
	}
	return img, err
}

// entriesOf lists a tree as builder/tree lists a directory.
func entriesOf(t testing.TB, r system.Reader) []integrity.Entry {
	t.Helper()
	type inode struct{ system, number uint64 }
	var all []integrity.Entry
	inodes := map[string]inode{}
	links := map[string]uint64{}
	var visit func(name string)
	visit = func(name string) {
		info, err := r.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		e := integrity.Entry{
			Path: strings.TrimPrefix(name, "/"), Mode: info.Mode, UID: info.UID, GID: info.GID, ModTime: info.ModTime,
			Major: info.Major, Minor: info.Minor,
		}
		if name == "/" {
			e.Path = "."
		}
		if e.Xattrs, err = r.Xattrs(name); err != nil {
			t.Fatal(err)
		}
		switch info.Mode.Type() {
		case 0:
			e.Size, e.SHA256 = info.Size, hashOf(t, r, name, info.Size)
		case fs.ModeSymlink:
			if e.Target, err = r.Readlink(name); err != nil || int(info.Size) != len(e.Target) {
				t.Errorf("%s: %d bytes, %v", name, info.Size, err)
			}
		case fs.ModeDir:
			names, err := r.ReadDir(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				visit(filepath.Join(name, n))
			}
		}
		inodes[e.Path], links[e.Path] = inode{info.FileSystem, info.Inode}, info.Links
		all = append(all, e)
	}
	visit("/")
	slices.SortFunc(all, func(a, b integrity.Entry) int { return strings.Compare(a.Path, b.Path) })
	first, count := map[inode]string{}, map[inode]uint64{}
	for i, e := range all {
		at := inodes[e.Path]
		if first[at] == "" {
			first[at] = e.Path
		} else {
			all[i].HardLink = first[at]
		}
		count[at]++
	}
	for _, e := range all {
		if !e.Mode.IsDir() && links[e.Path] != count[inodes[e.Path]] {
			t.Errorf("%s says that it has %d names, and has %d", e.Path, links[e.Path], count[inodes[e.Path]])
		}
	}
	return all
}

func hashOf(t testing.TB, r system.Reader, name string, size int64) string {
	t.Helper()
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil || n != size {
		t.Errorf("%s: %d of %d bytes, %v", name, n, size, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (l layout) read(d digest.Digest) []byte {
	l.t.Helper()
	raw, err := os.ReadFile(filepath.Join(l.dir, "blobs", "sha256", d.Encoded()))
	if err != nil {
		l.t.Fatal(err)
	}
	return raw
}

func read(t testing.TB, r system.Reader, name string) string {
	t.Helper()
	raw, err := system.ReadFile(r, name, 1<<20)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(raw)
}
