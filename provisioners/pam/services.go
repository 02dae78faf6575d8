package pam

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// maxServices bounds the services of a system.
const maxServices = 2000

// unix is the module that asks the server's own accounts.
const unix = "pam_unix.so"

// shared begins the names of files that services include.
const shared = "common-"

// unasked are services that let in without a password by what they are for: the
// login screens of display managers, and logins that those make by themselves
// where their own configuration tells them to.
var unasked = []string{"gdm-autologin", "gdm-launch-environment", "lightdm-autologin", "lightdm-greeter", "sddm-autologin", "sddm-greeter"}

// leftovers are endings of names that editors and dpkg(1) give to files that they
// keep; no program calls itself so.
var leftovers = []string{"~", ".bak", ".old", ".orig", ".save", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".ucf-dist", ".ucf-old", ".ucf-new"}

// services are the names of all services that have a file, sorted.
func (s *source) services() ([]string, error) {
	list, err := s.stacks()
	return slices.DeleteFunc(list, func(name string) bool { return strings.HasPrefix(name, shared) }), err
}

// stacks are the names of all files, sorted.
func (s *source) stacks() ([]string, error) {
	var list []string
	for _, dir := range []string{configDir, vendorDir} {
		names, err := system.Names(s.r, dir)
		if err != nil {
			return nil, fmt.Errorf("reading the services of PAM: %w", err)
		}
		for _, name := range names {
			if slices.ContainsFunc(leftovers, func(end string) bool { return strings.HasSuffix(name, end) }) {
				continue
			}
			info, err := s.r.Stat(path.Join(dir, name))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				continue // a link to nothing
			case err != nil:
				return nil, fmt.Errorf("reading the services of PAM: %w", err)
			case info.Mode.IsRegular():
				list = append(list, name)
			}
		}
	}
	if len(list) > maxServices {
		return nil, fmt.Errorf("reading the services of PAM: more than %d", maxServices)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// elsewhere tells which services do not have the line, though they ask the
// server's own accounts for what it is about: those whose file names pam_unix.so
// itself in place of including what Debian's do. Of pam_unix.so itself it is that
// it decides: no service lets in those whom it refuses.
func (l *Line) elsewhere(src *source) ([]system.Difference, error) {
	names, err := src.services()
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, name := range names {
		found, err := l.inService(src, name)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

func (l *Line) inService(src *source, name string) ([]system.Difference, error) {
	stack, err := src.stack(name, l.Type)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a file that it includes is missing: it lets in nobody
	}
	if err != nil || len(stack) == 0 {
		return nil, err // without lines of the type, the service called other decides
	}
	subject := l.subject(name)
	if l.Module == unix && l.Control != "" {
		if opens(stack) && !slices.Contains(unasked, name) {
			return []system.Difference{{Subject: subject, Have: "lets in those whom it refuses, or asks nothing", Want: "refuses them"}}, nil
		}
		return nil, nil
	}
	if !slices.ContainsFunc(stack, func(one *line) bool { return one.name() == unix }) {
		return nil, nil
	}
	return l.judge(subject, stack, l.Control != ""), nil
}

// Use is a line of a module.
type Use struct {
	// File is where it stands.
	File      string
	Arguments []string
}

// Uses lists the lines of a module that any stack has for a type of line, each once.
func Uses(r system.Reader, kind, module string) ([]Use, error) {
	src := &source{r: r}
	names, err := src.stacks()
	if err != nil {
		return nil, err
	}
	type place struct {
		file  string
		first int
	}
	seen := map[place]bool{}
	var list []Use
	for _, name := range names {
		stack, err := src.stack(name, kind)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, one := range stack {
			if at := (place{one.file, one.first}); one.name() == module && !seen[at] {
				seen[at] = true
				list = append(list, Use{File: one.file, Arguments: one.args})
			}
		}
	}
	return list, nil
}
