package pam

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// Where stacks are, in the order in which Linux-PAM looks (pam.d(5)): the
// administrator's and the vendor's. oldFile counts only where neither
// directory is.
const (
	configDir = "/etc/pam.d"
	vendorDir = "/usr/lib/pam.d"
	oldFile   = "/etc/pam.conf"
)

// The bounds of what is read.
const (
	// maxFile is in bytes.
	maxFile = 256 << 10
	// maxDepth is how many files may include one another, as in Linux-PAM.
	maxDepth = 16
	// maxLines is how many lines a stack may have with its includes.
	maxLines = 4096
)

// types are the four kinds of line.
var types = []string{"auth", "account", "password", "session"}

// line is one line of a configuration, continuation lines joined.
type line struct {
	// file and first say where it stands, first counting physical lines from
	// 0; it ends before last.
	file        string
	first, last int
	// service is of the old file, else "".
	service string
	// kind is one of types, in lower case, or "@include".
	kind string
	// quiet is the - before the type: no log when the module is missing.
	quiet   bool
	control control
	// module is the module as written; of an include it is the other file.
	module string
	args   []string
	// scope names the substacks that the line is in, in a flat stack.
	scope string
}

// modulesDir is where modules of the distribution are; elsewhere one of the same
// name is another.
var modulesDir = regexp.MustCompile(`^(/usr)?/lib(32|64)?(/[a-z0-9_]+-linux-[a-z0-9]+)?/security/[^/]+$`)

// name is the module without its directory, unless that is a strange one.
func (l *line) name() string {
	if modulesDir.MatchString(l.module) {
		return path.Base(l.module)
	}
	return l.module
}

// parseError is of a configuration that Linux-PAM would not understand either.
type parseError struct {
	file string
	line int
	what string
}

func (e *parseError) Error() string {
	return fmt.Sprintf("reading %s: line %d: %s", e.file, e.line, e.what)
}

