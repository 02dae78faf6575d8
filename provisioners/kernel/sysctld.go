package kernel

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// sysctlConf is what procps' "sysctl --system" reads at last. systemd-sysctl
// reads it only when a link in sysctl.d leads there, as Debian 12's does.
const sysctlConf = "/etc/sysctl.conf"

// assignment is one line of sysctl.d(5).
type assignment struct {
	// key has slashes between its parts and dots within them; name is how the
	// line spells it.
	key, name string
	// value is what the line assigns. A line "-key" assigns nothing: it keeps
	// patterns, and what was assigned before, from the key.
	value   string
	assigns bool
	// forgiving is a line that begins with "-": a failure is not one.
	forgiving bool
	// start and end are where the line lies in its file, without blanks
	// around it.
	start, end int
}

// parseSysctl reads the assignments of one file. A line that is none is one for
// systemd-sysctl and procps neither: they say so and go on.
func parseSysctl(text string) ([]assignment, error) {
	var list []assignment
	offset := 0
	for number, line := range strings.SplitAfter(text, "\n") {
		start := offset + len(line) - len(strings.TrimLeft(line, " \t\r\n\v\f"))
		offset += len(line)
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if strings.ContainsAny(line, "\x00\r") {
			return nil, fmt.Errorf("line %d holds a character that ends it for some programs and not for others", number+1)
		}
		a := assignment{start: start, end: start + len(line)}
		name, value, assigns := strings.Cut(line, "=")
		if rest, minus := strings.CutPrefix(name, "-"); minus {
			name, a.forgiving = rest, true
		} else if !assigns {
			continue
		}
		a.name, a.value, a.assigns = strings.TrimSpace(name), strings.TrimSpace(value), assigns
		a.key = sysctlKey(a.name)
		if _, err := system.Match(a.key, ""); err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		if system.IsPattern(a.key) && strings.ContainsRune(a.key, '{') {
			return nil, fmt.Errorf("line %d: a pattern with braces is not understood; write one line for each", number+1)
		}
		list = append(list, a)
	}
	return list, nil
}

// sysctlKey gives a key with slashes: when the first separator of a name is a
// dot, dots separate and slashes stand for dots; else it is a path already
// (sysctl.d(5)).
func sysctlKey(name string) string {
	if i := strings.IndexAny(name, "/."); i >= 0 && name[i] == '.' {
		name = swapSeparators(name)
	}
	return strings.TrimPrefix(path.Clean(name), "/")
}

// dotted is a key as sysctl(8) prints it.
func dotted(key string) string { return swapSeparators(key) }

func swapSeparators(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, s)
}

// found is an assignment with the place of its file among the sources, last for
// /etc/sysctl.conf and ufw for the file that ufw loads.
type found struct {
	assignment
	source int
}

const (
	last = -1
	ufw  = -2
)

// systemd tells whether systemd-sysctl reads a source too: it passes over names
// that begin with a dot, which procps does not.
func (c *sysctls) systemd(i int) bool {
	return i >= 0 && !strings.HasPrefix(c.sources[i].name(), ".")
}

// sysctls are all assignments that a boot reads.
type sysctls struct {
	*set
	// conf is /etc/sysctl.conf where no link in sysctl.d leads to it, so that
	// procps reads it and systemd does not; else its text is empty.
	conf        source
	confChanged bool
	// ufw is what an enabled ufw loads when it starts, after all of them
	// (ufw-framework(8)); else its text is empty.
	ufw        source
	ufwChanged bool
}

// readSysctls reads the configuration of a system.
func readSysctls(r system.Reader) (*sysctls, error) {
	t, err := readSet(r, "sysctl.d", true)
	if err != nil {
		return nil, err
	}
	c := &sysctls{set: t, conf: source{path: sysctlConf}}
	if c.ufw, err = readUFW(r); err != nil {
		return nil, err
	}
	for _, s := range t.sources {
		if place(r, t.kind, s.path) == sysctlConf {
			return c, nil
		}
	}
	c.conf.text, err = readSource(r, sysctlConf)
	return c, err
}

