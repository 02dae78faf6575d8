package setting

import (
	"fmt"
	"regexp"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/term"
)

// assignment is a place of a text that gives a key a value. Offsets are in
// bytes of the text.
type assignment struct {
	key, value string
	// begin and end are where its lines begin and end, without the last newline.
	begin, end int
	// from and to hold the value as it is written; both are the end of the key
	// when it has none.
	from, to int
	// bare is true of a key without a sign of assignment.
	bare bool
}

// grammar is how a program reads the text of a file, and how one writes it.
type grammar interface {
	// parse lists the assignments in their order. An error means that the
	// program would refuse the file.
	parse(text string) ([]assignment, error)
	// name is what parse calls a key.
	name(key string) string
	// replace writes another value in the place of one that is there.
	replace(text string, a assignment, value string) string
	// insert gives a key a value that the text has none for.
	insert(text, key, value string) string
	// sense is how the program understands values.
	sense() term.Sense
	// check says why no line can give the key this value, nil when one can.
	check(key, value string) error
}

// noSetting says that a key is none of a program's. It does not quote the key:
// what stands in the place of one may be a secret.
type noSetting struct {
	program string
	keys    []string
}

func (e noSetting) Error() string { return "its key is no setting of " + e.program }

// lines calls each with the offsets of every line, without its newline, until
// it returns false.
func lines(text string, each func(begin, end int) bool) {
	for begin := 0; begin < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[begin:], '\n'); i >= 0 {
			end = begin + i
		}
		if !each(begin, end) {
			return
		}
		begin = end + 1
	}
}

// eachLine collects what is read from every line. An error gets the number of
// its line.
func eachLine(text string, read func(begin, end int) ([]assignment, error)) ([]assignment, error) {
	var list []assignment
	var err error
	number := 0
	lines(text, func(begin, end int) bool {
		number++
		found, why := read(begin, end)
		if why != nil {
			err = fmt.Errorf("line %d: %w", number, why)
		}
		list = append(list, found...)
		return err == nil
	})
	return list, err
}

// blank is what isspace(3) knows in the C locale, but for the newline.
const blank = " \t\r\v\f"

// trim narrows two offsets to what is not blank between them; to the first one
// when all is.
func trim(text string, begin, end int) (int, int) {
	for end > begin && strings.IndexByte(blank, text[end-1]) >= 0 {
		end--
	}
	for begin < end && strings.IndexByte(blank, text[begin]) >= 0 {
		begin++
	}
	return begin, end
}

// splice puts one text in the place of a part of another.
func splice(text string, from, to int, with string) string { return text[:from] + with + text[to:] }

// uncomment puts a line in the place of the last comment that shows the key
// with its default, or at the end of the text. The pattern is of comments.
func uncomment(text string, comment *regexp.Regexp, line string) string {
	place, length := -1, 0
	lines(text, func(begin, end int) bool {
		if comment.MatchString(text[begin:end]) {
			place, length = begin, end-begin
		}
		return true
	})
	if place >= 0 {
		return splice(text, place, place+length, line)
	}
	n := len(edit.Lines(text))
	return edit.Replace(text, n, n, line)
}

// commented matches a comment that shows a key of the form KEY=value.
func commented(key string) *regexp.Regexp {
	return regexp.MustCompile(`^[ \t]*#[ \t]?` + regexp.QuoteMeta(key) + `[ \t]*(=.*)?$`)
}

// disable makes comments of the lines of an assignment.
func disable(text string, a assignment) string {
	return splice(text, a.begin, a.end, "#"+strings.ReplaceAll(text[a.begin:a.end], "\n", "\n#"))
}
