package account

import (
	"errors"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// command is a simple command of a shell's file: its words with quotes taken
// off. Nothing is expanded.
type command struct {
	file  string
	line  int // counts from 0
	words []string
	// alone says that nothing else is on its line.
	alone bool
}

// maxCommands bounds how many commands a file may have.
const maxCommands = 50_000

// keywords are what may stand before a command on its line.
var keywords = []string{"then", "else", "elif", "if", "do", "while", "until", "{", "!", "builtin", "command"}

// shellCommands reads a file of a POSIX shell or bash, as far as its simple
// commands go. It knows quotes, comments and what parts commands; the text of
// a here-document is read as commands, which finds too much, never too little.
func shellCommands(file, text string) ([]command, error) {
	var list []command
	physical := strings.Split(text, "\n")
	l := &lexer{}
	for number := 0; number < len(physical); number++ {
		before, first, line := len(list), number, physical[number]
		for strings.HasSuffix(line, `\`) && number+1 < len(physical) {
			number++
			line = strings.TrimSuffix(line, `\`) + " " + physical[number]
		}
		for _, words := range l.line(line) {
			for len(words) > 0 && slices.Contains(keywords, words[0]) {
				words = words[1:]
			}
			if len(words) > 0 {
				list = append(list, command{file: file, line: first, words: words})
			}
		}
		if len(list) == before+1 && first == number && slices.Equal(strings.Fields(stripComment(line)), list[before].words) {
			list[before].alone = true
		}
		if len(list) > maxCommands {
			return nil, errors.New("reading " + file + ": too many commands")
		}
	}
	return list, nil
}

func stripComment(line string) string {
	line, _, _ = strings.Cut(line, " #")
	return line
}

// lexer keeps the quote that a line leaves open.
type lexer struct{ quote byte }

// line parts a line into commands of words.
func (l *lexer) line(line string) [][]string {
	var all [][]string
	var words []string
	var word strings.Builder
	started := l.quote != 0
	end := func() {
		if started {
			words = append(words, word.String())
		}
		word.Reset()
		started = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case l.quote != 0 && c == l.quote:
			l.quote = 0
		case l.quote != 0:
			word.WriteByte(c)
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			started = true
		case c == '\'' || c == '"':
			l.quote, started = c, true
		case c == '#' && !started:
			i = len(line)
		case c == ' ' || c == '\t' || c == '\r':
			end()
		case strings.IndexByte(";&|()", c) >= 0:
			end()
			all, words = append(all, words), nil
		default:
			word.WriteByte(c)
			started = true
		}
	}
	end()
	return append(all, words)
}

// profiles are the files that shells read for everybody when somebody logs in.
func profiles(r system.Reader) ([]string, error) {
	const dir = "/etc/profile.d"
	list := []string{"/etc/profile"}
	names, err := system.Names(r, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sh") {
			list = append(list, path.Join(dir, name))
		}
	}
	return append(list, "/etc/bash.bashrc"), nil
}

// commandsOf reads the commands of several files, those that are not there
// left out.
func commandsOf(r system.Reader, files []string) ([]command, error) {
	var all []command
	for _, file := range files {
		text, _, err := system.ReadText(r, file, maxText)
		if err != nil {
			return nil, err
		}
		list, err := shellCommands(file, text)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// assigned returns the value that a command gives a variable, by itself or
// with export, readonly, typeset or declare; flags are the options of the
// latter and the word itself.
func (c command) assigned(name string) (value, flags string, ok bool) {
	words := c.words
	switch words[0] {
	case "export", "readonly", "typeset", "declare":
		flags, words = words[0], words[1:]
	}
	for _, w := range words {
		switch {
		case flags != "" && strings.HasPrefix(w, "-"):
			flags += w
		case strings.HasPrefix(w, name+"="), strings.HasPrefix(w, name+"+="):
			_, value, ok = strings.Cut(w, "=")
		case flags != "" && w == name:
			ok = true
		case flags == "" && !strings.Contains(w, "="):
			return "", "", false // a command; what stands before it is for it alone
		}
	}
	return value, flags, ok
}
