package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/fault"
	"imgbuild/images/signing/signingtest"
	"imgbuild/images/updates/transfer"
	"imgbuild/images/updates/updatestest"
)

func TestWhatIsMissingOrDamagedIsNotExported(t *testing.T) {
	key, _ := signingtest.Keyring(t, "factory")
	from, e, _, _ := exported(t, key)
	path := filepath.Join(t.TempDir(), "out.zip")
	file := from.archive.Path(e.Locks["web"].Packages[4].SHA256)
	damaged := func(b []byte) error {
		return errors.Join(os.Remove(file), os.WriteFile(file, b, 0o444))
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[7] ^= 1
	for _, c := range []struct {
		content []byte
		want    string
	}{{bad, "damaged"}, {good[1:], "1 of 5 packages are not in the archive, among them p004 1"}} {
		if err := damaged(c.content); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(t.Context(), path); fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if err := damaged(good); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Write(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func FuzzParseManifest(f *testing.F) {
	sum := updatestest.Sum(nil)
	f.Add([]byte(`{"version":1,"as_of":"2026-01-01T00:00:00Z","locks":[{"name":"web","sha256":"` + sum + `","bytes":10}],"packages":[{"sha256":"` + sum + `","bytes":4}]}`))
	f.Add([]byte(`{"version":1,"locks":[{"name":"../web"}],"packages":null}`))
	f.Add([]byte(`{"version":2}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := transfer.ParseManifest(data)
		if err != nil {
			return
		}
		for _, l := range m.Locks {
			if !filepath.IsLocal(l.Name) || strings.Contains(l.Name, "/") || len(l.SHA256) != 64 || l.Bytes <= 0 {
				t.Errorf("lock %+v", l)
			}
		}
		for _, p := range append(m.Packages, m.Records...) {
			if len(p.SHA256) != 64 || p.Bytes <= 0 {
				t.Errorf("file %+v", p)
			}
		}
	})
}
