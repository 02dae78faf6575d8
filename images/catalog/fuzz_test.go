package catalog_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/images/catalog"
)

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"web:20260101.1", "web:released", "web@sha256:" + digest.FromString("").Encoded(), "../x:y", "a:b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := catalog.ParseReference(s)
		if err == nil && ref.String() != s {
			t.Errorf("%q reads as %q", s, ref)
		}
		if err == nil && filepath.Base(ref.Baseline) != ref.Baseline {
			t.Errorf("%q names the directory %q", s, ref.Baseline)
		}
	})
}

// FuzzLayout reads a layout whose index.json and whose one version's index
// somebody else wrote.
func FuzzLayout(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[]}`), []byte(`{}`))
	f.Add([]byte(``), []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:00","size":1}],"annotations":{"io.imgbuild.baseline":"web","org.opencontainers.image.version":"20260101.1","org.opencontainers.image.created":"2026-01-01T00:00:00Z","io.imgbuild.parent":"web@sha256:1"}}`))
	f.Add([]byte(`{"manifests":[{"digest":"sha256:../../../etc/passwd","mediaType":"application/vnd.oci.image.index.v1+json"}]}`), []byte(`[]`))
	f.Fuzz(func(t *testing.T, index, version []byte) {
		dir := t.TempDir()
		blobs := filepath.Join(dir, "web/blobs/sha256")
		if err := os.MkdirAll(blobs, 0o755); err != nil {
			t.Fatal(err)
		}
		d := digest.FromBytes(version)
		if err := os.WriteFile(filepath.Join(blobs, d.Encoded()), version, 0o644); err != nil {
			t.Fatal(err)
		}
		if len(index) == 0 {
			index = []byte(`{"manifests":[{"mediaType":"` + ocispec.MediaTypeImageIndex + `","digest":"` + d.String() + `","size":` +
				strconv.Itoa(len(version)) + `,"annotations":{"org.opencontainers.image.ref.name":"20260101.1"}}]}`)
		}
		if err := os.WriteFile(filepath.Join(dir, "web/index.json"), index, 0o644); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		c := open(t, catalog.Config{Location: dir})
		versions, err := c.List(ctx, "web")
		if err != nil {
			return
		}
		for _, v := range versions {
			if v.Number == "" || v.Baseline != "web" || v.Index.Digest.Validate() != nil {
				t.Errorf("a nonsensical version was read: %+v", v)
			}
			_, _ = c.Verify(ctx, v)       // must only end
			_, _ = c.Evidence(ctx, v, "") // must only end
			_, _ = c.History(ctx, v)      // must only end
			_, _ = c.Channels(ctx, "web") // must only end
		}
	})
}
