package layers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"

	"imgbuild/builder/scan/layers"
	"imgbuild/images/catalog"
	"imgbuild/images/catalog/registrytest"
	"imgbuild/images/fault"
)

func TestParseSource(t *testing.T) {
	for _, name := range []string{
		"oci:/a/b", "oci:b:tag", "oci-archive:x.tar", "docker://localhost:5000/a/b:c", "docker://h.example/a", "docker://h.example/a@" + string(digest.FromString("x")),
	} {
		if s, err := layers.ParseSource(name); err != nil || s.String() != name {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	for _, name := range []string{
		"", "oci:", "oci::tag", "oci:dir:", "/a/b", "debian:12", "docker://", "docker://debian", "docker://h.example/UPPER", "docker://h.example/a@sha256:0", "dir:/a",
	} {
		if _, err := layers.ParseSource(name); fault.KindOf(err) != fault.Input || fault.HintOf(err) == "" {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestChoice has layouts of several images, each with a file that says which.
func TestChoice(t *testing.T) {
	l := newLayout(t)
	named := func(architecture, says string) ocispec.Descriptor {
		return l.image(architecture, ocispec.MediaTypeImageLayer, [][]byte{pack(t, file("which", says, 0o644))})
	}
	index := func(manifests ...ocispec.Descriptor) ocispec.Descriptor {
		return l.json(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests})
	}
	with := func(d ocispec.Descriptor, change func(*ocispec.Descriptor)) ocispec.Descriptor {
		change(&d)
		return d
	}
	silent := func(d ocispec.Descriptor) ocispec.Descriptor {
		return with(d, func(d *ocispec.Descriptor) { d.Platform = nil })
	}
	unknown := with(named("unknown", "evidence"), func(d *ocispec.Descriptor) { d.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"} })
	disk := with(named("amd64", "disk"), func(d *ocispec.Descriptor) { d.ArtifactType = "application/x-disk" })
	artifact := silent(l.json(ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest,
		Config: l.blob("application/vnd.oci.empty.v1+json", []byte("{}")), Layers: []ocispec.Descriptor{}}))
	amd64, arm64 := named("amd64", "amd64"), named("arm64", "arm64")
	liar := with(amd64, func(d *ocispec.Descriptor) { d.Platform = &ocispec.Platform{OS: "linux", Architecture: "s390x"} })
	confused := with(index(amd64), func(d *ocispec.Descriptor) { d.MediaType, d.Platform = ocispec.MediaTypeImageManifest, nil })
	both := l.blob(ocispec.MediaTypeImageIndex, []byte(`{"config":{},"layers":[],"manifests":[]}`))
	deep := index(amd64)
	for range 4 {
		deep = index(deep)
	}
	many := make([]ocispec.Descriptor, 1001)
	for i := range many {
		many[i] = amd64
	}
	for what, c := range map[string]struct {
		manifests         []ocispec.Descriptor
		tag, architecture string
		says              string // or the error
		kind              fault.Kind
	}{
		"the only one":             {manifests: []ocispec.Descriptor{arm64}, says: "arm64"},
		"the only one by its tag":  {manifests: []ocispec.Descriptor{tagged(arm64, "a")}, says: "arm64"},
		"beside evidence":          {manifests: []ocispec.Descriptor{tagged(arm64, "a"), unknown, artifact}, says: "arm64"},
		"by tag":                   {manifests: []ocispec.Descriptor{tagged(arm64, "a"), tagged(amd64, "b")}, tag: "b", says: "amd64"},
		"no such tag":              {manifests: []ocispec.Descriptor{tagged(arm64, "a"), tagged(amd64, "b")}, tag: "c", says: `no tag "c"`, kind: fault.Input},
		"which tag":                {manifests: []ocispec.Descriptor{tagged(arm64, "a"), tagged(amd64, "b")}, says: "2 tags", kind: fault.Input},
		"by architecture":          {manifests: []ocispec.Descriptor{amd64, arm64}, architecture: "arm64", says: "arm64"},
		"in an index":              {manifests: []ocispec.Descriptor{tagged(index(disk, unknown, amd64, arm64), "a")}, architecture: "arm64", says: "arm64"},
		"beside a disk":            {manifests: []ocispec.Descriptor{index(disk, unknown, arm64)}, says: "arm64"},
		"in indexes":               {manifests: []ocispec.Descriptor{index(index(unknown), index(arm64, amd64))}, architecture: "amd64", says: "amd64"},
		"that says nothing":        {manifests: []ocispec.Descriptor{index(silent(arm64), silent(amd64))}, architecture: "amd64", says: "amd64"},
		"no such architecture":     {manifests: []ocispec.Descriptor{amd64, silent(arm64)}, architecture: "s390x", says: "linux/s390x", kind: fault.Input},
		"the only one is another":  {manifests: []ocispec.Descriptor{amd64}, architecture: "arm64", says: "linux/arm64", kind: fault.Input},
		"a disk alone":             {manifests: []ocispec.Descriptor{disk, unknown}, says: "no container image", kind: fault.Input},
		"an artifact":              {manifests: []ocispec.Descriptor{artifact}, says: "no container image", kind: fault.Input},
		"nothing":                  {says: "no container image", kind: fault.Input},
		"a lie":                    {manifests: []ocispec.Descriptor{liar}, architecture: "s390x", says: "its configuration says", kind: fault.World},
		"an index as manifest":     {manifests: []ocispec.Descriptor{confused}, says: "it is not the", kind: fault.World},
		"an index and a manifest":  {manifests: []ocispec.Descriptor{both}, says: "it is not the", kind: fault.World},
		"too deep":                 {manifests: []ocispec.Descriptor{deep}, says: "deep", kind: fault.World},
		"too many":                 {manifests: []ocispec.Descriptor{index(many...)}, says: "more than 1000", kind: fault.World},
		"a missing index":          {manifests: []ocispec.Descriptor{with(index(), func(d *ocispec.Descriptor) { d.Digest = digest.FromString("x") })}, says: "not there", kind: fault.World},
		"a digest that leads away": {manifests: []ocispec.Descriptor{with(index(), func(d *ocispec.Descriptor) { d.Digest = "sha256:../../oci-layout" })}, says: "digest", kind: fault.World},
	} {
		l.index(c.manifests...)
		name := "oci:" + l.dir
		if c.tag != "" {
			name += ":" + c.tag
		}
		img, err := open(t, name, layers.Options{Architecture: c.architecture})
		if c.kind != 0 {
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if got := read(t, img, "/which"); got != c.says {
			t.Errorf("%s: got %s", what, got)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTheConfigurationIsTheImages(t *testing.T) {
	l := newLayout(t)
	d := l.image("amd64", ocispec.MediaTypeImageLayer, house(t))
	l.index(d)
	img := opened(t, "oci:"+l.dir)
	if diff := cmp.Diff(config, img.Config.Config); diff != "" || img.Manifest != d.Digest || img.Config.Architecture != "amd64" {
		t.Errorf("%s %s\n%s", img.Manifest, img.Config.Architecture, diff)
	}
}

// archived writes a layout as a tar.
func archived(t *testing.T, dir string) string {
	t.Helper()
	var items []item
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, relErr := filepath.Rel(dir, path)
		items = append(items, file("./"+name, string(raw), 0o644))
		return errors.Join(err, relErr)
	})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(at, pack(t, items...), 0o644); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestAllSourcesGiveTheSameTree(t *testing.T) {
	ctx := context.Background()
	l := newLayout(t)
	d := l.image("amd64", ocispec.MediaTypeImageLayerZstd, house(t))
	l.index(tagged(d, "20260131.1"))
	want := entriesOf(t, opened(t, "oci:"+l.dir))
	same := func(what string, img *layers.Image) {
		t.Helper()
		if diff := cmp.Diff(want, entriesOf(t, img)); diff != "" || img.Manifest != d.Digest {
			t.Errorf("%s: %s\n-layout +got:\n%s", what, img.Manifest, diff)
		}
	}
	tar := archived(t, l.dir)
	same("archive", opened(t, "oci:"+tar))
	same("archive by tag", opened(t, "oci-archive:"+tar+":20260131.1"))

	// A version of a catalog.
	c, err := catalog.Open(ctx, catalog.Config{Location: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	draft, err := c.Begin(ctx, "web")
	if err != nil {
		t.Fatal(err)
	}
	defer draft.Close()
	from, err := oci.New(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := oras.CopyGraph(ctx, from, draft, d, oras.DefaultCopyGraphOptions); err != nil {
		t.Fatal(err)
	}
	v, err := draft.Commit(ctx, catalog.New{Container: &d, Baked: time.Unix(epoch, 0)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	img, err := layers.Open(ctx, layers.FromCatalog(c, v), layers.Options{Spool: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	same("catalog", img)
	if err := img.Close(); err != nil {
		t.Error(err)
	}

	// A registry.
	host := registrytest.Start(t, "")
	repo, err := remote.NewRepository(host + "/team/web")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	if _, err := oras.Copy(ctx, from, "20260131.1", repo, "latest", oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	same("registry", opened(t, "docker://"+host+"/team/web"))
	same("registry by digest", opened(t, "docker://"+host+"/team/web@"+d.Digest.String()))
	if _, err := open(t, "docker://"+host+"/team/web:other", layers.Options{}); fault.KindOf(err) != fault.Input {
		t.Errorf("another tag: %v", err)
	}
}

// TestManifestsOfDocker has what most registries are full of.
func TestManifestsOfDocker(t *testing.T) {
	need(t, "skopeo")
	l := newLayout(t)
	l.index(tagged(l.image("amd64", ocispec.MediaTypeImageLayerGzip, house(t)), "x"))
	at := "docker://" + registrytest.Start(t, "") + "/web:docker"
	run(t, "skopeo", "copy", "--quiet", "--format", "v2s2", "--dest-tls-verify=false", "oci:"+l.dir+":x", at)
	if diff := cmp.Diff(entriesOf(t, opened(t, "oci:"+l.dir)), entriesOf(t, opened(t, at))); diff != "" {
		t.Errorf("-OCI +docker:\n%s", diff)
	}
}

// TestAFailureOfTheNetworkIsNotTheImages cuts the connection within a layer,
// and within its configuration.
func TestAFailureOfTheNetworkIsNotTheImages(t *testing.T) {
	for _, mediaType := range []string{ocispec.MediaTypeImageLayer, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd} {
		for _, after := range []int64{0, 50, 500} {
			l := newLayout(t)
			d := l.image("amd64", mediaType, house(t))
			_, err := open(t, "docker://registry.example/team/web:x", layers.Options{Transport: served{l, d, func(from io.Reader) io.Reader {
				return io.MultiReader(io.LimitReader(from, after), broken{})
			}}})
			if fault.KindOf(err) != fault.Failed || !errors.Is(err, errCut) {
				t.Errorf("%s, %d bytes: %v", mediaType, after, err)
			}
			// A registry that gives less than it says is no proof either way.
			_, err = open(t, "docker://registry.example/team/web:x", layers.Options{Transport: served{l, d, func(from io.Reader) io.Reader {
				return io.LimitReader(from, after)
			}}})
			if err == nil {
				t.Errorf("%s: an image was made of %d bytes", mediaType, after)
			}
		}
	}
}

var errCut = errors.New("the line was cut")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

// served is a registry that has one image in any repository, and lets body do
// something to its blobs.
type served struct {
	layout layout
	image  ocispec.Descriptor
	body   func(io.Reader) io.Reader
}

func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	what, mediaType, body := digest.Digest(path.Base(r.URL.Path)), "application/octet-stream", s.body
	if path.Base(path.Dir(r.URL.Path)) == "manifests" {
		what, mediaType, body = s.image.Digest, s.image.MediaType, func(from io.Reader) io.Reader { return from }
	}
	raw := s.layout.read(what)
	response := &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(raw)),
		Header: http.Header{"Content-Type": {mediaType}, "Docker-Content-Digest": {what.String()}}, Body: http.NoBody,
	}
	if r.Method == http.MethodGet {
		response.Body = io.NopCloser(body(bytes.NewReader(raw)))
	}
	return response, nil
}

func TestWhatIsNoLayout(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, raw []byte) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		return at
	}
	l := newLayout(t)
	l.write("index.json", bytes.Repeat([]byte(" "), 4<<20+1))
	broken := newLayout(t)
	broken.write("index.json", []byte("["))
	linked := newLayout(t)
	if err := os.Symlink(l.dir+"/index.json", filepath.Join(linked.dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	piped := newLayout(t)
	if err := unix.Mkfifo(filepath.Join(piped.dir, "index.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		piped.dir:                     "no regular file",
		piped.dir + "/index.json":     "neither",
		filepath.Join(dir, "missing"): "not there",
		dir:                           "no OCI layout",
		write("text", []byte("text")): "no archive",
		write("tar", pack(t, file("f", "", 0o644))):                       "no OCI layout",
		write("gz", compress(t, "gzip", pack(t))):                         "no archive",
		write("x", pack(t, file("a", "", 0o644), file("./a", "", 0o644))): "twice",
		l.dir:      "more than",
		broken.dir: "damaged",
		linked.dir: "escapes",
	} {
		if _, err := open(t, "oci:"+at, layers.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", at, err)
		}
	}
}
