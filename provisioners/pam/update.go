package pam

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// kinds are the files that pam-auth-update(8) generates, without "common-".
var kinds = []string{"auth", "account", "password", "session", "session-noninteractive"}

// The lines around the two blocks of a generated file.
const (
	primaryMark    = `# here are the per-package modules (the "Primary" block)`
	fallbackMark   = "# here's the fallback if no module succeeds"
	additionalMark = `# and here are more per-package modules (the "Additional" block)`
	endMark        = "# end of pam-auth-update config"
)

// generated is the state of the common-* files of a system: which profiles
// they were made of and what was changed in them by hand. Its update makes
// what pam-auth-update(8) would make of them, byte for byte.
type generated struct {
	profiles []*profile
	enabled  []*profile
	seen     map[string]bool
	// edits are the options added and removed by hand, by file and line.
	edits map[string]map[string]*change
	// files are the common-* files.
	files map[string]string
}

// change is what was changed of the options of a line.
type change struct{ add, remove map[string]bool }

// errLocal says that the files are not, or no longer, generated ones. Then
// pam-auth-update(8) leaves them alone, and whoever changes them edits lines.
var errLocal = errors.New("the common files are managed by hand")

// jumps and ends are where a control's jump leads, which does not identify a
// line.
var (
	jumpLength = regexp.MustCompile(`(\[[^0-9]*)[0-9]+(.*\])`)
	jumpEnd    = regexp.MustCompile(`(\[.*)end(.*\])`)
)

func withoutJump(text string) string { return jumpLength.ReplaceAllString(text, "$1$2") }

// edit finds or makes the changes of a line.
func (g *generated) edit(kind, key string) *change {
	if g.edits[kind] == nil {
		g.edits[kind] = map[string]*change{}
	}
	if g.edits[kind][key] == nil {
		g.edits[kind][key] = &change{add: map[string]bool{}, remove: map[string]bool{}}
	}
	return g.edits[kind][key]
}

// readGenerated reads the state. The error is errLocal when there is none to
// go by.
func readGenerated(r system.Reader) (*generated, error) {
	g := &generated{seen: map[string]bool{}, edits: map[string]map[string]*change{}, files: map[string]string{}}
	var err error
	if g.profiles, err = readProfiles(r); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, kind := range kinds {
		text, there, err := system.ReadText(r, path.Join(configDir, "common-"+kind), maxFile)
		if err != nil {
			return nil, err
		}
		saved, known, err := system.ReadText(r, path.Join(stateDir, kind), maxFile)
		if err != nil {
			return nil, err
		}
		if !there || !known {
			return nil, errLocal
		}
		g.files[kind] = text
		if err := g.compare(kind, saved, found); err != nil {
			return nil, err
		}
	}
	seen, _, err := system.ReadText(r, path.Join(stateDir, "seen"), maxFile)
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Split(strings.TrimSuffix(seen, "\n"), "\n") {
		g.seen[name] = true
	}
	for _, p := range g.profiles {
		if found[p.name] {
			g.enabled = append(g.enabled, p)
		}
	}
	return g, nil
}

// savedLine is a line of the state: the profile it is of, what identifies it,
// its options.
type savedLine struct {
	profile, key string
	options      []string
}

func parseSaved(text string) ([]savedLine, error) {
	var list []savedLine
	name := ""
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if module, ok := strings.CutPrefix(l, "Module: "); ok {
			name = module
			continue
		}
		l = jumpEnd.ReplaceAllString(withoutJump(l), "$1$2")
		parts := profileLine.FindStringSubmatch(l)
		if parts == nil {
			return nil, errLocal
		}
		list = append(list, savedLine{name, parts[1], strings.Fields(parts[2])})
	}
	return list, nil
}

// compare holds a file against what was last generated: profiles that are
// still in it are found, changed options are edits; a line from elsewhere
// makes the file a local one.
func (g *generated) compare(kind, text string, found map[string]bool) error {
	saved, err := parseSaved(text)
	if err != nil {
		return err
	}
	prefix := regexp.MustCompile(`^` + strings.TrimSuffix(kind, "-noninteractive") + `\s+`)
	state := 0
	for _, l := range strings.Split(strings.TrimSuffix(g.files[kind], "\n"), "\n") {
		switch {
		case state == 0:
			if strings.HasPrefix(l, primaryMark) {
				state = 1
			}
			continue
		case state == 1 && strings.HasPrefix(l, fallbackMark):
			state = 2
			continue
		case state == 2:
			if strings.HasPrefix(l, additionalMark) {
				state = 3
			}
			continue
		case state == 3 && strings.HasPrefix(l, endMark):
			state = 4
		}
		if state == 4 {
			break
		}
		l = withoutJump(prefix.ReplaceAllString(l, ""))
		at := slices.IndexFunc(saved, func(s savedLine) bool { return strings.HasPrefix(l, s.key) })
		if at < 0 {
			return errLocal
		}
		was := saved[at]
		saved = saved[at+1:]
		found[was.profile] = true
		g.changed(kind, was, strings.Fields(l[len(was.key):]))
	}
	if state < 3 {
		return errLocal
	}
	return nil
}

