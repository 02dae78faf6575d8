package apparmor

import (
	"fmt"
	"slices"
	"strings"
)

// Profile is the header of one profile or hat.
type Profile struct {
	// Name is what the kernel calls it: a child's is "parent//child".
	Name string
	// Attachment is the pattern of programs that the profile is for, "" when
	// other programs have to ask for it.
	Attachment string
	// Flags are those of the header: "complain", "attach_disconnected".
	Flags []string
	// Line counts from 1.
	Line int

	// flags is where the list stands in the file, with the word it belongs to.
	flags word
}

// Variables are the values of @{NAME} by "@{NAME}".
type Variables map[string][]string

// qualifiers begin rules, and blocks of rules.
var qualifiers = []string{"audit", "quiet", "deny", "allow", "owner", "other", "priority"}

// Parse reads the headers of a file's profiles and the variables that it sets.
// What stands inside profiles is read over, and includes are not followed.
func Parse(text string) ([]Profile, Variables, error) {
	if len(text) > maxFile {
		return nil, nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	variables := Variables{}
	s := &scanner{text: text}
	var list []Profile
	line, counted := 1, 0
	// open are the names of the blocks around: "" for those that are no profile.
	var open []string
	for {
		words, end, err := s.statement(func(name, op string, values []string) {
			if op == "=" {
				variables[name] = nil
			}
			variables[name] = append(variables[name], values...)
		})
		if err != nil {
			return nil, nil, err
		}
		switch end {
		case endOfFile:
			switch {
			case len(open) > 0:
				return nil, nil, fmt.Errorf("line %d: a block that does not end", s.line())
			case len(words) > 0:
				return nil, nil, fmt.Errorf("line %d: a rule that does not end", s.line())
			}
			return list, variables, nil
		case closeBlock:
			if len(open) == 0 || len(words) > 0 {
				return nil, nil, fmt.Errorf("line %d: a brace that closes nothing", s.line())
			}
			open = open[:len(open)-1]
		case openBlock:
			if len(open) == maxNest {
				return nil, nil, fmt.Errorf("line %d: more than %d blocks inside one another", s.line(), maxNest)
			}
			parent := ""
			for _, name := range slices.Backward(open) {
				if name != "" {
					parent = name
					break
				}
			}
			if plain(words) {
				open = append(open, "")
				continue
			}
			p, err := header(words, parent)
			if err != nil {
				return nil, nil, fmt.Errorf("line %d: %w", s.line(), err)
			}
			line, counted = line+strings.Count(text[counted:words[0].start], "\n"), words[0].start
			p.Line = line
			list, open = append(list, p), append(open, p.Name)
		}
	}
}

// plain tells whether the words before a brace begin a condition or a block of
// rules.
func plain(words []word) bool {
	if len(words) > 0 && (words[0].text == "if" || words[0].text == "else") {
		return true
	}
	return len(words) > 0 && !slices.ContainsFunc(words, func(w word) bool { return !slices.Contains(qualifiers, w.text) })
}

// header reads "profile NAME ATTACHMENT xattrs=(…) flags=(…)" and its other
// forms: "/path flags=(…)", "^hat", "hat NAME".
func header(words []word, parent string) (Profile, error) {
	var p Profile
	kind := ""
	if len(words) > 1 && (words[0].text == "profile" || words[0].text == "hat") {
		kind, words = words[0].text, words[1:]
	}
	if len(words) == 0 {
		return p, fmt.Errorf("a block without a name")
	}
	name := words[0].text
	hat := kind == "hat"
	if rest, ok := strings.CutPrefix(name, "^"); ok && kind == "" {
		name, hat = rest, true
	}
	switch {
	case name == "" || strings.ContainsAny(name, "\x00\n"):
		return p, fmt.Errorf("a profile without a name")
	case kind == "" && !hat && !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@{") && !strings.HasPrefix(name, ":") && !strings.Contains(name, "//"):
		return p, fmt.Errorf("%q is not how a profile begins", name)
	}
	p.Name = name
	if parent != "" {
		p.Name = parent + "//" + name
	} else if !hat && (strings.HasPrefix(name, "/") || strings.HasPrefix(name, "@{")) {
		p.Attachment = name
	}
	// A word such as "flags" may stand apart from "=" and its list.
	for i := 1; i < len(words); i++ {
		w := words[i]
		if (w.text == "flags" || w.text == "flags=" || w.text == "xattrs" || w.text == "xattrs=") && i+1 < len(words) {
			joined := w
			for ; i+1 < len(words) && !strings.HasSuffix(joined.text, ")"); i++ {
				joined.text, joined.end = joined.text+words[i+1].text, words[i+1].end
			}
			w = joined
		}
		switch {
		case strings.HasPrefix(w.text, "flags=("), strings.HasPrefix(w.text, "("):
			if p.flags.text != "" {
				return p, fmt.Errorf("profile %s has flags twice", p.Name)
			}
			inside := w.text[strings.IndexByte(w.text, '(')+1 : len(w.text)-1]
			p.Flags = strings.FieldsFunc(inside, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) })
			p.flags = w
		case strings.HasPrefix(w.text, "xattrs="):
		case w.text == "->": // the target of an alias-like header is not an attachment
		case i == 1 && !hat && parent == "":
			p.Attachment = w.text
		case i == 1 && !hat: // a child's own attachment
		default:
			return p, fmt.Errorf("profile %s: unexpected %q", p.Name, w.text)
		}
	}
	return p, nil
}

// Mode is what the flags make of the profile.
func (p Profile) Mode() string {
	for _, mode := range []string{"unconfined", "default_allow", "prompt", "complain"} {
		if slices.Contains(p.Flags, mode) {
			return mode
		}
	}
	return "enforce"
}

// withoutComplain returns the text of the file with that flag taken off some of
// its profiles, which are in the order of the file, and nothing else changed.
func withoutComplain(text string, profiles []Profile) string {
	var b strings.Builder
	at := 0
	for _, p := range profiles {
		start, end := p.flags.start, p.flags.end
		left := slices.DeleteFunc(slices.Clone(p.Flags), func(f string) bool { return f == "complain" })
		if len(left) > 0 {
			open := start + strings.IndexByte(text[start:end], '(')
			b.WriteString(text[at:open] + "(" + strings.Join(left, ", ") + ")")
			at = end
			continue
		}
		for start > 0 && (text[start-1] == ' ' || text[start-1] == '\t') {
			start--
		}
		b.WriteString(text[at:start])
		if end < len(text) && !strings.ContainsRune(" \t\r\n", rune(text[end])) {
			b.WriteByte(' ') // or the brace would become part of the name
		}
		at = end
	}
	return b.String() + text[at:]
}
