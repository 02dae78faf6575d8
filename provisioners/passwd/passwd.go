// Package passwd reads the records of passwd(5), group(5), shadow(5) and
// gshadow(5). It refuses a file with a record that the C library or pwck(8)
// would not take: such a line names nobody, or half of somebody, and no check
// that passes over it can say that all is well. It never edits, and its errors
// quote nothing: what is broken may be the hash of a password.
package passwd

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// The files.
const (
	Users        = "/etc/passwd"
	Groups       = "/etc/group"
	Shadow       = "/etc/shadow"
	GroupsShadow = "/etc/gshadow"
)

// MaxFile bounds each of the files, in bytes.
const MaxFile = 4 << 20

// form is what the records of one file are made of.
type form struct {
	fields int
	// numbers are the fields, counted from 0, that hold a number; optional are
	// those that hold one, -1 or nothing.
	numbers, optional []int
}

// forms are by the man pages of the files.
func forms(name string) (form, bool) {
	switch name {
	case Users:
		return form{fields: 7, numbers: []int{2, 3}}, true
	case Groups:
		return form{fields: 4, numbers: []int{2}}, true
	case Shadow:
		return form{fields: 9, optional: []int{2, 3, 4, 5, 6, 7, 8}}, true
	case GroupsShadow:
		return form{fields: 4}, true
	}
	return form{}, false
}

// Record is the fields of one, and the number of its line from 1.
type Record struct {
	Fields []string
	Line   int
}

// Read reads one of the four files. One that is not there has no records.
func Read(r system.Reader, name string) ([]Record, error) {
	data, err := system.ReadFile(r, name, MaxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	list, err := Parse(name, string(data))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return list, nil
}

// Parse reads the text of the file called name. Empty lines, comments and the
// lines that begin with + or - and ask NIS, which no record begins with, are
// left out, as the C library does.
func Parse(name, text string) ([]Record, error) {
	f, known := forms(name)
	if !known {
		return nil, fmt.Errorf("%s is none of the files with accounts", name)
	}
	var list []Record
	number := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		number++
		if strings.IndexByte(line, 0) >= 0 {
			return nil, fmt.Errorf("line %d: it is not a text: it has a zero byte", number)
		}
		if line == "" || strings.IndexByte("#+-", line[0]) >= 0 {
			continue
		}
		fields := strings.Split(line, ":")
		if err := f.check(fields); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		list = append(list, Record{fields, number})
	}
	return list, nil
}

func (f form) check(fields []string) error {
	if len(fields) != f.fields {
		return fmt.Errorf("the record has %d fields, not %d", len(fields), f.fields)
	}
	if fields[0] == "" || strings.ContainsFunc(fields[0], func(c rune) bool { return c <= ' ' || c == 0x7f || c == ',' || c == '/' }) {
		return fmt.Errorf("the record has no name that an account can have")
	}
	for _, i := range f.numbers {
		if n, err := strconv.ParseUint(fields[i], 10, 32); err != nil || n == 1<<32-1 {
			return fmt.Errorf("field %d of the record is no number of an account", i+1)
		}
	}
	for _, i := range f.optional {
		if fields[i] == "" {
			continue
		}
		if n, err := strconv.ParseInt(fields[i], 10, 64); err != nil || n < -1 {
			return fmt.Errorf("field %d of the record is no number", i+1)
		}
	}
	return nil
}
