package pam

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// Apply brings the stack into the state. In a file that pam-auth-update(8)
// generates, a missing line becomes a profile of its own and options of other
// profiles' lines are changed where that program looks for changes; elsewhere
// the one line of the file is edited.
func (l *Line) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := l.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	draft := edit.New(s)
	set := func(files map[string]string) {
		for _, name := range sortedKeys(files) {
			draft.Set(name, files[name])
		}
	}
	own, err := l.inStack(&source{r: s})
	if err == nil && len(own) > 0 {
		var files map[string]string
		files, err = l.mended(s)
		set(files)
	}
	if err == nil && l.Everywhere && l.Control == "" {
		err = l.mendServices(draft, set)
	}
	if err != nil {
		return false, err
	}
	after, err := l.Check(ctx, draft)
	if err != nil {
		return false, err
	}
	if len(after) > 0 {
		return false, l.refuse(after[0])
	}
	return draft.Save(s)
}

// mended are the files of the resource's own stack as they should be.
func (l *Line) mended(r system.Reader) (files map[string]string, err error) {
	kind, common := strings.CutPrefix(l.Stack, shared)
	if common && slices.Contains(kinds, kind) {
		files, err = l.generate(r, kind)
	}
	if !common || files == nil && err == nil || errors.Is(err, errLocal) {
		files, err = l.edit(r)
	}
	return files, err
}

// mendServices changes the arguments of the lines that services have besides.
func (l *Line) mendServices(draft *edit.Draft, set func(map[string]string)) error {
	names, err := (&source{r: draft}).services()
	if err != nil {
		return err
	}
	for _, name := range names {
		found, err := l.inService(&source{r: draft}, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		other := *l
		other.Stack = name
		files, err := other.edit(draft)
		if err != nil {
			return err
		}
		set(files)
	}
	return nil
}

// refuse is the error that a difference stays.
func (l *Line) refuse(left system.Difference) error {
	own := l.subject(l.Stack)
	if left.Subject != own {
		return fault.Failedf("%s; what it asks is its owner's to say", left).WithHint("include %s in that file in place of what it asks itself", l.Stack)
	}
	return fault.Failedf("changing %s does not bring about the line: %s", path.Join(configDir, l.Stack), left).
		WithHint("a profile of %s or a line of the stack contradicts it; remove that first", profileDir)
}

// own is the name of the resource's own profile.
func (l *Line) own() string { return "imgbuild-" + l.Name }

// generate returns what pam-auth-update(8) makes of the system once the line
// is asked for; nil where the line cannot be in a generated block.
func (l *Line) generate(r system.Reader, kind string) (map[string]string, error) {
	if l.Type != strings.TrimSuffix(kind, "-noninteractive") {
		return nil, nil
	}
	g, err := readGenerated(r)
	if err != nil {
		return nil, err
	}
	g.settle()
	if l.Absent {
		g.enabled = slices.DeleteFunc(g.enabled, func(p *profile) bool { return l.given(p, kind) })
		if len(g.block(kind, "Primary"))+len(g.block(kind, "Additional")) == 0 {
			return nil, nil
		}
		return g.update()
	}
	found := false
	for _, block := range []string{"Primary", "Additional"} {
		for i, p := range g.block(kind, block) {
			if p.name == l.own() {
				continue
			}
			for _, text := range p.lines(kind, i == 0) {
				did, err := l.adjust(g, kind, text)
				if err != nil {
					return nil, err
				}
				found = found || did
			}
		}
	}
	if found {
		return g.update()
	}
	if l.Control == "" || kind == "session-noninteractive" {
		return nil, nil
	}
	text := l.profile(g, kind)
	p, err := parseProfile(l.own(), []byte(text))
	if err != nil {
		return nil, err
	}
	same := func(other *profile) bool { return other.name == p.name }
	g.profiles = append(slices.DeleteFunc(g.profiles, same), p)
	g.enabled = append(slices.DeleteFunc(g.enabled, same), p)
	slices.SortFunc(g.profiles, byPriority)
	slices.SortFunc(g.enabled, byPriority)
	for _, line := range p.lines(kind, false) {
		if _, err := l.adjust(g, kind, line); err != nil {
			return nil, err
		}
	}
	files, err := g.update()
	if err != nil {
		return nil, err
	}
	files[path.Join(profileDir, l.own())] = text
	return files, nil
}

// given tells whether a profile gives a line of the module.
func (l *Line) given(p *profile, kind string) bool {
	return slices.ContainsFunc(slices.Concat(p.lines(kind, false), p.lines(kind, true)), func(text string) bool {
		parts := profileLine.FindStringSubmatch(text)
		return parts != nil && strings.HasSuffix(parts[1], l.Module)
	})
}

// adjust changes the options of a profile's line, if it is the line that is
// meant.
func (l *Line) adjust(g *generated, kind, text string) (bool, error) {
	list, err := parse("a PAM profile", []byte(l.Type+" "+text), false)
	if err != nil {
		return false, err
	}
	if len(list) != 1 || !l.is(list[0].name(), list[0].control, list[0].args) {
		return false, nil
	}
	parts := profileLine.FindStringSubmatch(text)
	if parts == nil {
		return false, nil
	}
	e := g.edit(kind, withoutJump(strings.ReplaceAll(parts[1], "end", "1")))
	options := strings.Fields(parts[2])
	have := slices.DeleteFunc(slices.Clone(options), func(o string) bool { return e.remove[o] })
	for _, option := range sortedKeys(e.add) {
		if !slices.Contains(have, option) {
			have = append(have, option)
		}
	}
	want := l.mend(have)
	clear(e.add)
	clear(e.remove)
	for _, option := range want {
		if !slices.Contains(options, option) {
			e.add[option] = true
		}
	}
	for _, option := range options {
		if !slices.Contains(want, option) {
			e.remove[option] = true
		}
	}
	return true, nil
}

// profile writes the resource's own profile, in the block and at the priority
// that put the line where it belongs.
func (l *Line) profile(g *generated, kind string) string {
	block, priority := "Additional", 0
	owner := func(module string) *profile {
		if module == "" {
			return nil
		}
		for _, p := range g.enabled {
			other := *l
			other.Module = module
			if p.name != l.own() && p.block(kind) != "" && other.given(p, kind) {
				return p
			}
		}
		return nil
	}
	before, after := owner(l.Before), owner(l.After)
	switch {
	case before != nil && after != nil && before.block(kind) == after.block(kind):
		block, priority = before.block(kind), max(int(before.priority())+1, int(after.priority())-1)
	case before != nil:
		block, priority = before.block(kind), int(before.priority())+1
	case after != nil:
		// The lowest that is usual: what else decides stands before as well.
		block, priority = after.block(kind), min(0, int(after.priority())-1)
	case l.control.of("success") == "done":
		priority = -1 // what ends the stack stands last
	}
	var b strings.Builder
	name := field(l.Type)
	fmt.Fprintf(&b, "Name: imgbuild: %s\nDefault: yes\nPriority: %d\n", l.Name, priority)
	if kind == "session" {
		b.WriteString("Session-Interactive-Only: yes\n")
	}
	text := strings.Join(append([]string{l.Control, l.Module}, l.mend(nil)...), " ")
	fmt.Fprintf(&b, "%s-Type: %s\n%s:\n\t%s\n", name, block, name, text)
	return b.String()
}
