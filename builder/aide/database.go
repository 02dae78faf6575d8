package aide

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// The frame of AIDE's database: a line that names the columns of those that
// follow, which are separated by single blanks and hold none.
const (
	specMark = "@@db_spec "
	endMark  = "@@end_db"
)

// WithoutInodes gives a database with 0 for every inode number. AIDE writes them
// even where no rule asks for them, and looks at them only for rules with I,
// which the configuration has none of; they are those of the place where the
// image is made, and the one thing that differs from there to the next.
func WithoutInodes(database []byte) ([]byte, error) {
	out := make([]byte, 0, len(database))
	column, ended := -1, false
	for line := range bytes.Lines(database) {
		switch {
		case bytes.HasPrefix(line, []byte(specMark)):
			names := bytes.Fields(line[len(specMark):])
			column = slices.IndexFunc(names, func(name []byte) bool { return string(name) == "inode" })
			if column < 0 {
				return nil, errors.New("reading AIDE's database: it has no column of inode numbers")
			}
		case bytes.HasPrefix(line, []byte(endMark)):
			ended = true
		case bytes.HasPrefix(line, []byte("/")):
			from, to, ok := field(line, column)
			if !ok {
				return nil, fmt.Errorf("reading AIDE's database: there is no inode number in %.200q", line)
			}
			out = append(append(out, line[:from]...), '0')
			line = line[to:]
		}
		out = append(out, line...)
	}
	if column < 0 || !ended {
		return nil, errors.New("reading AIDE's database: it is not whole")
	}
	return out, nil
}

// field is where a column of a line begins and ends, if it is a number.
func field(line []byte, column int) (from, to int, ok bool) {
	if column < 0 {
		return 0, 0, false
	}
	for ; column > 0; column-- {
		i := bytes.IndexByte(line[from:], ' ')
		if i < 0 {
			return 0, 0, false
		}
		from += i + 1
	}
	for to = from; to < len(line) && '0' <= line[to] && line[to] <= '9'; to++ {
	}
	return from, to, to > from && to < len(line) && (line[to] == ' ' || line[to] == '\n')
}
