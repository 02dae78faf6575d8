package hygiene

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/provisioners/system"
)

const (
	statusFile = "/var/lib/dpkg/status"
	infoDir    = "/var/lib/dpkg/info"
)

// packages is what the database of dpkg says of a tree.
type packages struct {
	// versions are of the installed packages, by "name:architecture".
	versions map[string]string
	// names are those of the packages.
	names map[string]bool
	// owned are the paths that packages brought.
	owned map[string]bool
	// sums are MD5 digests of files as they came, in lower-case hex, by path:
	// those of *.md5sums and of conffiles. dpkg has no better ones; they tell
	// what was left alone from what was changed here, not who made it.
	sums map[string]string
	// left is how many bytes of the database may still be read.
	left int64
}

// maxDatabase bounds dpkg's database, in bytes: that of a desktop has 150 MB.
const maxDatabase = 512 << 20

// readPackages reads the database; a tree without one has no packages.
func readPackages(r system.Reader) (*packages, error) {
	p := &packages{versions: map[string]string{}, names: map[string]bool{}, owned: map[string]bool{}, sums: map[string]string{}, left: maxDatabase}
	if err := p.status(r); err != nil {
		return nil, err
	}
	names, err := r.ReadDir(infoDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range names {
		if !p.brings(name) {
			continue
		}
		switch path.Ext(name) {
		case ".list":
			err = p.lines(r, name, func(line string) { p.owned[line] = true })
		case ".md5sums":
			err = p.lines(r, name, func(line string) {
				if sum, file, ok := strings.Cut(line, "  "); ok {
					p.sums["/"+file] = sum
				}
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return p, nil
}

// brought are the files of the database that a package brings or dpkg makes of it
// (deb-control(5), dpkg(1)).
var brought = []string{
	".list", ".md5sums", ".conffiles", ".config", ".templates", ".triggers", ".shlibs", ".symbols", ".preinst", ".postinst", ".prerm", ".postrm",
}

// brings tells whether a file of the database, "libc6:amd64.list", is that of an
// installed package.
func (p *packages) brings(file string) bool {
	kind := path.Ext(file)
	name, _, _ := strings.Cut(strings.TrimSuffix(file, kind), ":")
	return p.names[name] && slices.Contains(brought, kind)
}

// database is a file of it, which gives no more than may be read of all.
type database struct {
	io.ReadCloser
	of *packages
}

func (d database) Read(b []byte) (int, error) {
	n, err := d.ReadCloser.Read(b)
	if d.of.left -= int64(n); d.of.left < 0 {
		return 0, fmt.Errorf("dpkg's database has more than %d bytes", int64(maxDatabase))
	}
	return n, err
}

func (p *packages) status(r system.Reader) error {
	f, err := r.Open(statusFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	paragraphs := deb822.NewReader(database{f, p})
	for {
		paragraph, err := paragraphs.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if status := strings.Fields(paragraph.Get("Status")); len(status) != 3 || status[2] == "not-installed" || status[2] == "config-files" {
			continue
		}
		p.names[paragraph.Get("Package")] = true
		p.versions[paragraph.Get("Package")+":"+paragraph.Get("Architecture")] = paragraph.Get("Version")
		for _, line := range paragraph.Lines("Conffiles") {
			if words := strings.Fields(line); len(words) >= 2 {
				p.sums[words[0]] = words[1]
			}
		}
	}
}

// lines calls do with every line of a file of the database.
func (p *packages) lines(r system.Reader, name string, do func(string)) error {
	f, err := r.Open(path.Join(infoDir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	scanner := bufio.NewScanner(database{f, p})
	for scanner.Scan() {
		do(scanner.Text())
	}
	return scanner.Err()
}
