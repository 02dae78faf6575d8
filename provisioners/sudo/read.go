package sudo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"imgbuild/provisioners/system"
)

// Where sudo's rules are. ownFile is read first of its directory; what comes
// after it and contradicts is taken out.
const (
	mainFile = "/etc/sudoers"
	dropIns  = "/etc/sudoers.d"
	ownFile  = dropIns + "/00-imgbuild"
)

// The bounds of what is read.
const (
	// maxFile is in bytes.
	maxFile    = 1 << 20
	maxEntries = 10_000
	maxFiles   = 1000
	// maxDepth is how many files may include one another, as in sudo.
	maxDepth = 128
)

// policy is all that sudo would read, in its order.
type policy struct {
	r       system.Reader
	entries []*entry
	// files are the contents of those that were read.
	files map[string][]byte
	// refused are those of them that sudo would not read.
	refused []system.Difference
	count   int
}

// read reads the policy of a system. That there is no sudo is fs.ErrNotExist.
func read(r system.Reader) (*policy, error) {
	p := &policy{r: r, files: map[string][]byte{}}
	return p, p.file(mainFile, 0)
}

func (p *policy) file(name string, depth int) error {
	if p.count++; p.count > maxFiles || depth > maxDepth {
		return fmt.Errorf("reading %s: more than %d files, or %d that include one another", name, maxFiles, maxDepth)
	}
	data, err := system.ReadFile(p.r, name, maxFile)
	if err != nil {
		return fmt.Errorf("reading the rules of sudo: %w", err)
	}
	p.files[name] = data
	info, err := p.r.Stat(name)
	if err != nil {
		return fmt.Errorf("reading the rules of sudo: %w", err)
	}
	p.refuse(name, info)
	list, err := parse(name, data)
	if err != nil {
		return err
	}
	for _, e := range list {
		if p.entries = append(p.entries, e); len(p.entries) > maxEntries {
			return fmt.Errorf("reading the rules of sudo: more than %d entries", maxEntries)
		}
		switch e.kind {
		case include:
			target, err := p.path(e)
			if err == nil {
				err = p.file(target, depth+1)
			}
			if err != nil {
				return err
			}
		case includeDir:
			if err := p.dir(e, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse notes a file that sudo reads none of: one that others could have written
// (sudoers(5), sudoers_mode; without its options, uid and gid are root's).
func (p *policy) refuse(name string, info system.Info) {
	have := ""
	switch mode := info.Mode.Perm(); {
	case info.UID != 0:
		have = fmt.Sprintf("of %d", info.UID)
	case mode&0o002 != 0 || mode&0o020 != 0 && info.GID != 0:
		have = fmt.Sprintf("of mode %04o", mode)
	default:
		return
	}
	p.refused = append(p.refused, system.Difference{Subject: name, Have: have + ", so that sudo does not read it", Want: "root's, and written by nobody else"})
}

// path is where an include leads: relative to its file, %h being the host.
func (p *policy) path(e *entry) (string, error) {
	name := e.path
	if strings.Contains(name, "%h") {
		data, err := system.ReadFile(p.r, "/etc/hostname", 4096)
		if err != nil {
			return "", fmt.Errorf("reading %s: line %d: includes a file by the name of the host, which is not known: %w", e.file, e.line, err)
		}
		host, _, _ := strings.Cut(strings.TrimSpace(string(data)), ".")
		name = strings.ReplaceAll(name, "%h", host)
	}
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(e.file), name)
	}
	return path.Clean(name), nil
}

// dir reads the files of a directory in their order; names with a dot or a
// tilde at the end are not read, and a missing directory is an empty one.
func (p *policy) dir(e *entry, depth int) error {
	dir, err := p.path(e)
	if err != nil {
		return err
	}
	names, err := system.Names(p.r, dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.Contains(name, ".") || strings.HasSuffix(name, "~") {
			continue
		}
		full := path.Join(dir, name)
		info, err := p.r.Stat(full)
		if err != nil || !info.Mode.IsRegular() {
			continue // a directory, or a link to nothing
		}
		if err := p.file(full, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// used is a setting in its entry.
type used struct {
	*entry
	setting
}

func (u used) where() string { return fmt.Sprintf("%s:%d", u.file, u.line) }

// settings are all uses of a setting's name.
func (p *policy) settings(name string) []used {
	var list []used
	for _, e := range p.entries {
		for _, s := range e.settings {
			if s.name == name {
				list = append(list, used{e, s})
			}
		}
	}
	return list
}

// Value is what a line gives a setting, and where it stands.
type Value struct{ Where, Text string }

// Values are all values that any line gives a setting, in sudo's order; none of a
// system without rules of sudo.
func Values(r system.Reader, name string) ([]Value, error) {
	if _, err := r.Stat(mainFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	p, err := read(r)
	if err != nil {
		return nil, err
	}
	var list []Value
	for _, u := range p.settings(name) {
		if u.op != "" {
			list = append(list, Value{u.where(), u.value})
		}
	}
	return list, nil
}
