package scan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"strings"

	"imgbuild/builder/scan/hygiene"
	"imgbuild/builder/scan/layers"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/sbom"
	"imgbuild/provisioners/system"
)

// Target is one finished output, opened read-only.
type Target struct {
	// Name is what its user calls it.
	Name string
	// Output is the form that controls know it by.
	Output control.Output
	// Platform is the system in it, ID and the first part of VERSION_ID of
	// os-release(5): "debian-12".
	Platform string
	// System is the tree. It may be read by several goroutines at once.
	System system.Reader
	// Unseen are parts of it that the tree does not show.
	Unseen []string

	// distribution and release are ID and VERSION_ID of os-release(5).
	distribution, release string
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
	id, version, err := releaseOf(r)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", name, err), close())
	}
	t := &Target{Name: name, Output: output, Platform: id, System: r, distribution: id, release: version, close: close}
	if major, _, _ := strings.Cut(version, "."); major != "" {
		t.Platform += "-" + major
	}
	return t, nil
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

// releaseOf reads ID and VERSION_ID of os-release(5), which lies at the one or the other
// place. Of packages without it base-files tells, where that is Debian's.
func releaseOf(r system.Reader) (id, version string, err error) {
	text, err := system.ReadFile(r, "/etc/os-release", maxRelease)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = system.ReadFile(r, "/usr/lib/os-release", maxRelease)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if status, err := system.ReadFile(r, statusPath, maxStatus); err == nil {
			if release := ofBaseFiles(status); release != "" {
				return "debian", release, nil
			}
			return "", "", fault.Inputf("it has packages and no /etc/os-release: of which release they are is not known").
				WithHint("write that there, as ID=debian and VERSION_ID=12")
		}
		return "", "", fault.Inputf("it has no /etc/os-release: no root of a Linux system").
			WithHint("give a disk image, a container image, or the directory that has etc/ and usr/")
	}
	if err != nil {
		return "", "", err
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			id = value
		case "VERSION_ID":
			version = value
		}
	}
	return id, version, nil
}

// baseFiles is a version of Debian's package base-files, which is numbered by the release
// that it says it is: 12.4+deb12u5. Those of distributions made from Debian have a mark.
var baseFiles = regexp.MustCompile(`^([1-9][0-9]?)(\.[0-9]+)*(\+deb[0-9]+u[0-9]+)?$`)

// ofBaseFiles is the release of Debian whose base-files are installed, or "".
func ofBaseFiles(status []byte) string {
	packages, err := sbom.Installed(status)
	if err != nil {
		return ""
	}
	for _, p := range packages {
		if m := baseFiles.FindStringSubmatch(p.Version); p.Name == "base-files" && m != nil {
			return m[1]
		}
	}
	return ""
}
