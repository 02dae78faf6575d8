package hygiene

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"path"
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
}

// readPackages reads the database; a tree without one has no packages.
func readPackages(r system.Reader) (*packages, error) {
	p := &packages{versions: map[string]string{}, names: map[string]bool{}, owned: map[string]bool{}, sums: map[string]string{}}
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
			err = lines(r, name, func(line string) { p.owned[line] = true })
		case ".md5sums":
			err = lines(r, name, func(line string) {
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

// brings tells whether a file of the database, "libc6:amd64.list", is that of an
// installed package.
func (p *packages) brings(file string) bool {
	name, _, _ := strings.Cut(strings.TrimSuffix(file, path.Ext(file)), ":")
	return p.names[name]
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
	paragraphs := deb822.NewReader(f)
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
func lines(r system.Reader, name string, do func(string)) error {
	f, err := r.Open(path.Join(infoDir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() {
		do(scanner.Text())
	}
	return scanner.Err()
}
