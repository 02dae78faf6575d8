package updates_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/updatestest"
)

func open(t testing.TB, dir string) *updates.Store {
	t.Helper()
	s, err := updates.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// files returns the paths of all files below dir, relative to it.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPutThenRead(t *testing.T) {
	s := open(t, t.TempDir())
	for _, size := range []int{0, 1, 4095, 1 << 20} {
		b := bytes.Repeat([]byte{byte(size)}, size)
		sum := updatestest.Sum(b)
		for _, announced := range []int64{int64(size), -1} {
			if err := s.Put(t.Context(), sum, announced, bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
		}
		f, err := s.OpenFile(sum)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
		f.Close()
		if err := s.Verify(t.Context(), sum); err != nil {
			t.Error(err)
		}
		if info, _ := os.Stat(s.Path(sum)); info.Mode() != 0o444 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	items, err := s.List()
	if err != nil || len(items) != 4 || items[0].SHA256 > items[1].SHA256 {
		t.Errorf("list: %v, %v", items, err)
	}
	for _, item := range items {
		if err := errors.Join(s.Remove(item.SHA256), s.Remove(item.SHA256)); err != nil || s.Has(item.SHA256) {
			t.Errorf("removing: %v", err)
		}
	}
	if _, err := s.OpenFile(items[0].SHA256); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening what was removed: %v", err)
	}
}

func TestPutRefusals(t *testing.T) {
	good := []byte("the right bytes")
	sum, size := updatestest.Sum(good), int64(len(good))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	broken := errors.New("broken off")
	cases := map[string]struct {
		ctx  context.Context
		sum  string
		size int64
		r    io.Reader
		kind fault.Kind
		text string
	}{
		"wrong bytes":   {t.Context(), sum, size, strings.NewReader("the wrong bytes"), fault.World, "expected sha256 " + sum + ", found " + updatestest.Sum([]byte("the wrong bytes"))},
		"too short":     {t.Context(), sum, size, strings.NewReader("the right"), fault.World, "expected 15 bytes, found 9"},
		"too long":      {t.Context(), sum, size, strings.NewReader(string(good) + "!"), fault.World, "expected 15 bytes, found more"},
		"endless":       {t.Context(), sum, size, endless{}, fault.World, "expected 15 bytes, found more"},
		"digest only":   {t.Context(), sum, -1, strings.NewReader("x"), fault.World, "wrong bytes"},
		"broken reader": {t.Context(), sum, size, io.MultiReader(bytes.NewReader(good), iotest.ErrReader(broken)), fault.Failed, "broken off"},
		"cancelled":     {cancelled, sum, size, bytes.NewReader(good), fault.Failed, "canceled"},
		"no digest":     {t.Context(), "../../etc/passwd", size, bytes.NewReader(good), fault.Input, "not a SHA-256"},
		"upper case":    {t.Context(), strings.ToUpper(sum), size, bytes.NewReader(good), fault.Input, "not a SHA-256"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			err := s.Put(c.ctx, c.sum, c.size, c.r)
			if kind := fault.KindOf(err); kind != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Errorf("kind %d, %v", kind, err)
			}
			if left := files(t, s.Dir()); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

func TestPathStaysInside(t *testing.T) {
	s := open(t, t.TempDir())
	for _, sum := range []string{"", "ab", "../" + strings.Repeat("a", 61), strings.Repeat("g", 64), strings.Repeat("a", 65)} {
		if got := s.Path(sum); got != "" || s.Has(sum) {
			t.Errorf("%q leads to %q", sum, got)
		}
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	s := open(t, t.TempDir())
	b := []byte("sound")
	if err := s.Put(t.Context(), updatestest.Sum(b), 5, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	path := s.Path(updatestest.Sum(b))
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("s0und"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), updatestest.Sum(b)); fault.KindOf(err) != fault.World || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	// A file that lost its tail is not there, and putting it mends it.
	if err := os.Truncate(path, 3); err != nil {
		t.Fatal(err)
	}
	if s.HasSized(updatestest.Sum(b), 5) {
		t.Error("a truncated file counts as there")
	}
	if err := s.Put(t.Context(), updatestest.Sum(b), 5, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context(), updatestest.Sum(b)); err != nil {
		t.Error(err)
	}
}

func TestPartialContinues(t *testing.T) {
	s := open(t, t.TempDir())
	b := make([]byte, 100000)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	sum := updatestest.Sum(b)
	for at := 0; at < len(b); {
		p, err := s.Partial(t.Context(), sum, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if int(p.Offset()) != at {
			t.Fatalf("continues at %d instead of %d", p.Offset(), at)
		}
		n := min(1+rand.IntN(30000), len(b)-at)
		if _, err := p.Write(b[at : at+n]); err != nil {
			t.Fatal(err)
		}
		if at += n; at < len(b) {
			if err := p.Commit(); fault.KindOf(err) != fault.World {
				t.Fatalf("committing %d of %d bytes: %v", at, len(b), err)
			}
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := p.Write([]byte{0}); fault.KindOf(err) != fault.World {
			t.Errorf("writing past the end: %v", err)
		}
		if err := errors.Join(p.Commit(), p.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Verify(t.Context(), sum); err != nil {
		t.Error(err)
	}
	if _, err := s.Partial(t.Context(), sum, int64(len(b))); !errors.Is(err, updates.ErrPresent) {
		t.Errorf("a partial of a finished file: %v", err)
	}
	if left := files(t, filepath.Join(s.Dir(), "partial")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestPartialHasOneHolder(t *testing.T) {
	s := open(t, t.TempDir())
	b := []byte("contested")
	held, err := s.Partial(t.Context(), updatestest.Sum(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	if _, err := s.Partial(soon, updatestest.Sum(b), int64(len(b))); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a second holder: %v", err)
	}
	waited := make(chan error)
	go func() {
		_, err := s.Partial(t.Context(), updatestest.Sum(b), int64(len(b)))
		waited <- err
	}()
	if _, err := held.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := held.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; !errors.Is(err, updates.ErrPresent) {
		t.Errorf("who waited got %v", err)
	}
}

func TestSweepSparesWhatIsInUse(t *testing.T) {
	s := open(t, t.TempDir())
	b := bytes.Repeat([]byte("busy"), 1000)
	reading, feed := io.Pipe()
	putting := make(chan error)
	go func() { putting <- s.Put(t.Context(), updatestest.Sum(b), int64(len(b)), reading) }()
	if _, err := feed.Write(b[:100]); err != nil {
		t.Fatal(err)
	}
	old := updatestest.Sum([]byte("old"))
	held, err := s.Partial(t.Context(), updatestest.Sum([]byte("held")), 4)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-30 * 24 * time.Hour)
	for _, name := range []string{"tmp/put-dead", "partial/" + old, "partial/" + updatestest.Sum([]byte("young"))} {
		if err := os.WriteFile(filepath.Join(s.Dir(), name), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, sum := range []string{old, updatestest.Sum([]byte("held"))} {
		if err := os.Chtimes(filepath.Join(s.Dir(), "partial", sum), long, long); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, s.Dir()); len(left) != 3 { // being put, held, young
		t.Errorf("left: %v", left)
	}
	if _, err := feed.Write(b[100:]); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if err := <-putting; err != nil {
		t.Error(err)
	}
	if _, err := held.Write([]byte("held")); err != nil {
		t.Fatal(err)
	}
	if err := held.Commit(); err != nil {
		t.Error(err)
	}
}

func TestManyPuttersAndSweepers(t *testing.T) {
	dir := t.TempDir()
	contents := make([][]byte, 20)
	for i := range contents {
		contents[i] = bytes.Repeat([]byte{byte(i)}, 1000+i)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s := open(t, dir)
			for _, i := range rand.Perm(len(contents)) {
				b := contents[i]
				if err := s.Put(t.Context(), updatestest.Sum(b), int64(len(b)), bytes.NewReader(b)); err != nil {
					t.Error(err)
				}
				if err := s.Sweep(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := open(t, dir)
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := files(t, dir); len(left) != len(contents) {
		t.Errorf("%d files for %d contents: %v", len(left), len(contents), left)
	}
	for _, b := range contents {
		if err := s.Verify(t.Context(), updatestest.Sum(b)); err != nil {
			t.Error(err)
		}
	}
}
