package deb

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

const (
	// maxControl is the most bytes of all control files of a package; the
	// largest in Debian, a kernel's md5sums, is 2 MiB.
	maxControl = 64 << 20
	// maxControlFiles is the most control files of a package.
	maxControlFiles = 256
)

// ControlFile is one file of a package's control archive.
type ControlFile struct {
	// Mode is the permission bits.
	Mode uint32
	Data []byte
}

// Control holds the control files by name: control, preinst, conffiles, …
type Control map[string]ControlFile

var controlName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// md5sums returns the digests that the package lists, by path; never nil. As
// with dpkg, conffiles are not among them.
func (c Control) md5sums() map[string]string {
	sums := map[string]string{}
	for line := range strings.Lines(string(c["md5sums"].Data)) {
		sum, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if md5Sum.MatchString(sum) {
			sums[strings.TrimPrefix(path, "./")] = sum
		}
	}
	for line := range strings.Lines(string(c["conffiles"].Data)) {
		delete(sums, strings.Trim(line, "/ \t\n"))
	}
	return sums
}

var md5Sum = regexp.MustCompile(`^[0-9a-f]{32}$`)

func readControl(src io.Reader) (Control, error) {
	files := Control{}
	r := tar.NewReader(src)
	for {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading control archive: %w", err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag == tar.TypeDir && strings.Trim(name, "/.") == "" {
			continue
		}
		switch {
		case h.Typeflag != tar.TypeReg:
			return nil, fmt.Errorf("control archive: %q is no plain file", h.Name)
		case !controlName.MatchString(name) || name == "list":
			return nil, fmt.Errorf("control archive: name %q is not allowed", h.Name)
		case len(files) == maxControlFiles:
			return nil, fmt.Errorf("control archive: more than %d files", maxControlFiles)
		}
		if _, twice := files[name]; twice {
			return nil, fmt.Errorf("control archive: %s occurs twice", name)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("control archive: reading %s: %w", name, err)
		}
		files[name] = ControlFile{Mode: uint32(h.Mode & 0o777), Data: data}
	}
	if _, ok := files["control"]; !ok {
		return nil, errors.New("control archive: there is no control file")
	}
	return files, nil
}
