package edit

import (
	"slices"
	"strings"
)

// Ended is a text whose last line ends, if it has one.
func Ended(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// Lines cuts a text into lines, their newlines with them.
func Lines(text string) []string {
	lines := strings.SplitAfter(text, "\n")
	return lines[:len(lines)-1+min(1, len(lines[len(lines)-1]))]
}

// Replace puts lines, given without newlines, in the place of those from begin
// up to end; begin == end inserts them.
func Replace(text string, begin, end int, with ...string) string {
	lines := Lines(text)
	if begin > 0 && !strings.HasSuffix(lines[begin-1], "\n") {
		lines[begin-1] += "\n"
	}
	added := make([]string, len(with))
	for i, line := range with {
		added[i] = line + "\n"
	}
	return strings.Join(slices.Replace(lines, begin, end, added...), "")
}

// Indent is the white space that the line with the byte at begins with.
func Indent(text string, at int) string {
	start := strings.LastIndexByte(text[:at], '\n') + 1
	end := start
	for end < at && (text[end] == ' ' || text[end] == '\t') {
		end++
	}
	return text[start:end]
}