// parse reads the lines of one file (pam.conf(5)). In the old file the first
// word names the service.
func parse(file string, data []byte, old bool) ([]*line, error) {
	var list []*line
	physical := strings.Split(string(data), "\n")
	for i := 0; i < len(physical); {
		l := &line{file: file, first: i}
		text := ""
		for more := true; more && i < len(physical); i++ {
			// A comment begins anywhere and ends the logical line, unless it or
			// nothing is all of a line that continues another.
			part, _, comment := strings.Cut(physical[i], "#")
			part = strings.TrimRight(part, " \t\r\n\v\f")
			if more = strings.TrimSpace(part) == "" && text != ""; more {
				continue
			}
			more = !comment && strings.HasSuffix(part, `\`)
			text += strings.TrimSuffix(part, `\`) + " "
		}
		l.last = i
		words, err := split(text)
		if err != nil {
			return nil, &parseError{file, l.first + 1, err.Error()}
		}
		if len(words) == 0 {
			continue
		}
		if old {
			if words[0] == "@include" || len(words) < 2 {
				return nil, &parseError{file, l.first + 1, "expected a service and a type"}
			}
			l.service, words = strings.ToLower(words[0]), words[1:]
		}
		if err := l.read(words); err != nil {
			return nil, &parseError{file, l.first + 1, err.Error()}
		}
		if list = append(list, l); len(list) > maxLines {
			return nil, &parseError{file, l.first + 1, fmt.Sprintf("more than %d lines", maxLines)}
		}
	}
	return list, nil
}

// read takes the words of a line apart.
func (l *line) read(words []string) error {
	if words[0] == "@include" {
		if len(words) != 2 {
			return errors.New("@include takes one file")
		}
		l.kind, l.module = words[0], words[1]
		return nil
	}
	kind, quiet := strings.CutPrefix(words[0], "-")
	l.kind, l.quiet = strings.ToLower(kind), quiet
	if !slices.Contains(types, l.kind) {
		return fmt.Errorf("%q is not a type of line", words[0])
	}
	if len(words) < 3 {
		return errors.New("expected a control and a module")
	}
	var err error
	if l.control, err = parseControl(words[1]); err != nil {
		return err
	}
	for i, word := range words {
		words[i] = unbracketed(word)
	}
	l.module, l.args = words[2], words[3:]
	return nil
}

// unbracketed is a word without brackets that are around it for nothing; those
// around white space stay, so that it can be written as it was.
func unbracketed(word string) string {
	inside, begins := strings.CutPrefix(word, "[")
	inside, ends := strings.CutSuffix(inside, "]")
	if !begins || !ends || inside == "" || strings.ContainsAny(inside, " \t\r\v\f[]\\") {
		return word
	}
	return inside
}

// split takes a line's words apart; one in brackets may hold white space and,
// after a backslash, a closing bracket. Brackets of a control are kept, those
// of an argument are only around it.
func split(text string) ([]string, error) {
	var words []string
	for {
		text = strings.TrimLeft(text, " \t\r\v\f")
		if text == "" {
			return words, nil
		}
		if text[0] != '[' {
			end := strings.IndexAny(text, " \t\r\v\f")
			if end < 0 {
				end = len(text)
			}
			words, text = append(words, text[:end]), text[end:]
			continue
		}
		end := 1
		for ; end < len(text) && text[end] != ']'; end++ {
			if text[end] == '\\' && end+1 < len(text) && text[end+1] == ']' {
				end++
			}
		}
		if end >= len(text) {
			return nil, errors.New("a bracket that is not closed")
		}
		words, text = append(words, text[:end+1]), text[end+1:]
	}
}

// source reads the configuration of a system.
type source struct {
	r system.Reader
	// count bounds the lines of a stack.
	count int
	// known are files that were read, by name.
	known map[string][]*line
}

// file is the place of a stack's file: the administrator's before the
// vendor's; "" when there is neither.
func (s *source) file(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name), nil
	}
	for _, dir := range []string{configDir, vendorDir} {
		full := path.Join(dir, name)
		_, err := s.r.Stat(full)
		switch {
		case err == nil:
			return full, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
	}
	return "", nil
}

// lines reads one file; a stack without a file is fs.ErrNotExist.
func (s *source) lines(name string) ([]*line, error) {
	if list, ok := s.known[name]; ok {
		return list, nil
	}
	list, err := s.read(name)
	if err != nil {
		return nil, err
	}
	if s.known == nil {
		s.known = map[string][]*line{}
	}
	s.known[name] = list
	return list, nil
}

func (s *source) read(name string) ([]*line, error) {
	file, err := s.file(name)
	if err != nil {
		return nil, err
	}
	if file == "" {
		return s.old(name)
	}
	data, err := system.ReadFile(s.r, file, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading a PAM stack: %w", err)
	}
	return parse(file, data, false)
}

// old reads a service's lines of the old single file, which counts only where
// there is no directory.
func (s *source) old(name string) ([]*line, error) {
	if _, err := s.r.Stat(configDir); err == nil {
		return nil, fmt.Errorf("reading PAM stack %s: %w", name, fs.ErrNotExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	data, err := system.ReadFile(s.r, oldFile, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading PAM stack %s: %w", name, err)
	}
	all, err := parse(oldFile, data, true)
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(all, func(l *line) bool { return l.service != strings.ToLower(name) })
	if len(list) == 0 {
		return nil, fmt.Errorf("reading PAM stack %s: %w", name, fs.ErrNotExist)
	}
	return list, nil
}

// stack is what Linux-PAM would run for a service and a type: the lines of
// that type with all includes put in their place.
func (s *source) stack(name, kind string) ([]*line, error) {
	s.count = 0
	return s.flat(name, kind, "", 0)
}

func (s *source) flat(name, kind, scope string, depth int) ([]*line, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("reading PAM stack %s: more than %d files include one another", name, maxDepth)
	}
	lines, err := s.lines(name)
	if err != nil {
		return nil, err
	}
	var list []*line
	for i, l := range lines {
		if s.count++; s.count > maxLines {
			return nil, fmt.Errorf("reading PAM stack %s: more than %d lines with its includes", name, maxLines)
		}
		inner := scope
		switch {
		case l.kind == "@include":
		case l.kind != kind:
			continue
		case l.control.word == "substack":
			inner = fmt.Sprintf("%s/%s:%d", scope, strings.ReplaceAll(name, "/", "|"), i)
		case l.control.word == "include":
		default:
			one := *l // a file may be included twice, in two scopes
			one.scope = scope
			list = append(list, &one)
			continue
		}
		below, err := s.flat(l.module, kind, inner, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, below...)
	}
	return list, nil
}
