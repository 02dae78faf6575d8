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

// places are the columns with numbers of the file system that a file lies on.
var places = []string{"inode", "bcount"}

// Normalize gives a database with 0 for every inode number and count of blocks:
// they are those of the place where the image is made, and the one thing that
// differs from there to the next and to the server. AIDE writes inode numbers
// even where no rule asks for them, and follows them only where a rule has I.
func Normalize(database []byte) ([]byte, error) {
	out := make([]byte, 0, len(database))
	var columns []int // ascending
	ended := false
	for line := range bytes.Lines(database) {
		switch {
		case bytes.HasPrefix(line, []byte(specMark)):
			columns = columns[:0]
			for i, name := range bytes.Fields(line[len(specMark):]) {
				if slices.Contains(places, string(name)) {
					columns = append(columns, i)
				}
			}
		case bytes.HasPrefix(line, []byte(endMark)):
			ended = true
		case bytes.HasPrefix(line, []byte("/")):
			done := 0
			for _, column := range columns {
				from, to, ok := field(line, column)
				if !ok {
					return nil, fmt.Errorf("reading AIDE's database: column %d is no number in %.200q", column+1, line)
				}
				out = append(append(out, line[done:from]...), '0')
				done = to
			}
			line = line[done:]
		}
		out = append(out, line...)
	}
	if len(columns) == 0 || !ended {
		return nil, errors.New("reading AIDE's database: it is not whole, or has no column of inode numbers")
	}
	return out, nil
}

// field is where a column of a line begins and ends, if it is a number.
func field(line []byte, column int) (from, to int, ok bool) {
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
