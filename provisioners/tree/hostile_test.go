package tree_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

// hostile is a system of a few bytes that says it has more than there is room for.
type hostile struct {
	system.Reader
	names []string
	info  func(name string) system.Info
	xattr string
	read  func([]byte) (int, error)
}

func (h hostile) ReadDir(string) ([]string, error)       { return h.names, nil }
func (h hostile) Lstat(name string) (system.Info, error) { return h.info(name), nil }
func (h hostile) Open(string) (io.ReadCloser, error)     { return h, nil }
func (h hostile) Read(b []byte) (int, error)             { return h.read(b) }
func (h hostile) Close() error                           { return nil }
func (h hostile) Xattrs(string) (map[string]string, error) {
	return map[string]string{"user.x": h.xattr}, nil
}
func directories(string) system.Info { return system.Info{Mode: fs.ModeDir | 0o755} }
func filesOf(size int64) func(name string) system.Info {
	return func(name string) system.Info {
		if name == "/" {
			return directories(name)
		}
		return system.Info{Mode: 0o644, Size: size}
	}
}

func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}

func TestTreesThatHaveNoEndAreRefused(t *testing.T) {
	zeros := func(b []byte) (int, error) { clear(b); return len(b), nil }
	for what, c := range map[string]struct {
		from hostile
		want string
	}{
		"directories in each other": {hostile{names: []string{strings.Repeat("d", 200)}, info: directories}, "a path of more than 4095 bytes"},
		"attributes":                {hostile{names: numbered(5000), info: filesOf(0), xattr: strings.Repeat("x", 64<<10)}, "attributes have more than"},
		"files":                     {hostile{names: numbered(1000), info: filesOf(1 << 30), read: zeros}, "holes included"},
		"huge files":                {hostile{names: numbered(1), info: filesOf(1 << 62), read: zeros}, "holes included"},
		"a file that grows":         {hostile{names: numbered(1), info: filesOf(256 << 10), read: zeros}, "changed while it was read"},
	} {
		if _, err := tree.Read(t.Context(), c.from); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
}

// TestHashingEndsWithItsContext has a file of a hundred gigabytes.
func TestHashingEndsWithItsContext(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	reads := 0
	huge := hostile{names: numbered(1), info: filesOf(100 << 30), read: func(b []byte) (int, error) {
		if reads++; reads == 3 {
			end()
		}
		return len(b), nil
	}}
	if _, err := tree.Read(ctx, huge); !errors.Is(err, context.Canceled) || reads > 4 {
		t.Errorf("after %d reads: %v", reads, err)
	}
}

// viewer keeps what it is shown of each file.
type viewer struct{ parts chan part }

type part struct {
	path, text string
	last       bool
}

func (v viewer) View(e integrity.Entry) tree.View {
	if path.Base(e.Path) == "skipped" {
		return nil
	}
	return view{v, e.Path}
}

type view struct {
	viewer
	path string
}

func (v view) Show(text []byte, last bool) error {
	v.parts <- part{v.path, string(text), last}
	return nil
}

// TestViewersSeeAllOfAFile has files whose sizes are those of windows, and one
// byte more or less.
func TestViewersSeeAllOfAFile(t *testing.T) {
	s := system.NewMemory()
	want := map[string]string{}
	const step = tree.Window - tree.Overlap
	for _, size := range []int{0, 1, 256 << 10, tree.Window - 1, tree.Window, tree.Window + 1, tree.Window + step, tree.Window + step + 1} {
		var b strings.Builder
		for b.Len() < size {
			fmt.Fprintf(&b, "%d ", b.Len())
		}
		name := fmt.Sprint(size)
		want[name] = b.String()[:size]
		if err := s.WriteFile("/"+name, strings.NewReader(want[name]), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WriteFile("/skipped", strings.NewReader("x"), system.Attr{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	v := viewer{make(chan part, 100)}
	plain, err := tree.Read(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	viewed, err := tree.Read(t.Context(), s, v)
	if err != nil || fmt.Sprint(plain) != fmt.Sprint(viewed) {
		t.Fatalf("with a viewer the entries are others: %v", err)
	}
	close(v.parts)
	got, ended := map[string]string{}, map[string]int{}
	for p := range v.parts {
		if before := got[p.path]; before != "" {
			if !strings.HasPrefix(p.text, before[len(before)-tree.Overlap:]) {
				t.Errorf("%s: a part does not begin with the end of the one before", p.path)
			}
			p.text = p.text[tree.Overlap:]
		}
		if got[p.path] += p.text; p.last {
			ended[p.path]++
		}
	}
	for name, text := range want {
		if got[name] != text || ended[name] != 1 {
			t.Errorf("%s: %d bytes were shown, and %d times the last", name, len(got[name]), ended[name])
		}
	}
	if len(ended) != len(want) {
		t.Errorf("shown were %d files, want %d", len(ended), len(want))
	}
}
