package setting

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// chronyConf is the main file of chrony.conf(5).
const chronyConf = "/etc/chrony/chrony.conf"

// The bounds of chronyd: the length of a line in bytes, and how deep files
// include others. maxIncluded is ours, of all files together.
const (
	chronyLine  = 2046
	chronyDepth = 10
	maxIncluded = 200
)

// chrony reads chrony.conf(5): a directive in any case, blanks and its
// arguments, with whole lines as comments that begin with one of "!;#%". Of a
// directive given several times the last one counts; a source is called by its
// directive and its name, as "pool ntp.example.org", and its options are its
// value. Files that "include" and "confdir" name are read in their place. Those
// of "sourcedir" are not: chronyd takes nothing but sources from them, and
// leaves out the lines that it does not understand. One directive that chronyd
// would refuse keeps it from starting, and is an error.
type chrony struct{}

func (chrony) name(key string) string { return key }

func (chrony) sense() term.Sense { return term.Sense{} }

func (g chrony) parse(text string) ([]assignment, error) {
	return eachLine(text, func(begin, end int) ([]assignment, error) {
		from, to := trim(text, begin, end)
		if from == to || strings.IndexByte("!;#%", text[from]) >= 0 {
			return nil, nil
		}
		if end-begin > chronyLine {
			return nil, fmt.Errorf("it is longer than %d bytes", chronyLine)
		}
		words := strings.Fields(text[from:to])
		a := assignment{key: strings.ToLower(words[0]), begin: begin, end: end}
		at := from + len(words[0])
		if isSource(a.key) && len(words) > 1 {
			a.key += " " + words[1]
			at += strings.Index(text[at:to], words[1]) + len(words[1])
			words = words[1:]
		}
		a.value = strings.Join(words[1:], " ")
		if a.from, a.to = trim(text, at, to); a.from == a.to {
			a.from, a.to = at, at
		}
		if err := g.check(a.key, a.value); err != nil {
			return nil, err
		}
		return []assignment{a}, nil
	})
}

func isSource(directive string) bool {
	return directive == "server" || directive == "pool" || directive == "peer"
}

// check tells whether chronyd would take a directive.
func (chrony) check(key, value string) error {
	directive, name, _ := strings.Cut(key, " ")
	form, known := chronyForms[directive]
	switch {
	case !known:
		return noSetting{"chronyd", chronyDirectives()}
	case isSource(directive) && name == "":
		return errors.New("it names no source")
	case !form.MatchString(value), strings.HasSuffix(directive, "address") && !strings.HasPrefix(value, "/") && !isAddress(value):
		return fmt.Errorf("what follows %s is nothing that chronyd is known to take", directive)
	}
	return nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func (chrony) replace(text string, a assignment, value string) string {
	if a.from == a.to && value != "" {
		value = " " + value
	}
	return splice(text, a.from, a.to, value)
}

func (chrony) insert(text, key, value string) string {
	comment := regexp.MustCompile(`^[ \t]*[!;#%][ \t]?` + regexp.QuoteMeta(key) + `([ \t].*)?$`)
	return uncomment(text, comment, strings.TrimRight(key+" "+value, " "))
}

// sources reads the main file and those that it includes. What stands before an
// include and after it are sources of their own, in the order that chronyd reads
// them.
func (g chrony) sources(r system.Reader) ([]source, error) {
	if list, err := present(r, []string{chronyConf}); err != nil || len(list) == 0 {
		return nil, err
	}
	return g.follow(r, chronyConf, 1, &[]string{})
}

// follow reads a file and what it includes; seen are the files read so far.
func (g chrony) follow(r system.Reader, name string, depth int, seen *[]string) ([]source, error) {
	switch {
	case depth > chronyDepth:
		return nil, fmt.Errorf("reading %s: files include each other more than %d deep", name, chronyDepth)
	case len(*seen) == maxIncluded:
		return nil, fmt.Errorf("reading %s: more than %d files are included", name, maxIncluded)
	case slices.Contains(*seen, name):
		return nil, fmt.Errorf("reading %s: it is included twice", name)
	}
	*seen = append(*seen, name)
	parsed, err := parseAll(r, []string{name}, g)
	if err != nil {
		return nil, err
	}
	all := parsed[0]
	var list []source
	part := source{path: name, text: all.text}
	for _, a := range all.list {
		part.list = append(part.list, a)
		files, err := included(r, a)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		for i, one := range files {
			if i == 0 {
				list = append(list, part)
				part.list = nil
			}
			more, err := g.follow(r, one, depth+1, seen)
			if err != nil {
				return nil, err
			}
			list = append(list, more...)
		}
	}
	return append(list, part), nil
}

// included are the files that a directive has chronyd read in its place.
func included(r system.Reader, a assignment) ([]string, error) {
	switch a.key {
	case "include":
		list, err := system.Glob(r, a.value)
		if err == nil && len(list) == 0 && !system.IsPattern(a.value) {
			err = fmt.Errorf("there is no file %s to include", a.value)
		}
		return list, err
	case "confdir":
		list, err := dropIns(r, strings.Fields(a.value))
		return slices.DeleteFunc(list, func(name string) bool { return strings.HasPrefix(path.Base(name), ".") }), err
	}
	return nil, nil
}
