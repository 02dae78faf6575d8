package sudo

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
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
	if _, err := sys.Stat(mainFile); errors.Is(err, fs.ErrNotExist) {
		return false, fault.Inputf("the image has no %s", mainFile).WithHint("add the package sudo, or take its settings out")
	}
	p, err := read(sys)
	if err != nil {
		return false, err
	}
	draft := edit.New(sys)
	p.without(s, draft)
	if differences, err = s.Check(ctx, draft); err != nil {
		return false, err
	}
	if len(differences) > 0 && !s.Absent {
		line, err := s.line()
		if err == nil {
			err = add(draft, line)
		}
		if err != nil {
			return false, err
		}
		if differences, err = s.Check(ctx, draft); err != nil {
			return false, err
		}
	}
	if len(differences) > 0 {
		return false, fault.Failedf("changing the rules of sudo does not bring about %s: %s", s, differences[0]).
			WithHint("look for what is included after %s", dropIns)
	}
	return draft.Save(sys)
}

// cut is a piece of a file to take out.
type cut struct{ start, end int }

// without takes out all that contradicts: a setting with the comma beside it,
// of a line of its own the line.
func (p *policy) without(s *Setting, draft *edit.Draft) {
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
		draft.Set(file, string(data))
	}
}

// add puts a line into the drop-in, and sees to it that drop-ins are read.
func add(draft *edit.Draft, line string) error {
	have, there, err := draft.Text(ownFile)
	if err != nil {
		return err
	}
	if !there {
		have = ownHead
	}
	draft.Make(ownFile, edit.Ended(have)+"Defaults "+line+"\n", 0o440) // the mode of sudo's own files
	p, err := read(draft)
	if err != nil {
		return err
	}
	if _, reads := p.files[ownFile]; !reads {
		draft.Set(mainFile, edit.Ended(string(p.files[mainFile]))+"@includedir "+dropIns+"\n")
	}
	return nil
}
