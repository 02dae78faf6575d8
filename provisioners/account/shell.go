package account

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// command is a simple command of a shell's file: its words with quotes taken
// off. Nothing is expanded.
type command struct {
	file  string
	line  int // of its first word; counts from 0
	words []string
	// alone says that nothing else is on its line, and that no command before it
	// decides whether it is run.
	alone bool
}

const (
	// maxCommands bounds how many commands a file may have.
	maxCommands = 50_000
	// maxEndless bounds how often the end of a here-document is looked for in vain.
	maxEndless = 100
)

// keywords are what may stand before a command on its line.
var keywords = []string{"then", "else", "elif", "if", "do", "while", "until", "{", "!", "builtin", "command", "eval", "time"}

// shellCommands reads a file of a POSIX shell or bash, as far as its simple
// commands go. It knows quotes, comments, lines that go on, here-documents and
// what parts commands. It does not know what is conditional, nor what a command
// runs that is given as a text: it finds too much sooner than too little. A quote
// that does not end, with which the shell reads nothing, is an error.
func shellCommands(file, text string) ([]command, error) {
	l := &lexer{file: file, text: text}
	for l.at < len(l.text) {
		l.next()
		if len(l.list) > maxCommands {
			return nil, fmt.Errorf("reading %s: more than %d commands", file, maxCommands)
		}
	}
	l.endCommand()
	if l.quote != 0 {
		return nil, fmt.Errorf("reading %s: a quote that begins in line %d does not end", file, l.quoted+1)
	}
	if l.endless > maxEndless {
		return nil, fmt.Errorf("reading %s: more than %d here-documents do not end", file, maxEndless)
	}
	physical := strings.Split(text, "\n")
	var list []command
	for _, c := range l.list {
		line, _, _ := strings.Cut(physical[c.line], " #")
		c.alone = c.alone && slices.Equal(strings.Fields(line), c.words)
		if c.words = simple(c.words); len(c.words) > 0 {
			list = append(list, c)
		}
	}
	return list, nil
}

// simple leaves out redirections, and the keywords before a command.
func simple(words []string) []string {
	var list []string
	for i := 0; i < len(words); i++ {
		switch m := redirection.FindString(words[i]); {
		case m != "" && m == words[i]:
			i++ // its file is the next word
		case m == "" && (len(list) > 0 || !slices.Contains(keywords, words[i])):
			list = append(list, words[i])
		}
	}
	return list
}

var redirection = regexp.MustCompile(`^(?:[0-9]*|&)[<>][<>&|]*`)

// lexer reads a file byte by byte.
type lexer struct {
	file, text string
	at, line   int
	// quote is the one that is open, and quoted the line that it begins in; $ is
	// for $'…'.
	quote  byte
	quoted int
	// started says that there is a word, which may be empty.
	started bool
	word    strings.Builder
	words   []string
	first   int // the line of the first word
	// documents are the ends of here-documents that begin with the next line.
	documents []string
	endless   int // how many of them do not end
	// joined says that && or || or | stands before what follows.
	joined bool
	list   []command
}

// next takes one byte, or what belongs together.
func (l *lexer) next() {
	c := l.text[l.at]
	rest := l.text[l.at+1:]
	l.at++
	switch {
	case c == '\\' && l.quote != '\'' && strings.HasPrefix(rest, "\n"):
		l.at, l.line = l.at+1, l.line+1
	case c == '\\' && l.quote != '\'' && rest != "":
		l.begin()
		if l.quote != 0 && !strings.ContainsRune("$`\"\\'", rune(rest[0])) {
			l.word.WriteByte(c)
		}
		l.word.WriteByte(rest[0])
		l.at++
	case l.quote != 0 && (c == l.quote || l.quote == '$' && c == '\''):
		l.quote = 0
	case l.quote != 0:
		l.word.WriteByte(c)
		if c == '\n' {
			l.line++
		}
	case c == '$' && strings.HasPrefix(rest, "'"):
		l.begin()
		l.quote, l.quoted, l.at = '$', l.line, l.at+1
	case c == '\'' || c == '"':
		l.begin()
		l.quote, l.quoted = c, l.line
	case c == '#' && !l.started:
		if i := strings.IndexByte(rest, '\n'); i >= 0 {
			l.at += i
		} else {
			l.at = len(l.text)
		}
	case c == ' ' || c == '\t' || c == '\r':
		l.endWord()
	case c == '\n':
		l.endCommand()
		l.line++
		for _, end := range l.documents {
			l.document(end)
		}
		l.documents = nil
	case (c == '&' || c == '|') && strings.HasSuffix(l.word.String(), ">"), c == '&' && strings.HasSuffix(l.word.String(), "<"):
		l.word.WriteByte(c) // of 2>&1 or >|
	case c == '&' && strings.HasPrefix(rest, ">"):
		l.endWord()
		l.begin()
		l.word.WriteString("&>")
		l.at++
	case strings.IndexByte(";&|()", c) >= 0:
		l.endCommand()
		l.joined = c == '&' || c == '|'
	case c == '<' && strings.HasPrefix(rest, "<<"):
		l.begin()
		l.word.WriteString("<<<")
		l.at += 2
	case c == '<' && strings.HasPrefix(rest, "<"):
		if m := hereDocument.FindStringSubmatch(rest); m != nil {
			l.documents = append(l.documents, strings.NewReplacer(`\`, "", `"`, "", "'", "").Replace(m[1]))
			l.at += len(m[0])
		}
	case c == '<' || c == '>':
		if strings.Trim(l.word.String(), "0123456789<>") != "" {
			l.endWord()
		}
		l.begin()
		l.word.WriteByte(c)
	default:
		l.begin()
		l.word.WriteByte(c)
	}
}

// hereDocument is what follows the first < of one, up to its end's name.
var hereDocument = regexp.MustCompile(`^<-?[ \t]*([^\s;&|()<>]+)`)

// document leaves one out that ends with a line. Without that line it is none:
// it was an operator of arithmetic, say.
func (l *lexer) document(end string) {
	at, lines := l.at, 0
	if l.endless > maxEndless {
		return
	}
	for line := range strings.Lines(l.text[l.at:]) {
		at, lines = at+len(line), lines+1
		if strings.Trim(line, "\t\r\n") == end {
			l.at, l.line = at, l.line+lines
			return
		}
	}
	l.endless++
}

func (l *lexer) begin() {
	if !l.started && len(l.words) == 0 {
		l.first = l.line
	}
	l.started = true
}

func (l *lexer) endWord() {
	if l.started {
		l.words = append(l.words, l.word.String())
	}
	l.word.Reset()
	l.started = false
}

func (l *lexer) endCommand() {
	l.endWord()
	if len(l.words) == 0 {
		return
	}
	l.list = append(l.list, command{file: l.file, line: l.first, words: l.words, alone: !l.joined})
	l.words, l.joined = nil, false
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
