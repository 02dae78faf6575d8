package scan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"imgbuild/builder/scan/hygiene"
	"imgbuild/builder/scan/layers"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Target is one finished output, opened read-only.
type Target struct {
	// Name is what its user calls it.
	Name string
	// Output is the form that controls know it by.
	Output control.Output
	// Platform is the system in it: "debian-12".
	Platform string
	// System is the tree. It may be read by several goroutines at once.
	System system.Reader
	// Unseen are parts of it that the tree does not show.
	Unseen []string

	// image is the container image that it is, nil for others, and configuration
	// what it says of itself, as JSON.
	image         *layers.Image
	configuration []byte
	close         func() error
}

// Close lets the target go.
func (t *Target) Close() error { return t.close() }

// hidden are the files of a container image that its tree does not show.
func (t *Target) hidden() []hygiene.Hidden {
	if t.image == nil {
		return nil
	}
	var list []hygiene.Hidden
	for _, h := range t.image.Hidden() {
		list = append(list, hygiene.Hidden{
			Path: h.Path, Size: h.Size(), Where: "layer " + h.Layer.String(),
			Open: func() (io.ReadCloser, error) { return t.image.OpenHidden(h), nil },
		})
	}
	return list
}

// newTarget finds out what system a tree holds.
func newTarget(name string, output control.Output, r system.Reader, close func() error) (*Target, error) {
	platform, err := platformOf(r)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", name, err), close())
	}
	return &Target{Name: name, Output: output, Platform: platform, System: r, close: close}, nil
}

// Directory opens a tree that lies in a directory as a machine's root or a
// container's.
func Directory(dir string, output control.Output) (*Target, error) {
	root, err := system.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	return newTarget(dir, output, root, root.Close)
}

// maxRelease bounds os-release(5), in bytes.
const maxRelease = 64 << 10

// platformOf reads os-release(5): ID and the first part of VERSION_ID.
func platformOf(r system.Reader) (string, error) {
	text, err := system.ReadFile(r, "/etc/os-release", maxRelease)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Inputf("it has no /etc/os-release: no root of a Linux system").
			WithHint("give a disk image, a container image, or the directory that has etc/ and usr/")
	}
	if err != nil {
		return "", err
	}
	var id, version string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = value
		case "VERSION_ID":
			version, _, _ = strings.Cut(value, ".")
		}
	}
	if version == "" {
		return id, nil
	}
	return id + "-" + version, nil
}
