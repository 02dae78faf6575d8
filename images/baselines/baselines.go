// Package baselines holds the recipes that come with the program, as data: one
// <name>.yaml each, and below files/ what they copy into images; and the
// controls that recipes ask for, below controls/. It reads and judges nothing;
// packages baseline and control do.
package baselines

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml files
var shipped embed.FS

//go:embed controls
var controls embed.FS

// FS has the shipped recipes at its top.
func FS() fs.FS { return shipped }

// Controls has the shipped controls at its top, with their benchmarks and
// profiles: a tree for control.Load.
func Controls() fs.FS {
	tree, err := fs.Sub(controls, "controls")
	if err != nil {
		panic(err) // a constant path that is valid
	}
	return tree
}
