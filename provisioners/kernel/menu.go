package kernel

import (
	"fmt"
	"strings"
)

// MenuPath is where GRUB's menu is, for BIOS and UEFI.
const MenuPath = "/boot/grub/grub.cfg"

// word is one word of GRUB's script language.
type word struct {
	// text is the word without quotes; start and end are where it lies in the
	// script as written.
	text       string
	start, end int
	// variable is a word that holds one, so that its text is not known, and
	// plain a word without any quotes or escapes.
	variable, plain bool
}

// kernelLine is one command that boots Linux: the kernel and its arguments.
type kernelLine struct {
	// line counts from 1.
	line      int
	command   word
	kernel    word
	arguments []word
}

// separators end a command and a word.
const separators = "\n;&|<>{}"

// maxWords, maxKernels and maxNested bound a menu.
const (
	maxWords   = 100_000
	maxKernels = 500
	maxNested  = 100
)

// parseMenu finds the commands of a menu that boot Linux.
func parseMenu(text string) ([]kernelLine, error) {
	var list []kernelLine
	err := scanMenu(text, func(command []word, _ int) error {
		if !boots(command[0].text) {
			return nil
		}
		if len(list) == maxKernels {
			return fmt.Errorf("more than %d kernels", maxKernels)
		}
		line := lineOf(text, command[0].start)
		if len(command) == 1 {
			return fmt.Errorf("line %d names no kernel", line)
		}
		for _, w := range command[2:] {
			if w.variable {
				return fmt.Errorf("line %d: what %s stands for is known at boot only", line, text[w.start:w.end])
			}
		}
		list = append(list, kernelLine{line: line, command: command[0], kernel: command[1], arguments: command[2:]})
		return nil
	})
	return list, err
}

// scanMenu calls each with the commands of a script and how deep in blocks they
// are, by the rules of GRUB's manual, "Shell-like scripting": blanks part words,
// quotes and backslashes keep them together, a comment goes to the end of its
// line. What ends inside quotes, a block or a conditional is an error.
func scanMenu(text string, each func(command []word, depth int) error) error {
	var command []word
	var open nesting
	end := func() error {
		defer func() { command = nil }()
		for len(command) > 0 && command[0].plain {
			if err := open.word(text, command[0]); err != nil {
				return err
			}
			if !opens(command[0].text) {
				break
			}
			command = command[1:]
		}
		if len(command) == 0 {
			return nil
		}
		return each(command, len(open))
	}
	words := 0
	for at := 0; at < len(text); {
		switch c := text[at]; {
		case c == ' ' || c == '\t' || c == '\r':
			at++
			continue
		case c == '\\' && strings.HasPrefix(text[at+1:], "\n"):
			at += 2
			continue
		case c == '#':
			if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
				at += i
			} else {
				at = len(text)
			}
			continue
		case strings.IndexByte(separators, c) >= 0:
			if err := end(); err != nil {
				return err
			}
			if err := open.brace(text, at); err != nil {
				return err
			}
			at++
			continue
		}
		w, err := menuWord(text, at)
		if err != nil {
			return fmt.Errorf("line %d: %w", lineOf(text, at), err)
		}
		if words++; words > maxWords {
			return fmt.Errorf("more than %d words", maxWords)
		}
		at = w.end
		command = append(command, w)
	}
	if err := end(); err != nil {
		return err
	}
	return open.done(text)
}

// nesting are the blocks and conditionals that a place of a script is in.
type nesting []nested

// nested is one of them: what closes it, and where it begins.
type nested struct {
	closed string
	at     int
}

// closes are the words that end what others begin.
var closes = map[string]string{"if": "fi", "while": "done", "until": "done", "for": "done"}

// word takes the first word of a command into account.
func (n *nesting) word(text string, w word) error {
	if end, begins := closes[w.text]; begins {
		return n.begin(text, w.start, end)
	}
	if w.text == "fi" || w.text == "done" {
		return n.end(text, w.start, w.text)
	}
	return nil
}

// brace takes the separator at a place into account.
func (n *nesting) brace(text string, at int) error {
	switch text[at] {
	case '{':
		return n.begin(text, at, "}")
	case '}':
		return n.end(text, at, "}")
	}
	return nil
}

func (n *nesting) begin(text string, at int, end string) error {
	if len(*n) == maxNested {
		return fmt.Errorf("line %d: blocks are nested more than %d deep", lineOf(text, at), maxNested)
	}
	*n = append(*n, nested{end, at})
	return nil
}

func (n *nesting) end(text string, at int, end string) error {
	last := len(*n) - 1
	if last < 0 || (*n)[last].closed != end {
		return fmt.Errorf("line %d: %s ends nothing", lineOf(text, at), end)
	}
	*n = (*n)[:last]
	return nil
}

// done tells what the script leaves open.
func (n *nesting) done(text string) error {
	if last := len(*n) - 1; last >= 0 {
		return fmt.Errorf("line %d begins what no %s ends", lineOf(text, (*n)[last].at), (*n)[last].closed)
	}
	return nil
}

// lineOf is the number of the line of a place, from 1.
func lineOf(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }

// opens tells whether a word begins a list of commands, so that the next word
// is a command.
func opens(text string) bool {
	switch text {
	case "if", "then", "else", "elif", "while", "until", "do", "!", "time":
		return true
	}
	return false
}

// boots tells whether a command is one of those that load Linux.
func boots(command string) bool {
	switch command {
	case "linux", "linux16", "linuxefi":
		return true
	}
	return false
}

// menuWord reads the word that begins at a place.
func menuWord(text string, start int) (word, error) {
	w := word{start: start, plain: true}
	var b strings.Builder
	quote := byte(0)
	at := start
	for ; at < len(text); at++ {
		c := text[at]
		switch {
		case quote == 0 && strings.IndexByte(" \t\r"+separators, c) >= 0:
			w.text, w.end = b.String(), at
			return w, nil
		case c == '\'' && quote != '"' || c == '"' && quote != '\'':
			w.plain = false
			if quote == 0 {
				quote = c
			} else {
				quote = 0
			}
		case c == '\\' && quote != '\'':
			w.plain = false
			if at++; at == len(text) {
				return w, fmt.Errorf("a backslash ends the script")
			}
			// Within quotes a backslash escapes but three characters.
			if quote == '"' && strings.IndexByte("\"\\$\n", text[at]) < 0 {
				b.WriteByte('\\')
			}
			if text[at] != '\n' {
				b.WriteByte(text[at])
			}
		case c == '$' && quote != '\'':
			w.variable, w.plain = true, false
			if strings.HasPrefix(text[at+1:], "{") {
				length := strings.IndexByte(text[at:], '}')
				if length < 0 {
					return w, fmt.Errorf("the braces of a variable are not closed")
				}
				b.WriteString(text[at : at+length])
				at += length
				c = '}'
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return w, fmt.Errorf("quotes are not closed")
	}
	w.text, w.end = b.String(), at
	return w, nil
}

// splitCommandLine parts the command line of a running kernel: blanks within
// double quotes are part of a word (Documentation/admin-guide/kernel-parameters).
func splitCommandLine(text string) []string {
	var list []string
	var b strings.Builder
	inside, quoted := false, false
	for _, c := range []byte(text + " ") {
		switch {
		case c == '"':
			quoted, inside = !quoted, true
		case (c == ' ' || c == '\t' || c == '\n') && !quoted:
			if inside {
				list = append(list, b.String())
			}
			b.Reset()
			inside = false
		default:
			b.WriteByte(c)
			inside = true
		}
	}
	return list
}
