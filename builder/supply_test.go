package builder_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"imgbuild/builder"
	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/progress"
	"imgbuild/builder/stage"
	"imgbuild/images/updates"
)

// TestWhatIsBakedFromIsNotCollected has a lock that nobody names any more, as one that
// is tried, or was replaced meanwhile.
func TestWhatIsBakedFromIsNotCollected(t *testing.T) {
	archive, err := updates.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("web"))
	p := updates.Package{Name: "web", Version: "1", Architecture: runtime.GOARCH, SHA256: hex.EncodeToString(sum[:]), Size: 3}
	if err := archive.Put(t.Context(), p.SHA256, p.Size, strings.NewReader("web")); err != nil {
		t.Fatal(err)
	}
	stages, err := stage.Open(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	b := &builder.Builder{Archive: archive, Stages: stages, Fetch: &fetch.Fetcher{Store: archive, Reporter: progress.Discard}}
	stop, err := b.Supply(t.Context(), &updates.Lock{Architecture: runtime.GOARCH, Packages: []updates.Package{p}})
	if err != nil {
		t.Fatal(err)
	}
	collect := func(ctx context.Context) (updates.Collected, error) {
		return archive.Collect(ctx, func(context.Context) (map[string]bool, error) { return nil, nil }, time.Now().Add(time.Hour))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect(ended); !errors.Is(err, context.Canceled) || !archive.Has(p.SHA256) {
		t.Errorf("while it is baked from: %v", err)
	}
	stop()
	if done, err := collect(t.Context()); err != nil || done.Removed != 1 {
		t.Errorf("afterwards %+v, %v", done, err)
	}
}
