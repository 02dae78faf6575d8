package apache

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// mainFile is Debian's, serverRoot what its httpd is built with.
const (
	mainFile   = "/etc/apache2/apache2.conf"
	serverRoot = "/etc/apache2"
	envvars    = "/etc/apache2/envvars"
)

// static are the modules that Debian's httpd has built in (apache2 -l).
var static = []string{"core", "so", "watchdog", "http", "log_config", "logio", "version", "unixd"}

// Config is a configuration as httpd reads it: included files in place,
// conditions decided.
type Config struct {
	// Root stands for the whole; its Block has the server's own directives.
	Root *Directive
	// Order are the files as they are read.
	Order []string

	// patterns are those of the files that the server itself includes.
	patterns []string
	files    *edit.Draft
	modules  map[string]bool
	defines  map[string]bool
	vars     map[string]string
	root     string
	count    int
	// sections are counted apart: each may have to be compared with each.
	sections int
	all      []level
}

// Read reads the configuration with the main file called main, "" for
// Debian's, with the parameters that -D would define.
func Read(r system.Reader, main string, defines []string) (*Config, error) {
	return read(edit.New(r), cmp.Or(main, mainFile), defines)
}

// read reads the configuration, with the parameters that -D would define.
func read(files *edit.Draft, main string, defines []string) (*Config, error) {
	c := &Config{
		Root: &Directive{Name: "server", File: main, Section: true}, files: files, modules: map[string]bool{},
		defines: map[string]bool{}, vars: map[string]string{}, root: serverRoot,
	}
	for _, name := range static {
		c.modules[name] = true
	}
	for _, name := range defines {
		c.defines[name] = true
	}
	_, text, err := files.Read(envvars)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading apache's environment: %w", err)
	}
	c.environment(text)
	if err := c.options(c.vars["APACHE_ARGUMENTS"]); err != nil {
		return nil, err
	}
	if err := c.file(c.Root, main, 0); err != nil {
		return nil, err
	}
	if real, err := files.Real(main); err == nil {
		c.Root.File = real
	}
	return c, nil
}

var assignment = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=("[^"]*"|'[^']*'|[^\s;]*)`)
var shellVariable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?`)

// environment reads the plain assignments of the shell script that Debian's
// apache2ctl takes variables from. Of an if, the last branch counts: Debian's
// has only that of a second instance before it.
func (c *Config) environment(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		found := assignment.FindStringSubmatch(line)
		if found == nil || len(c.vars) > 1000 {
			continue
		}
		value := strings.Trim(found[2], `"'`)
		value = shellVariable.ReplaceAllStringFunc(value, func(v string) string {
			return c.vars[shellVariable.FindStringSubmatch(v)[1]]
		})
		if len(value) < 4096 {
			c.vars[found[1]] = value
		}
	}
}

// options takes the arguments of httpd's command line, those of Debian's
// apache2ctl: what -D defines. Those that bring directives or another
// configuration of their own are refused.
func (c *Config) options(text string) error {
	args := words(text)
	for i := 0; i < len(args); i++ {
		value, is := strings.CutPrefix(args[i], "-D")
		switch {
		case is && value == "" && i+1 < len(args):
			i++
			c.defines[args[i]] = true
		case is && value != "":
			c.defines[value] = true
		case len(args[i]) > 1 && args[i][0] == '-' && strings.IndexByte("CcdfDE", args[i][1]) >= 0, len(args[i]) > 2 && args[i][0] == '-' && args[i][1] != 'k' && args[i][1] != 'e':
			return fmt.Errorf("%s: APACHE_ARGUMENTS has %s, which is not understood: write it into the configuration", envvars, args[i])
		}
	}
	return nil
}

var variable = regexp.MustCompile(`\$\{([^}:]+)\}`)

// expand fills ${VAR} in; what is not defined stays, as httpd has it.
func (c *Config) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		if value, known := c.vars[v[2:len(v)-1]]; known {
			return value
		}
		return v
	})
}

// file adds what a file holds to a section.
func (c *Config) file(into *Directive, name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("reading %s: files are nested more than %d deep; does a file include itself?", name, maxDepth)
	}
	real, text, err := c.files.Read(name)
	if err != nil {
		return fmt.Errorf("reading apache's configuration: %w", err)
	}
	c.Order = append(c.Order, name)
	list, err := parse(real, text)
	if err != nil {
		return err
	}
	return c.walk(into, list, depth)
}

// commandName is the form of every directive's name, a module's own included;
// httpd refuses a configuration with another.
var commandName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// walk takes over what was parsed, in order. What a condition leaves out is not
// looked at, as httpd does not.
func (c *Config) walk(into *Directive, list []*Directive, depth int) error {
	for _, d := range list {
		if c.count++; c.count > maxDirectives {
			return d.errorf("more than %d directives", maxDirectives)
		}
		if len(d.raw) > 64<<10 {
			return d.errorf("a line of more than 64 KiB")
		}
		if !commandName.MatchString(d.Name) {
			return d.errorf("%q is not the name of a directive", d.Name)
		}
		d.Text = c.expand(d.raw)
		d.Args = words(d.Text)
		if d.Section {
			if err := c.section(into, d, depth); err != nil {
				return err
			}
			continue
		}
		switch {
		case d.Is("Include", "IncludeOptional"):
			for _, pattern := range d.Args {
				if err := c.include(into, d, pattern, depth); err != nil {
					return err
				}
			}
			continue
		case d.Is("Define") && len(d.Args) > 0:
			c.defines[d.Args[0]] = true
			if len(d.Args) > 1 {
				c.vars[d.Args[0]] = d.Args[1]
			}
		case d.Is("UnDefine") && len(d.Args) > 0:
			delete(c.defines, d.Args[0])
			delete(c.vars, d.Args[0])
		case d.Is("LoadModule") && len(d.Args) == 2:
			c.modules[strings.TrimSuffix(d.Args[0], "_module")] = true
		case d.Is("ServerRoot") && len(d.Args) == 1:
			c.root = d.Args[0]
		case d.Is("Use"):
			return d.errorf("macros (mod_macro) are not understood; write their content out")
		}
		into.Block = append(into.Block, d)
	}
	return nil
}

