// Package baselinestest loads the controls that come with the program. It is for
// tests alone.
package baselinestest

import (
	"io/fs"
	"testing"

	"imgbuild/images/baselines"
	"imgbuild/images/control"
)

// Controls are all of them.
func Controls(t testing.TB) *control.Set {
	t.Helper()
	files, err := fs.Sub(baselines.FS(), "controls")
	if err != nil {
		t.Fatal(err)
	}
	set, err := control.Load(control.Source{Name: "controls", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return set
}
