package mount

import (
	"fmt"
	"path"
	"strings"

	"imgbuild/provisioners/edit"
)

// fstabPath is the table of file systems, and maxFstab bounds it, in bytes.
const (
	fstabPath = "/etc/fstab"
	maxFstab  = 1 << 20
)

// maxEntries bounds the lines of a table that say something.
const maxEntries = 10_000

// entry is one line of fstab(5).
type entry struct {
	// line counts from 1.
	line int
	// source, point and kind are the first three fields, escapes resolved and
	// the mount point clean. The options are as they were written.
	source, point, kind string
	options             options
	// start and end are where the options lie in the table; an empty range at
	// the end of the line when they are missing.
	start, end int
}

// parseFstab reads a table.
func parseFstab(text string) ([]entry, error) {
	var list []entry
	offset := 0
	for number, line := range strings.SplitAfter(text, "\n") {
		fields := fieldsOf(line, offset)
		offset += len(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0].text, "#") {
			continue
		}
		if strings.ContainsRune(line, 0) {
			return nil, fmt.Errorf("line %d holds a zero byte", number+1)
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d has %d fields; a source, a mount point and a type are the least", number+1, len(fields))
		}
		e := entry{
			line: number + 1, source: unescape(fields[0].text), point: unescape(fields[1].text), kind: fields[2].text,
			start: fields[2].end, end: fields[2].end,
		}
		if path.IsAbs(e.point) {
			e.point = path.Clean(e.point)
		}
		if len(fields) > 3 {
			var err error
			if e.options, err = parseOptions(fields[3].text); err != nil {
				return nil, fmt.Errorf("line %d: %w", number+1, err)
			}
			e.start, e.end = fields[3].start, fields[3].end
		}
		if list = append(list, e); len(list) > maxEntries {
			return nil, fmt.Errorf("more than %d file systems", maxEntries)
		}
	}
	return list, nil
}

// span is a word with where it lies.
type span struct {
	text       string
	start, end int
}

// fieldsOf parts a line at blanks and tabs; offset is where it begins.
func fieldsOf(line string, offset int) []span {
	var list []span
	for at := 0; at < len(line); {
		if strings.IndexByte(" \t\r\n", line[at]) >= 0 {
			at++
			continue
		}
		length := strings.IndexAny(line[at:], " \t\r\n")
		if length < 0 {
			length = len(line) - at
		}
		list = append(list, span{line[at : at+length], offset + at, offset + at + length})
		at += length
	}
	return list
}

// unescape resolves \040 and the like: a backslash and three octal digits, as
// in getmntent(3) and the kernel's mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1], '3') && octal(s[i+2], '7') && octal(s[i+3], '7') {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c, most byte) bool { return c >= '0' && c <= most }

// escape is the other way, for what would part a field.
func escape(s string) string {
	return strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(s)
}

// withOptions gives the table with other options in a line. The columns after
// them stay where they are as far as blanks before them allow.
func withOptions(table string, e entry, to options) string {
	text := to.String()
	if e.start == e.end {
		return table[:e.end] + " " + text + table[e.end:]
	}
	rest := table[e.end:]
	blanks := len(rest) - len(strings.TrimLeft(rest, " "))
	spare := min(max(len(text)-(e.end-e.start), 0), max(blanks-1, 0))
	return table[:e.start] + text + rest[spare:]
}

// withEntry gives the table with one more line.
func withEntry(table, source, point, kind string, o options) string {
	table = edit.Ended(table)
	return table + fmt.Sprintf("%s %s %s %s 0 0\n", source, escape(point), kind, o)
}
