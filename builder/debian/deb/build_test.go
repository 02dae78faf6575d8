package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"imgbuild/builder/debian/deb"
)

// member is one member of an ar archive.
type member struct {
	name string
	data []byte
}

func ar(members ...member) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// file is one tar entry; content is written for plain files only.
type file struct {
	tar.Header
	content string
}

func tarball(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := f.Header
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(f.content))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.WriteString(w, f.content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

const controlText = "Package: sample\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A <a@mirror.example>\nDescription: sample\n"

func controlTar(t testing.TB) []byte {
	return tarball(t, file{Header: tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}}, file{Header: tar.Header{Name: "./control"}, content: controlText})
}

// pack makes a package file of the given data archive.
func pack(t testing.TB, data []byte) []byte {
	return ar(member{"debian-binary", []byte("2.0\n")}, member{"control.tar.gz", gzipped(t, controlTar(t))}, member{"data.tar.gz", gzipped(t, data)})
}

// open reads a package file through a cache of its own.
func open(t testing.TB, raw []byte) (*deb.Unpacked, *deb.Cache, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sample.deb")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &deb.Cache{Dir: filepath.Join(dir, "cache")}
	u, err := c.Open(context.Background(), digest(raw), path)
	return u, c, err
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// contents reads all chunks of a package.
func contents(t testing.TB, u *deb.Unpacked) map[string]string {
	t.Helper()
	d := deb.NewDecoder()
	all := map[string]string{}
	for _, c := range u.Chunks {
		err := d.Chunk(u, c, func(i int, content io.Reader) error {
			data, err := io.ReadAll(content)
			all[u.Entries[i].Path] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}
