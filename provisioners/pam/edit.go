package pam

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// head is all of a written line up to its module, and what the module is
// followed by.
var head = regexp.MustCompile(`^(\s*-?\w+\s+(?:\[[^]]*\]|\S+)\s+\S+)([^#]*)(#.*)?$`)

// edit returns the files whose lines have to change. A vendor's file is
// copied to where the administrator's are.
func (l *Line) edit(r system.Reader) (map[string]string, error) {
	src := &source{r: r}
	stack, err := src.stack(l.Stack, l.Type)
	if err != nil {
		return nil, fault.Inputf("there is no PAM stack %q", l.Stack).
			WithHint("add the package that has it, or take the line out").Because(err)
	}
	var mine []*line
	for i, one := range stack {
		switch {
		case l.Absent && one.name() == l.Module:
			mine = append(mine, one)
		case l.Absent || !l.is(one.name(), one.control, one.args):
		case !l.placed(stack, i):
			// It stands elsewhere by somebody's decision; a further line is added.
		default:
			mine = append(mine, one)
		}
	}
	if len(mine) == 0 {
		return l.insert(src)
	}
	if l.Control != "" && !l.Absent {
		mine = mine[:1]
	}
	return rewrite(r, mine, func(one *line, raw []string) []string {
		if l.Absent {
			return nil
		}
		args := l.mend(one.args)
		if slices.Equal(args, one.args) {
			return raw
		}
		if len(raw) == 1 {
			if parts := head.FindStringSubmatch(raw[0]); parts != nil {
				return []string{strings.TrimRight(parts[1]+" "+strings.Join(append(args, parts[3]), " "), " ")}
			}
		}
		parts := head.FindStringSubmatch(strings.ReplaceAll(strings.Join(raw, " "), `\`, ""))
		if parts == nil {
			return raw
		}
		return []string{parts[1] + " " + strings.Join(args, " ")}
	})
}

// placed tells whether a line stands where it should.
func (l *Line) placed(stack []*line, at int) bool {
	for i, other := range stack {
		if other.name() == l.Before && i < at || other.name() == l.After && i > at {
			return false
		}
	}
	return true
}

// rewrite changes lines of the files that they stand in.
func rewrite(r system.Reader, lines []*line, change func(*line, []string) []string) (map[string]string, error) {
	out := map[string]string{}
	physical := map[string][]string{}
	ordered := slices.Clone(lines)
	// From the last to the first, so that numbers stay true.
	slices.SortStableFunc(ordered, func(a, b *line) int { return b.first - a.first })
	// A file that is included twice has its lines in the stack twice.
	type place struct {
		file  string
		first int
	}
	seen := map[place]bool{}
	for _, one := range ordered {
		if physical[one.file] == nil {
			data, err := system.ReadFile(r, one.file, maxFile)
			if err != nil {
				return nil, err
			}
			physical[one.file] = strings.Split(string(data), "\n")
		}
		at := place{one.file, one.first}
		if seen[at] {
			continue
		}
		seen[at] = true
		text := physical[one.file]
		now := change(one, slices.Clone(text[one.first:one.last]))
		physical[one.file] = slices.Concat(text[:one.first], now, text[one.last:])
	}
	for file, text := range physical {
		out[writable(file)] = strings.Join(text, "\n")
	}
	return out, nil
}

// writable is where the administrator's copy of a file is.
func writable(file string) string {
	if rest, ok := strings.CutPrefix(file, vendorDir+"/"); ok {
		return path.Join(configDir, rest)
	}
	return file
}

// insert adds the line to the stack's own file: after the module or the
// include that it has to follow, before the one it has to precede, else before
// the first include.
func (l *Line) insert(src *source) (map[string]string, error) {
	lines, err := src.lines(l.Stack)
	if err != nil {
		return nil, err
	}
	if l.Control == "" || l.Absent {
		return nil, fault.Failedf("PAM stack %s has no line of %s to change", l.Stack, l.Module)
	}
	if files, err := l.below(src, lines); files != nil || err != nil {
		return files, err
	}
	has := func(one *line, module string) (bool, error) {
		if module == "" || one.kind != l.Type && one.kind != "@include" {
			return false, nil
		}
		if one.control.action != nil {
			return one.name() == module, nil
		}
		below, err := src.stack(one.module, l.Type)
		return slices.ContainsFunc(below, func(b *line) bool { return b.name() == module }), err
	}
	at, text := -1, strings.TrimRight(l.String(), " ")
	if len(lines) > 0 && lines[0].service != "" {
		text = lines[0].service + " " + text
	}
	var anchor *line
	for _, one := range lines {
		follows, err := has(one, l.After)
		if err != nil {
			return nil, err
		}
		precedes, err := has(one, l.Before)
		if err != nil {
			return nil, err
		}
		switch {
		case follows:
			anchor, at = one, one.last
		case precedes && at < 0, l.After == "" && l.Before == "" && at < 0 && one.control.action == nil && (one.kind == "@include" || one.kind == l.Type):
			anchor, at = one, one.first
		}
	}
	if at < 0 {
		// No module to stand beside: the last of its type, or of the file.
		for _, one := range lines {
			if anchor == nil || one.kind == l.Type || anchor.kind != l.Type {
				anchor, at = one, one.last
			}
		}
	}
	if anchor == nil {
		file, err := src.file(l.Stack)
		return map[string]string{writable(file): text + "\n"}, err
	}
	after := at == anchor.last
	return rewrite(src.r, []*line{anchor}, func(_ *line, raw []string) []string {
		if after {
			return append(raw, text)
		}
		return append([]string{text}, raw...)
	})
}

// below adds the line below the block of a generated file, where
// pam-auth-update(8) leaves it; nil for other files.
func (l *Line) below(src *source, lines []*line) (map[string]string, error) {
	if len(lines) == 0 || path.Dir(lines[0].file) != configDir {
		return nil, nil
	}
	data, err := system.ReadFile(src.r, lines[0].file, maxFile)
	if err != nil || !strings.Contains("\n"+string(data), "\n"+endMark) {
		return nil, err
	}
	text := edit.Ended(string(data))
	return map[string]string{lines[0].file: text + l.String() + "\n"}, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
