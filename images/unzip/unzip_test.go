package unzip_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"
	"testing"

	"imgbuild/images/unzip"
	"imgbuild/images/unzip/ziptest"
)

// limit is how long a file may be in these tests.
const limit = 1 << 20

// raw adds what is in an entry of a stranger's making.
func raw(t testing.TB, w *zip.Writer, h *zip.FileHeader, packed io.Reader) {
	t.Helper()
	f, err := w.CreateRaw(h)
	if err == nil {
		_, err = io.Copy(f, packed)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// read reads all of an archive's files, by their names.
func read(data []byte) (map[string]string, error) {
	archive, err := unzip.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	files, err := unzip.Files(archive)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, f := range files {
		r, err := unzip.OpenFile(f, limit)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		texts[f.Name] = string(text)
	}
	return texts, nil
}

func TestFilesAreReadAndFoldersPassedOver(t *testing.T) {
	got, err := read(ziptest.Make(t, func(w *zip.Writer) {
		ziptest.Add(t, w, "dir/", "")
		ziptest.Add(t, w, "dir/a", "one")
		ziptest.Add(t, w, "b", "")
	}))
	if err != nil || len(got) != 2 || got["dir/a"] != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := read(ziptest.Make(t, func(*zip.Writer) {})); err != nil || len(got) > 0 {
		t.Errorf("of none: %q, %v", got, err)
	}
}

// manyEntries is an archive whose list has n entries; the library that writes
// archives takes minutes for it.
func manyEntries(n int) []byte {
	entry := make([]byte, 46, 47)
	copy(entry, "PK\x01\x02")
	binary.LittleEndian.PutUint16(entry[28:], 1)
	entry = append(entry, 'a')
	out := bytes.Repeat(entry, n)
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(len(out)))
	return append(out, end...)
}

func TestHostileArchives(t *testing.T) {
	good := ziptest.Make(t, func(w *zip.Writer) {
		ziptest.Add(t, w, "a", strings.Repeat("a", 100))
		ziptest.Add(t, w, "b", "b")
	})
	const cut, escape = "cut short", "no plain file"
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"nothing":         {nil, cut},
		"PK alone":        {[]byte("PK"), cut},
		"cut short":       {good[:len(good)/2], cut},
		"its end missing": {good[:len(good)-1], cut},
		"its begin gone":  {good[50:], cut},
		"another in it":   {append(good[:40:40], ziptest.Of(t, "x", "")...), cut},
		"a way out":       {ziptest.Make(t, func(w *zip.Writer) { ziptest.Add(t, w, "a", ""); ziptest.Add(t, w, "../a", "") }), escape},
		"absolute":        {ziptest.Of(t, "/etc/a", ""), escape},
		"backslashes":     {ziptest.Of(t, `..\a`, ""), escape},
		"a link": {ziptest.Make(t, func(w *zip.Writer) {
			h := &zip.FileHeader{Name: "a"}
			h.SetMode(fs.ModeSymlink | 0o777)
			raw(t, w, h, strings.NewReader(""))
		}), escape},
		"a bomb": {ziptest.Of(t, "a", strings.Repeat(" ", 16<<20)), "the limit is"},
		"a bomb that lies": {ziptest.Make(t, func(w *zip.Writer) {
			packed := ziptest.Of(t, "a", strings.Repeat(" ", 16<<20))
			r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
			if err != nil {
				t.Fatal(err)
			}
			from, err := r.File[0].OpenRaw()
			if err != nil {
				t.Fatal(err)
			}
			h := r.File[0].FileHeader
			h.UncompressedSize64 = 10
			raw(t, w, &h, from)
		}), "not a valid zip file"},
		"a wrong sum": {ziptest.Make(t, func(w *zip.Writer) {
			raw(t, w, &zip.FileHeader{Name: "a", CRC32: crc32.ChecksumIEEE([]byte("another")), CompressedSize64: 3, UncompressedSize64: 3}, strings.NewReader("one"))
		}), "checksum"},
		"entries that are none":    {manyEntries(600_000), "500000"},
		"a list beyond the limits": {manyEntries(1_500_000), "more than 67108864 bytes"},
	} {
		got, err := read(c.data)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d files, %v does not say %q", name, len(got), err, c.says)
		}
		if c.says == cut && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v is no io.ErrUnexpectedEOF", name, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(ziptest.Make(f, func(w *zip.Writer) { ziptest.Add(f, w, "a/b", "text"); ziptest.Add(f, w, "c/", "") }))
	f.Add([]byte("PK\x05\x06"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read(data)
		if err != nil {
			return
		}
		for name, text := range got {
			if !fs.ValidPath(name) || len(text) > limit {
				t.Errorf("%q has %d bytes", name, len(text))
			}
		}
	})
}
