package layers_test

import (
	"fmt"
	"io"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestWhatNoContainerShowsIsListed takes files away in all ways there are.
func TestWhatNoContainerShowsIsListed(t *testing.T) {
	l := newLayout(t)
	l.index(l.image("amd64", ocispec.MediaTypeImageLayerZstd, [][]byte{
		pack(t, file("gone", "1", 0o644), file("replaced", "2", 0o644), file("stays", "3", 0o644), dir("d", 0o755), file("d/below", "4", 0o644),
			dir("o", 0o755), file("o/old", "5", 0o644), file("named", "6", 0o644), hardlink("other-name", "named", 0o644), file("empty", "", 0o644),
			file("becomes-a-link", "7", 0o644), symlink("l", "d"), file("l/through", "8", 0o644)),
		pack(t, file(".wh.gone", "", 0o644), file("replaced", "new", 0o644), file(".wh.d", "", 0o644), file("o/.wh..wh..opq", "", 0o644),
			file("o/fresh", "9", 0o644), file(".wh.named", "", 0o644), file(".wh.empty", "", 0o644), symlink("becomes-a-link", "stays")),
		pack(t, file("replaced", "newest", 0o644)),
	}))
	img := opened(t, "oci:"+l.dir)
	var got []string
	layers := map[string]bool{}
	for _, h := range img.Hidden() {
		f := img.OpenHidden(h)
		text, err := io.ReadAll(f)
		if err != nil || int64(len(text)) != h.Size() || f.Close() != nil {
			t.Errorf("%s: %q, %v", h.Path, text, err)
		}
		got = append(got, fmt.Sprintf("%s %s", h.Path, text))
		layers[h.Layer.String()] = true
		if h.Layer.Validate() != nil {
			t.Errorf("%s is of layer %q", h.Path, h.Layer)
		}
	}
	want := []string{"/gone 1", "/replaced 2", "/d/below 4", "/o/old 5", "/becomes-a-link 7", "/l/through 8", "/replaced new"}
	if !slices.Equal(got, want) || len(layers) != 2 {
		t.Errorf("hidden in %d layers:\n%q, want\n%q", len(layers), got, want)
	}
}
