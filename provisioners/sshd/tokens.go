package sshd

import (
	"errors"
	"strings"
)

// Lines are taken apart as OpenSSH's strdelim and argv_split do: sshd_config(5)
// says "keyword arguments", that arguments may be in double quotes and that a
// # begins a comment; it does not say that one = may stand behind the keyword,
// that single quotes and backslashes work as well, or that a # inside a word is
// part of it.

// keywordOf reads the keyword of a line and returns what follows it. It is ""
// for an empty line and a comment.
func keywordOf(line string) (keyword, rest string, err error) {
	line = strings.TrimRight(line, " \t\r\n\f")
	keyword, rest, ok := cutKeyword(line)
	if ok && keyword == "" {
		// What was cut are blanks before the keyword.
		keyword, rest, ok = cutKeyword(rest)
	}
	switch {
	case !ok:
		return "", "", errors.New("a quote is not closed")
	case keyword == "" || keyword[0] == '#':
		return "", "", nil
	case rest == "":
		return "", "", errors.New("the keyword has no argument")
	}
	return keyword, rest, nil
}

// cutKeyword cuts a line at the first blank or = and what blanks follow it.
func cutKeyword(line string) (keyword, rest string, ok bool) {
	const blanks = " \t\r\n"
	i := strings.IndexAny(line, blanks+`"=`)
	if i < 0 {
		return line, "", true
	}
	if line[i] == '"' {
		closing := strings.IndexByte(line[i+1:], '"')
		if closing < 0 {
			return "", "", false
		}
		return line[:i] + line[i+1:i+1+closing], strings.TrimLeft(line[i+closing+2:], blanks), true
	}
	keyword, rest = line[:i], strings.TrimLeft(line[i+1:], blanks)
	if line[i] != '=' {
		if after, found := strings.CutPrefix(rest, "="); found {
			rest = strings.TrimLeft(after, blanks)
		}
	}
	return keyword, rest, true
}

// arguments takes the arguments of a line apart.
func arguments(text string) ([]string, error) {
	var list []string
	for i := 0; i < len(text); i++ {
		if text[i] == ' ' || text[i] == '\t' {
			continue
		}
		if text[i] == '#' {
			break
		}
		var word strings.Builder
		quote := byte(0)
	scan:
		for ; i < len(text); i++ {
			c := text[i]
			switch {
			case c == '\\' && i+1 < len(text) && (strings.IndexByte(`'"\`, text[i+1]) >= 0 || quote == 0 && text[i+1] == ' '):
				i++
				word.WriteByte(text[i])
			case quote == 0 && (c == ' ' || c == '\t'):
				break scan
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, errors.New("a quote is not closed")
		}
		list = append(list, word.String())
	}
	if len(list) == 0 {
		return nil, errors.New("the keyword has no argument")
	}
	return list, nil
}

// quoted is an argument as it is written.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t'\"\\#") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}
