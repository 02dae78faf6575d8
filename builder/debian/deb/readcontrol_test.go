package deb_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian/deb"
)

// The control files alone are those that reading all gives, and are refused for the
// same reasons; what comes after them is not looked at.
func TestReadControl(t *testing.T) {
	read := func(file []byte) (deb.Control, error) {
		return deb.ReadControl(context.Background(), "p", int64(len(file)), bytes.NewReader(file))
	}
	good := pack(t, tarball(t, dir("./"), plain("./a", "a")))
	all, err := deb.Read(context.Background(), "p", int64(len(good)), bytes.NewReader(good), func(deb.Control, *deb.Entry, io.Reader) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := read(good); err != nil || cmp.Diff(all, alone) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(all, alone))
	}
	for name, c := range hostiles(t) {
		control, err := read(c.part.file(t, c.content))
		switch {
		case c.part == controlPart && err == nil:
			t.Errorf("%s: accepted", name)
		case c.part == dataPart && (err != nil || control["control"].Data == nil):
			t.Errorf("%s: its control file is well, and not read: %v", name, err)
		}
	}
}