func (d *Directive) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", d.File, d.Line, fmt.Sprintf(format, args...))
}

// section decides a condition, or takes a section over.
func (c *Config) section(into *Directive, d *Directive, depth int) error {
	if d.Is("Macro") {
		return nil // nothing until it is used
	}
	if !d.Is("IfModule", "IfDefine", "IfFile", "IfVersion", "IfDirective", "IfSection") {
		if c.sections++; c.sections > maxSections {
			return d.errorf("more than %d sections", maxSections)
		}
		children := d.Block
		d.Block = nil
		into.Block = append(into.Block, d)
		return c.walk(d, children, depth)
	}
	if len(d.Args) == 0 {
		return d.errorf("<%s> has no argument", d.Name)
	}
	name, negated := strings.CutPrefix(d.Args[0], "!")
	holds := false
	switch {
	case d.Is("IfModule"):
		holds = c.Loaded(name)
	case d.Is("IfDefine"):
		holds = c.defines[name]
	case d.Is("IfFile"):
		holds = c.files.Exists(c.absolute(name))
	case d.Is("IfVersion"):
		var err error
		if holds, err = version(d); err != nil {
			return err
		}
		negated = false
	default:
		return d.errorf("<%s> is not understood", d.Name)
	}
	if holds == negated {
		return nil
	}
	return c.walk(into, d.Block, depth)
}

// Loaded tells whether a module is there, by its name (ssl), its identifier
// (ssl_module) or its source file (mod_ssl.c).
func (c *Config) Loaded(name string) bool {
	name = strings.TrimSuffix(name, "_module")
	if source, isSource := strings.CutSuffix(name, ".c"); isSource {
		name = strings.TrimPrefix(strings.TrimPrefix(source, "mod_"), "http_")
		// The sources of the MPMs are called by what they are.
		if slices.Contains([]string{"event", "worker", "prefork"}, name) {
			name = "mpm_" + name
		}
	}
	return c.modules[name]
}

// version decides <IfVersion>, as far as the branch 2.4 is enough to know.
func version(d *Directive) (bool, error) {
	operator, want := "=", d.Args[0]
	if len(d.Args) > 1 {
		operator, want = d.Args[0], d.Args[1]
	}
	operator, negated := strings.CutPrefix(operator, "!")
	parts := strings.Split(want, ".")
	// What is not written is 0, and no release of the branch is 2.4.0.
	order := 1
	for i, have := range []int{2, 4} {
		n := 0
		if i < len(parts) {
			var err error
			if n, err = strconv.Atoi(parts[i]); err != nil {
				return false, d.errorf("<IfVersion> with %q is not understood", want)
			}
		}
		if order = cmp.Compare(have, n); order != 0 {
			break
		}
		order = 1
		if i == 1 && len(parts) > 2 {
			return false, d.errorf("<IfVersion> asks for more than the branch 2.4, which is all that is known")
		}
	}
	result := false
	switch operator {
	case "=", "==":
		result = order == 0
	case ">":
		result = order > 0
	case ">=":
		result = order >= 0
	case "<":
		result = order < 0
	case "<=":
		result = order <= 0
	default:
		return false, d.errorf("<IfVersion> with %q is not understood", operator)
	}
	return result != negated, nil
}

func (c *Config) absolute(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(c.root, name)
	}
	return path.Clean(name)
}

// include adds the files that a pattern names; a directory stands for all
// files below it.
func (c *Config) include(into, d *Directive, pattern string, depth int) error {
	pattern = c.absolute(pattern)
	if into == c.Root {
		c.patterns = append(c.patterns, pattern)
	}
	names := []string{pattern}
	if system.IsPattern(pattern) {
		var err error
		if names, err = system.Glob(c.files, pattern); err != nil {
			return d.errorf("%v", err)
		}
	}
	if d.Is("IncludeOptional") {
		names = slices.DeleteFunc(names, func(name string) bool { return !c.files.Exists(name) })
	} else if len(names) == 0 {
		return d.errorf("no file matches %s", pattern)
	}
	for _, name := range names {
		var err error
		if c.files.IsDir(name) {
			var inside []string
			if inside, err = system.Glob(c.files, path.Join(name, "*")); err == nil {
				for _, one := range inside {
					if depth > maxDepth {
						return d.errorf("directories are nested more than %d deep", maxDepth)
					}
					if err = c.include(into, d, one, depth+1); err != nil {
						break
					}
				}
			}
		} else {
			err = c.file(into, name, depth+1)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
		}
	}
	return nil
}