// What ufw's files say in the form of sh(1): that it is enabled, and what it
// loads with sysctl(8).
var (
	ufwEnabled = regexp.MustCompile(`(?m)^[ \t]*ENABLED=["']?[yY][eE][sS]\b`)
	ufwSysctl  = regexp.MustCompile(`(?m)^[ \t]*IPT_SYSCTL=["']?(/[^"'\s;#]*)`)
)

// readUFW reads what an enabled ufw sets.
func readUFW(r system.Reader) (source, error) {
	state, err := readSource(r, "/etc/ufw/ufw.conf")
	if err != nil || !ufwEnabled.MatchString(state) {
		return source{}, err
	}
	settings, err := readSource(r, "/etc/default/ufw")
	if err != nil {
		return source{}, err
	}
	found := ufwSysctl.FindAllStringSubmatch(settings, -1)
	if len(found) == 0 {
		return source{}, nil
	}
	s := source{path: path.Clean(found[len(found)-1][1])}
	s.text, err = readSource(r, s.path)
	return s, err
}

// file is a source by its place.
func (c *sysctls) file(i int) source {
	switch i {
	case last:
		return c.conf
	case ufw:
		return c.ufw
	}
	return c.sources[i]
}

// replace makes another line of an assignment.
func (c *sysctls) replace(a found, line string) {
	switch a.source {
	case last:
		c.conf.text = c.conf.text[:a.start] + line + c.conf.text[a.end:]
		c.confChanged = true
	case ufw:
		c.ufw.text = c.ufw.text[:a.start] + line + c.ufw.text[a.end:]
		c.ufwChanged = true
	default:
		c.change(a.source, a.start, a.end, line)
	}
}

// write puts the changed files where they belong.
func (c *sysctls) write(s system.System) error {
	if c.confChanged {
		if err := system.Replace(s, sysctlConf, c.conf.text, 0o644); err != nil {
			return err
		}
	}
	if c.ufwChanged {
		if err := system.Replace(s, c.ufw.path, c.ufw.text, 0o644); err != nil {
			return err
		}
	}
	return c.set.write(s)
}

// assignments lists what is assigned, in the order of procps: systemd's, then
// /etc/sysctl.conf; and what ufw sets after them.
func (c *sysctls) assignments() ([]found, error) {
	var list []found
	for n := range len(c.sources) + 2 {
		i := n
		if n >= len(c.sources) {
			i = len(c.sources) - 1 - n // last, then ufw
		}
		parsed, err := parseSysctl(c.file(i).text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", c.file(i).path, err)
		}
		for _, a := range parsed {
			if list = append(list, found{assignment: a, source: i}); len(list) > maxLines {
				return nil, fmt.Errorf("reading %s: more than %d assignments", c.kind, maxLines)
			}
		}
	}
	return list, nil
}

// effective is the assignment that decides on a key: the last one of the key
// itself, else the last pattern that matches it. Nil is no decision.
func effective(list []found, key string) *found {
	var own *found
	// A pattern that is assigned its own value again stays where it was.
	var patterns []found
	for _, a := range list {
		switch {
		case a.key == key:
			own = &a
		case system.IsPattern(a.key):
			i := slices.IndexFunc(patterns, func(p found) bool { return p.key == a.key })
			if i >= 0 && patterns[i].value == a.value && patterns[i].assigns == a.assigns {
				continue
			}
			if i >= 0 {
				patterns = slices.Delete(patterns, i, i+1)
			}
			patterns = append(patterns, a)
		}
	}
	if own != nil {
		return own
	}
	for _, p := range slices.Backward(patterns) {
		if about, err := system.Match(p.key, key); p.assigns && about && err == nil {
			return &p
		}
	}
	return nil
}
