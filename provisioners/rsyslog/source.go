package rsyslog

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"imgbuild/provisioners/system"
)

const (
	// maxNested is how deep includes, and blocks and expressions, may lie in one
	// another.
	maxNested = 40
	// maxStatements bounds what a configuration consists of.
	maxStatements = 50_000
)

// source is a text that is being read: a file, or the text of an include. Lines
// that end in a backslash are joined with those that follow them, before anything
// else looks at them, so that even a comment goes on.
type source struct {
	file, text string
	// joins are where lines were joined, as places in text.
	joins []int
	// inline says that the text stands in a parameter of the file.
	inline bool
	line   int
	// depth is how many others it is included by.
	depth int
	// at is where reading goes on.
	at int
	// counted are the lines before a place, so that each byte is counted once.
	counted, lines int
}

func newSource(file, raw string) *source {
	s := &source{file: file}
	var b strings.Builder
	for {
		before, after, joined := strings.Cut(raw, "\\\n")
		b.WriteString(before)
		if !joined {
			break
		}
		s.joins = append(s.joins, b.Len())
		raw = after
	}
	s.text = b.String()
	return s
}

// raw is the place in the file of a place in the text. What begins behind a join
// begins behind it in the file too.
func (s *source) raw(at int) int {
	return at + 2*sort.Search(len(s.joins), func(i int) bool { return s.joins[i] > at })
}

// lineOf is the number of the line of a place in the text.
func (s *source) lineOf(at int) int {
	if s.inline {
		return s.line
	}
	if at < s.counted {
		s.counted, s.lines = 0, 0
	}
	s.lines += strings.Count(s.text[s.counted:at], "\n")
	s.counted = at
	return 1 + s.lines + sort.Search(len(s.joins), func(i int) bool { return s.joins[i] > at })
}

func (s *source) rest() string { return s.text[s.at:] }

// atLineStart tells whether nothing but blanks is before the place on its line.
func (s *source) atLineStart() bool {
	before := s.at
	for before > 0 && (s.text[before-1] == ' ' || s.text[before-1] == '\t') {
		before--
	}
	return before == 0 || s.text[before-1] == '\n'
}

// restOfLine takes what is left of the line.
func (s *source) restOfLine() string {
	line, _, _ := strings.Cut(s.rest(), "\n")
	s.at += len(line)
	return line
}

// include puts files in the place where they are asked for: one file, a
// directory, or a pattern of glob(7).
func (p *parser) include(name string, optional bool) error {
	files, err := p.expand(name, optional, 0)
	if err != nil {
		return err
	}
	depth := p.src().depth + 1
	// The last is read last, so it goes below the others.
	for _, file := range slices.Backward(files) {
		real, text, err := p.files.Read(file)
		if err != nil {
			return p.errorf("including %s: %v", file, err)
		}
		s := newSource(real, text)
		s.depth = depth
		if err := p.push(s); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) push(s *source) error {
	if strings.ContainsRune(s.text, 0) {
		return fmt.Errorf("%s is not a text: it has a zero byte", s.file)
	}
	// A file that includes itself has no end.
	if p.included++; p.included > maxIncludes || s.depth > maxNested {
		return fmt.Errorf("%s: more than %d files are included, or more than %d in one another", s.file, maxIncludes, maxNested)
	}
	p.stack = append(p.stack, s)
	return nil
}

// maxIncludes bounds how often files are included.
const maxIncludes = 2000

func (p *parser) expand(name string, optional bool, depth int) ([]string, error) {
	if depth > maxNested {
		return nil, p.errorf("directories lie in one another more than %d deep", maxNested)
	}
	pattern := path.Join("/", name)
	found, err := system.Glob(p.files, pattern)
	if err != nil {
		return nil, p.errorf("%v", err)
	}
	if len(found) == 0 && !system.IsPattern(name) && !optional {
		return nil, p.errorf("%s, which is included, is not there", name)
	}
	var files []string
	for _, one := range found {
		info, err := p.files.Stat(one)
		switch {
		case errors.Is(err, fs.ErrNotExist) && optional:
		case err != nil:
			return nil, p.errorf("including %s: %v", one, err)
		case info.Mode.IsDir():
			below, err := p.expand(one+"/*", optional, depth+1)
			if err != nil {
				return nil, err
			}
			files = append(files, below...)
		case info.Mode.IsRegular():
			files = append(files, one)
		}
	}
	return files, nil
}
