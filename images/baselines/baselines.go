// Package baselines holds the recipes that come with the program, as data: one
// <name>.yaml each, and below files/ what they copy into images. It reads and
// judges nothing; package baseline does.
package baselines

import (
	"embed"
	"io/fs"
)

//go:embed *.yaml files
var shipped embed.FS

// FS has the shipped recipes at its top.
func FS() fs.FS { return shipped }
