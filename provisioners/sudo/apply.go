package sudo

import (
	"bytes"
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// ownHead begins the drop-in.
const ownHead = "# The settings of sudo that the image's recipe asks for.\n"

// Apply takes out what contradicts, wherever it is, and where the setting is
// missing then adds it to the drop-in of the resources. Taking out a tag edits
// the rule that has it: NOPASSWD gone, its users are asked for a password.
func (s *Setting) Apply(ctx context.Context, sys system.System) (bool, error) {
	differences, err := s.Check(ctx, sys)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	p, err := read(sys)
	if err != nil {
		return false, err
	}
	now := overlay{sys, p.without(s)}
	if differences, err = s.Check(ctx, now); err != nil {
		return false, err
	}
	if len(differences) > 0 && !s.Absent {
		if err := now.add(s.line()); err != nil {
			return false, err
		}
		if differences, err = s.Check(ctx, now); err != nil {
			return false, err
		}
	}
	if len(differences) > 0 {
		return false, fault.Failedf("changing the rules of sudo does not bring about %s: %s", s, differences[0]).
			WithHint("look for what is included after %s", dropIns)
	}
	return true, now.write(sys)
}

// cut is a piece of a file to take out.
type cut struct{ start, end int }

// without returns the files that change when all that contradicts is taken
// out: a setting with the comma beside it, of a line of its own the line.
func (p *policy) without(s *Setting) map[string][]byte {
	cuts := map[string][]cut{}
	for _, e := range p.entries {
		for _, t := range e.tags {
			if s.isTag() && t.name == s.Name {
				cuts[e.file] = append(cuts[e.file], cut{t.start, t.end})
			}
		}
		bad := func(u setting) bool { return !s.isTag() && u.name == s.setting() && s.contradicts(used{e, u}) }
		switch {
		case len(e.settings) == 0 || !slices.ContainsFunc(e.settings, bad):
		case !slices.ContainsFunc(e.settings, func(u setting) bool { return !bad(u) }):
			cuts[e.file] = append(cuts[e.file], cut{e.start, e.end})
		default:
			kept := false
			for i, u := range e.settings {
				switch {
				case !bad(u):
					kept = true
				case kept:
					cuts[e.file] = append(cuts[e.file], cut{e.settings[i-1].end, u.end})
				default:
					cuts[e.file] = append(cuts[e.file], cut{u.start, e.settings[i+1].start})
				}
			}
		}
	}
	out := map[string][]byte{}
	for file, list := range cuts {
		slices.SortFunc(list, func(a, b cut) int { return b.start - a.start })
		data := slices.Clone(p.files[file])
		last := len(data)
		for _, c := range list {
			if c.end > last { // a file that is included twice has its cuts twice
				continue
			}
			data = slices.Delete(data, c.start, c.end)
			last = c.start
		}
		out[file] = data
	}
	return out
}

// overlay is a system with some files as they would be.
type overlay struct {
	system.Reader
	files map[string][]byte
}

// Open implements system.Reader.
func (o overlay) Open(name string) (io.ReadCloser, error) {
	if data, ok := o.files[name]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return o.Reader.Open(name)
}

// Stat implements system.Reader, as far as what kind of file there is.
func (o overlay) Stat(name string) (system.Info, error) {
	if data, ok := o.files[name]; ok {
		return system.Info{Size: int64(len(data))}, nil
	}
	return o.Reader.Stat(name)
}

// ReadDir implements system.Reader.
func (o overlay) ReadDir(name string) ([]string, error) {
	names, err := o.Reader.ReadDir(name)
	added := false
	for file := range o.files {
		if path.Dir(file) == name && !slices.Contains(names, path.Base(file)) {
			names, added = append(names, path.Base(file)), true
		}
	}
	if added {
		err = nil
	}
	return names, err
}

// add puts a line into the drop-in, and sees to it that drop-ins are read.
func (o overlay) add(line string) error {
	have := []byte(ownHead)
	if _, err := o.Stat(ownFile); err == nil {
		if have, err = system.ReadFile(o, ownFile, maxFile); err != nil {
			return err
		}
		if len(have) > 0 && have[len(have)-1] != '\n' {
			have = append(have, '\n')
		}
	}
	o.files[ownFile] = append(slices.Clone(have), "Defaults "+line+"\n"...)
	p, err := read(o)
	if err != nil {
		return err
	}
	if _, reads := p.files[ownFile]; reads {
		return nil
	}
	main := slices.Clone(p.files[mainFile])
	if len(main) > 0 && main[len(main)-1] != '\n' {
		main = append(main, '\n')
	}
	o.files[mainFile] = append(main, "@includedir "+dropIns+"\n"...)
	return nil
}

// write writes the files that changed; a new one is readable by root and its
// group, as sudo wants it.
func (o overlay) write(s system.System) error {
	var names []string
	for name := range o.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		attr := system.Attr{Mode: 0o440}
		if info, err := s.Stat(name); err == nil {
			attr = system.Attr{Mode: info.Mode, UID: info.UID, GID: info.GID}
		}
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			return err
		}
		if err := s.WriteFile(name, strings.NewReader(string(o.files[name])), attr); err != nil {
			return err
		}
	}
	return nil
}