// changed notes in what a line's options are not those that were generated.
func (g *generated) changed(kind string, was savedLine, now []string) {
	for _, option := range now {
		if !slices.Contains(was.options, option) {
			g.edit(kind, was.key).add[option] = true
		}
	}
	for _, option := range was.options {
		if !slices.Contains(now, option) {
			g.edit(kind, was.key).remove[option] = true
		}
	}
}

// settle decides which profiles are enabled: those that are, those that no run
// has seen yet and that are on by default, none that a further one excludes.
func (g *generated) settle() {
	if len(g.enabled) == 0 {
		g.seen = map[string]bool{}
	}
	for _, p := range g.profiles {
		if p.fields["Default"] == "yes" && !g.seen[p.name] && !slices.Contains(g.enabled, p) {
			g.enabled = append(g.enabled, p)
		}
	}
	slices.SortFunc(g.enabled, byPriority)
	for i := 0; i < len(g.enabled); i++ {
		one := g.enabled[i]
		g.enabled = slices.DeleteFunc(g.enabled, func(p *profile) bool { return one.conflicts[p.name] })
	}
}

// block lists the enabled profiles with lines in a block of a file.
func (g *generated) block(kind, block string) []*profile {
	return slices.DeleteFunc(slices.Clone(g.enabled), func(p *profile) bool { return p.block(kind) != block })
}

// update returns the files that pam-auth-update(8) would leave, by path.
func (g *generated) update() (map[string]string, error) {
	out := map[string]string{}
	for _, kind := range kinds {
		text, err := g.render(kind)
		if err != nil {
			return nil, err
		}
		out[path.Join(configDir, "common-"+kind)] = text
		out[path.Join(stateDir, kind)] = g.saved(kind)
	}
	var seen strings.Builder
	for _, p := range g.profiles {
		seen.WriteString(p.name + "\n")
	}
	out[path.Join(stateDir, "seen")] = seen.String()
	return out, nil
}

// render writes one file: all but the blocks as it is.
func (g *generated) render(kind string) (string, error) {
	var out bytes.Buffer
	skip := ""
	edits := map[string]*change{}
	for key, e := range g.edits[kind] {
		edits[key] = &change{add: maps.Clone(e.add), remove: e.remove}
	}
	marks := []struct{ begin, end, block string }{
		{primaryMark, fallbackMark, "Primary"}, {additionalMark, endMark, "Additional"},
	}
	for _, l := range strings.SplitAfter(g.files[kind], "\n") {
		if skip != "" {
			if !strings.HasPrefix(l, skip) {
				continue
			}
			skip = ""
			out.WriteString(l)
			continue
		}
		out.WriteString(l)
		if len(marks) == 0 || !strings.HasPrefix(l, marks[0].begin) {
			continue
		}
		text, err := g.renderBlock(kind, marks[0].block, edits)
		if err != nil {
			return "", err
		}
		out.WriteString(text)
		skip, marks = marks[0].end, marks[1:]
	}
	if skip != "" || len(marks) > 0 {
		return "", errLocal
	}
	return out.String(), nil
}

// renderBlock writes the lines of one block, jumps counted and options changed
// as they were by hand.
func (g *generated) renderBlock(kind, block string, edits map[string]*change) (string, error) {
	kindWord := strings.TrimSuffix(kind, "-noninteractive")
	var all []string
	for i, p := range g.block(kind, block) {
		all = append(all, p.lines(kind, i == 0)...)
	}
	if block == "Primary" && len(all) == 0 {
		return kindWord + "\t[default=1]\t\t\tpam_permit.so\n", nil
	}
	count := len(all)
	if block == "Additional" {
		count-- // so that a jump stays on the stack
	}
	var out strings.Builder
	for _, l := range all {
		parts := profileLine.FindStringSubmatch(l)
		if parts == nil {
			return "", fmt.Errorf("generating common-%s: a profile has the line %q", kind, l)
		}
		head := strings.ReplaceAll(parts[1], "end", strconv.Itoa(count))
		options := strings.Fields(parts[2])
		if e := edits[withoutJump(head)]; e != nil {
			// An option that the profile has by now needs no adding, to this
			// line or to a later one of the same module.
			for _, option := range options {
				delete(e.add, option)
			}
			options = slices.DeleteFunc(options, func(o string) bool { return e.remove[o] })
			options = append(options, slices.Sorted(maps.Keys(e.add))...)
		}
		fmt.Fprintf(&out, "%s\t%s %s\n", kindWord, head, strings.Join(options, " "))
		count--
	}
	return out.String(), nil
}

// saved writes the state of one file.
func (g *generated) saved(kind string) string {
	var out strings.Builder
	first := 0
	for _, block := range []string{"Primary", "Additional"} {
		index := 0
		// What is not of the other block is written, whatever its name.
		other := map[string]string{"Primary": "Additional", "Additional": "Primary"}[block]
		for _, p := range g.enabled {
			if b := p.block(kind); b == "" || b == other {
				continue
			}
			if lines := p.lines(kind, index == 0); len(lines) > 0 {
				fmt.Fprintf(&out, "Module: %s\n%s\n", p.name, strings.Join(lines, "\n"))
			}
			index++
		}
		if block == "Primary" {
			if first = index; first == 0 {
				out.WriteString("Module: null\n[default=1]\t\t\tpam_permit.so\n")
			}
		}
	}
	return out.String()
}
