// Package baselines holds the recipes that come with the program, as data: one
// <name>.yaml each, below files/ what they copy into images, and below controls/
// the hardening rules that they choose from. It reads and judges nothing;
// packages baseline and control do.
package baselines

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml files controls
var shipped embed.FS

// FS has the shipped recipes at its top.
func FS() fs.FS { return shipped }
