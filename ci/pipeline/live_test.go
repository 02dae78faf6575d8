package pipeline_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"imgbuild/ci/pipeline"
	"imgbuild/images/catalog"
)

// TestTheNewestOfEachArchitectureIsLive has a baseline of two, of which one is older: its
// servers are not those of the other.
func TestTheNewestOfEachArchitectureIsLive(t *testing.T) {
	c, err := catalog.Open(t.Context(), catalog.Config{Location: filepath.Join(t.TempDir(), "catalog")})
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"arm64", "amd64", "amd64"} {
		d, err := c.Begin(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(file, []byte("QFI\xfb a disk of "+file), 0o600); err != nil {
			t.Fatal(err)
		}
		disk, err := d.AddDisk(t.Context(), "qcow2", architecture, file)
		if err != nil {
			t.Fatal(err)
		}
		nothing := func(context.Context, *catalog.Attacher, *catalog.Version) error { return nil }
		if _, err := d.Commit(t.Context(), catalog.New{Disks: []catalog.Disk{disk}, Baked: now.Add(time.Hour)}, nothing); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	images, gaps, err := pipeline.Images(t.Context(), c)
	if err != nil || len(gaps) > 0 {
		t.Fatal(gaps, err)
	}
	var live []string
	for _, i := range images {
		if i.Live() {
			live = append(live, i.Version.Number+" "+i.Architecture())
		}
	}
	if want := []string{"20260501.3 amd64", "20260501.1 arm64"}; !slices.Equal(live, want) {
		t.Errorf("live are %q", live)
	}
}
