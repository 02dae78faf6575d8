package osv_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/osv"
	"imgbuild/images/unzip/ziptest"
)

const record = `{"id": "CVE-%d", "affected": [{"package": {"ecosystem": "Debian:12", "name": "a"}, "versions": ["1"]}]}`

func read(data []byte, each func(*advisory.Record) error) error {
	return osv.Read(context.Background(), bytes.NewReader(data), int64(len(data)), each)
}

func TestArchivesAreReadInOrder(t *testing.T) {
	const n = 1000
	data := ziptest.Make(t, func(w *zip.Writer) {
		ziptest.Add(t, w, "dir/", "")
		ziptest.Add(t, w, "README", "no record")
		for i := range n {
			ziptest.Add(t, w, fmt.Sprintf("dir/CVE-%d.json", i), fmt.Sprintf(record, i))
		}
	})
	next := 0
	err := read(data, func(r *advisory.Record) error {
		if want := fmt.Sprint("CVE-", next); r.ID != want {
			t.Fatalf("%s comes instead of %s", r.ID, want)
		}
		next++
		return nil
	})
	if err != nil || next != n {
		t.Errorf("%d records, %v", next, err)
	}
	enough := errors.New("enough")
	if err := read(data, func(*advisory.Record) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = osv.Read(ctx, bytes.NewReader(data), int64(len(data)), func(*advisory.Record) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestHostileArchives(t *testing.T) {
	good := ziptest.Make(t, func(w *zip.Writer) {
		for i := range 50 {
			ziptest.Add(t, w, fmt.Sprintf("CVE-%d.json", i), fmt.Sprintf(record, i))
		}
	})
	one := fmt.Sprintf(record, 1)
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"cut short":       {good[:len(good)/2], "cut short"},
		"its end missing": {good[:len(good)-1], "cut short"},
		"PK alone":        {[]byte("PK"), "cut short"},
		"empty":           {ziptest.Make(t, func(*zip.Writer) {}), "holds no record"},
		"a packed record": {ziptest.Make(t, func(w *zip.Writer) { ziptest.Add(t, w, "a.json", one); ziptest.Add(t, w, "b.json.gz", "") }), `"b.json.gz": records are .json files`},
		"a large name":    {ziptest.Make(t, func(w *zip.Writer) { ziptest.Add(t, w, "a.json", one); ziptest.Add(t, w, "B.JSON", "{") }), `"B.JSON"`},
		"no record":       {ziptest.Of(t, "a.txt", ""), "holds no record"},
		"an escape":       {ziptest.Make(t, func(w *zip.Writer) { ziptest.Add(t, w, "a.json", one); ziptest.Add(t, w, "../a.txt", "") }), "which is no plain file"},
		"a bomb":          {ziptest.Of(t, "a.json", strings.Repeat(" ", 64<<20)), "the limit is"},
		"one record that is none": {ziptest.Make(t, func(w *zip.Writer) {
			ziptest.Add(t, w, "a.json", one)
			ziptest.Add(t, w, "b.json", "{")
		}), `"b.json"`},
	} {
		err := read(c.data, func(*advisory.Record) error { return nil })
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", name, err, c.says)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(ziptest.Of(f, "a.json", fmt.Sprintf(record, 1)))
	f.Add([]byte(fmt.Sprintf(record, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		err := read(data, func(r *advisory.Record) error { n++; return r.Check() })
		if err == nil && n == 0 {
			t.Error("there is no record, and it is no error")
		}
	})
}
