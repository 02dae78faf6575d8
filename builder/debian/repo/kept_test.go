package repo_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/debian/repo"
)

// TestWhatIsKeptIsReadWithoutTheMirror: the same names and versions of sources as the
// index has, and nothing where nothing was read, or what is kept is damaged.
func TestWhatIsKeptIsReadWithoutTheMirror(t *testing.T) {
	key := newKey(t, 0)
	m := newMirror(t)
	m.publish(t, plainRelease(key))
	reader := m.reader(t, keyring(t, key))
	kept := func() (list []string, err error) {
		err = reader.client.Kept("amd64", reader.source, func(name, version []byte) { list = append(list, string(name)+" "+string(version)) })
		return list, err
	}
	if list, err := kept(); !errors.Is(err, fs.ErrNotExist) || list != nil {
		t.Errorf("before it was read: %v, %v", list, err)
	}
	index, err := reader.read()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range index.Packages {
		want = append(want, p.Source+" "+p.SourceVersion)
	}
	asked := len(m.requests)
	if list, err := kept(); err != nil || strings.Join(list, ", ") != strings.Join(want, ", ") || len(list) != 2 {
		t.Errorf("got %v, %v, want %v", list, err, want)
	}
	if len(m.requests) != asked {
		t.Errorf("the mirror was asked for %v", m.requests[asked:])
	}
	// Keys that have been taken away verify nothing.
	source := reader.source
	source.Keys = repo.Keyring{}
	if err := reader.client.Kept("amd64", source, func(_, _ []byte) {}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without keys: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(reader.client.Cache, "indexes/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v", files, err)
	}
	if err := os.WriteFile(files[0], []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if list, err := kept(); err == nil {
		t.Errorf("after damage: %v", list)
	}
}
