package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"imgbuild/provisioners/system"
)

// The limits of what a kernel says about its modules: bytes of one list, and
// kernels of one system.
const (
	maxModules  = 32 << 20
	maxReleases = 64
)

// directive is one command of modprobe.d(5).
type directive struct {
	verb string
	// module has underscores for dashes; of an alias or an install command it
	// may be a pattern.
	module string
	// rest is what follows the module.
	rest string
	// start and end are where the line lies in its file, line break included.
	start, end int
}

// parseModprobe reads the commands of one file as kmod does: a backslash joins
// two lines and drops out before any other character, a comment begins in the
// first column, and a line that is no command is passed over.
func parseModprobe(text string) []directive {
	var list []directive
	for at := 0; at < len(text); {
		start := at
		var line strings.Builder
		for at < len(text) && text[at] != '\n' {
			if text[at] == '\\' && at+1 < len(text) {
				if at++; text[at] == '\n' {
					at++
					continue
				}
			}
			line.WriteByte(text[at])
			at++
		}
		at = min(at+1, len(text))
		if d, ok := parseDirective(line.String()); ok {
			d.start, d.end = start, at
			list = append(list, d)
		}
	}
	return list
}

func parseDirective(line string) (directive, bool) {
	if strings.HasPrefix(line, "#") {
		return directive{}, false
	}
	verb, rest := cutWord(line)
	word, rest := cutWord(rest)
	module, ok := underscores(word)
	return directive{verb: verb, module: module, rest: rest}, ok && module != ""
}

// cutWord takes the first word off a line; blanks are spaces and tabs only.
func cutWord(line string) (word, rest string) {
	line = strings.TrimLeft(line, " \t")
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return line, ""
	}
	return line[:i], line[i+1:]
}

// underscores makes dashes underscores, but for those in the brackets of a
// pattern. It is not ok when brackets do not pair.
func underscores(name string) (string, bool) {
	out := []byte(name)
	inside := false
	for i, c := range out {
		switch {
		case c == '[' && !inside:
			inside = true
		case c == ']' && inside:
			inside = false
		case c == ']':
			return "", false
		case c == '-' && !inside:
			out[i] = '_'
		}
	}
	return string(out), !inside
}

// refuses tells whether an install command does nothing but not to install.
func refuses(command string) bool {
	words := strings.Fields(command)
	if len(words) != 1 {
		return false
	}
	switch words[0] {
	case "/bin/false", "/bin/true", "/usr/bin/false", "/usr/bin/true":
		return true
	}
	return false
}

// placed is a directive with the place of its file among the sources.
type placed struct {
	directive
	source int
}

// directives lists the commands of a kind about one module in the order in
// which kmod finds them. Only install commands have patterns.
func (t *set) directives(verb, module string) ([]placed, error) {
	var list []placed
	for i, s := range t.sources {
		if strings.ContainsRune(s.text, 0) {
			return nil, fmt.Errorf("reading %s: it is not a text: it has a zero byte", s.path)
		}
		for _, d := range parseModprobe(s.text) {
			if d.verb != verb || verb == "install" && strings.TrimLeft(d.rest, " \t") == "" {
				continue
			}
			about := d.module == module
			if verb == "install" && system.IsPattern(d.module) {
				var err error
				if about, err = system.Match(d.module, module); err != nil {
					return nil, fmt.Errorf("reading %s: %w", s.path, err)
				}
			}
			if about && len(list) == maxRepeats {
				return nil, fmt.Errorf("reading %s: more than %d lines %s %s", t.kind, maxRepeats, verb, module)
			}
			if about {
				list = append(list, placed{directive: d, source: i})
			}
		}
	}
	return list, nil
}

// install is the command that modprobe runs in place of loading a module: the
// first that is given. Nil is none.
func (t *set) install(module string) (*placed, error) {
	list, err := t.directives("install", module)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// kernels are the releases of a system's kernels.
func kernels(r system.Reader) ([]string, error) {
	names, err := system.Names(r, "/lib/modules")
	if err != nil {
		return nil, fmt.Errorf("listing kernels: %w", err)
	}
	var list []string
	for _, name := range names {
		switch _, err := r.Stat(path.Join("/lib/modules", name, "modules.dep")); {
		case errors.Is(err, fs.ErrNotExist): // what a removed kernel leaves
		case err != nil:
			return nil, fmt.Errorf("listing kernels: %w", err)
		default:
			list = append(list, name)
		}
	}
	if len(list) > maxReleases {
		return nil, fmt.Errorf("listing kernels: more than %d", maxReleases)
	}
	return list, nil
}

// builtIn tells whether a kernel has a module within itself, hasModule whether
// it has it as a file (modules.builtin and modules.dep of depmod(8)).
func builtIn(r system.Reader, release, module string) (bool, error) {
	return lists(r, path.Join("/lib/modules", release, "modules.builtin"), module)
}

func hasModule(r system.Reader, release, module string) (bool, error) {
	return lists(r, path.Join("/lib/modules", release, "modules.dep"), module)
}

// lists tells whether a file has a line that begins with the path of a module.
func lists(r system.Reader, name, module string) (bool, error) {
	text, _, err := system.ReadText(r, name, maxModules)
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(text) {
		file, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		base, _, is := strings.Cut(path.Base(file), ".ko")
		if is && strings.ReplaceAll(base, "-", "_") == module {
			return true, nil
		}
	}
	return false, nil
}

// running tells whether the running kernel has loaded a module; there is none on
// a system that does not run.
func running(r system.Reader, module string) (live, loaded bool, err error) {
	text, live, err := system.ReadText(r, "/proc/modules", maxModules)
	if err != nil {
		return false, false, fmt.Errorf("asking the running kernel: %w", err)
	}
	for line := range strings.Lines(text) {
		if name, _, _ := strings.Cut(line, " "); name == module {
			return true, true, nil
		}
	}
	return live, false, nil
}
