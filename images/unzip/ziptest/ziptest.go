// Package ziptest makes zip archives of all kinds, and changes them. It is for tests
// alone, and holds nobody to a limit.
package ziptest

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"
)

// Make is an archive of what fill puts into it.
func Make(t testing.TB, fill func(*zip.Writer)) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	fill(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Add puts an entry into an archive.
func Add[Content string | []byte](t testing.TB, w *zip.Writer, name string, content Content) {
	t.Helper()
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write([]byte(content))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Of is an archive of one entry.
func Of(t testing.TB, name, text string) []byte {
	t.Helper()
	return Make(t, func(w *zip.Writer) { Add(t, w, name, text) })
}

// Entry is one that an archive has.
type Entry struct {
	Name    string
	Content []byte
}

// Entries are all that an archive has, in its order.
func Entries(t testing.TB, archive []byte) []Entry {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var entries []Entry
	for _, f := range r.File {
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, Entry{f.Name, content})
	}
	return entries
}

// Rewrite copies an archive with its entries changed, or left out where change
// gives nil, and with more of them at its end.
func Rewrite(t testing.TB, archive []byte, change func(name string, content []byte) []byte, more ...Entry) []byte {
	t.Helper()
	return Make(t, func(w *zip.Writer) {
		for _, e := range Entries(t, archive) {
			if content := change(e.Name, e.Content); content != nil {
				Add(t, w, e.Name, content)
			}
		}
		for _, e := range more {
			Add(t, w, e.Name, e.Content)
		}
	})
}
