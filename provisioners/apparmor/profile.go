package apparmor

import (
	"fmt"
	"path"
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

// part is one file: whole, or what others include.
type part struct {
	profiles  []Profile
	variables Variables
	includes  []include
	// features are the files that abi rules name.
	features []include
	// used are the variables that rules and profiles name, with a line.
	used map[string]int
}

// include is a statement that another file's text is to stand in its place.
type include struct {
	// name is the absolute path of a file or directory.
	name     string
	where    place
	optional bool
	line     int
}

func parse(text string, where place) (part, error) {
	p := part{variables: Variables{}, used: map[string]int{}}
	list, err := p.read(text, where)
	p.profiles = list
	if err != nil {
		return part{}, err
	}
	return p, nil
}

// builtIn are the variables that the parser itself has.
var builtIn = []string{"@{profile_name}", "@{attach_path}", "@{exec_path}"}

// uses notes the variables of a statement.
func (p *part) uses(words []word, line int) {
	for _, w := range words {
		for rest := w.text; ; {
			start := strings.Index(rest, "@{")
			if start < 0 {
				break
			}
			end := strings.IndexByte(rest[start:], '}')
			if end < 0 {
				break
			}
			name := rest[start : start+end+1]
			if _, noted := p.used[name]; !noted && len(p.used) < maxWords && !slices.Contains(builtIn, name) {
				p.used[name] = line
			}
			rest = rest[start+end+1:]
		}
	}
}

// read reads a file's profiles, and the rest into the part.
func (p *part) read(text string, where place) ([]Profile, error) {
	switch {
	case len(text) > maxFile:
		return nil, fmt.Errorf("the file is larger than %d bytes", maxFile)
	case strings.Contains(text, "\x00"):
		return nil, fmt.Errorf("it is not a text: it has a zero byte")
	}
	s := &scanner{text: text}
	var list []Profile
	names := map[string]bool{}
	line, counted := 1, 0
	// open are the names of the blocks around: "" for those that are no profile.
	var open []string
	for {
		here := where
		if slices.ContainsFunc(open, func(name string) bool { return name != "" }) {
			here = inside
		}
		words, end, err := s.statement(func(name, op string, values []string) error {
			switch _, set := p.variables[name]; {
			case here == inside:
				return fmt.Errorf("%s is set inside a profile", short(name))
			case op == "=" && set:
				return fmt.Errorf("%s is set twice", short(name))
			case len(values) == 0:
				return fmt.Errorf("%s is set to nothing", short(name))
			}
			p.variables[name] = append(p.variables[name], values...)
			return nil
		}, func(i include) error {
			if i.where = here; len(p.includes) == maxIncludes {
				return fmt.Errorf("more than %d includes", maxIncludes)
			}
			p.includes = append(p.includes, i)
			return nil
		})
		if err != nil {
			return nil, err
		}
		p.uses(words, s.line())
		switch end {
		case endOfFile:
			switch {
			case len(open) > 0:
				return nil, fmt.Errorf("line %d: a block that does not end", s.line())
			case len(words) > 0:
				return nil, fmt.Errorf("line %d: a rule that does not end", s.line())
			}
			return list, nil
		case endOfRule:
			abi, err := p.abi(words, s.line())
			if err == nil && !abi {
				err = check(words, here)
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", s.line(), err)
			}
		case closeBlock:
			if len(open) == 0 || len(words) > 0 {
				return nil, fmt.Errorf("line %d: a brace that closes nothing", s.line())
			}
			open = open[:len(open)-1]
		case openBlock:
			if len(open) == maxNest {
				return nil, fmt.Errorf("line %d: more than %d blocks inside one another", s.line(), maxNest)
			}
			parent := ""
			for _, name := range slices.Backward(open) {
				if name != "" {
					parent = name
					break
				}
			}
			if plain(words, here) {
				open = append(open, "")
				continue
			}
			one, err := header(words, parent)
			if err == nil && slices.ContainsFunc(words, func(w word) bool { return strings.Contains(text[w.start:w.end], "!") && text[w.start] != '"' }) {
				err = fmt.Errorf("a profile's name has a !, which has to stand in quotes")
			}
			if err == nil && names[one.Name] {
				err = fmt.Errorf("profile %s is there twice", short(one.Name))
			}
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", s.line(), err)
			}
			line, counted = line+strings.Count(text[counted:words[0].start], "\n"), words[0].start
			one.Line, names[one.Name] = line, true
			list, open = append(list, one), append(open, one.Name)
		}
	}
}

// abi notes what a rule such as "abi <abi/3.0>" names, and tells whether it is one.
func (p *part) abi(words []word, line int) (is bool, err error) {
	if len(words) != 2 || words[0].text != "abi" {
		return false, nil
	}
	name := words[1].text
	if inside, ok := strings.CutPrefix(name, "<"); ok && strings.HasSuffix(inside, ">") {
		name = path.Join(dir, strings.TrimSuffix(inside, ">"))
	}
	if strings.ContainsAny(name, "<>") || len(p.features) == maxIncludes {
		return true, fmt.Errorf("expected the name of a file in < and >")
	}
	p.features = append(p.features, include{name: path.Join("/", name), line: line})
	return true, nil
}

// plain tells whether the words before a brace begin a condition or a block of
// rules, which only profiles have.
func plain(words []word, where place) bool {
	if len(words) == 0 || where == outside {
		return false
	}
	return words[0].text == "if" || words[0].text == "else" || !slices.ContainsFunc(words, func(w word) bool { return !qualifies(w.text) })
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
	// Where there is none of its own, the name says what it is attached to.
	attachment := name
	if len(words) > 1 && pathname(words[1]) {
		attachment = words[1].text
	}
	if pathname(word{text: attachment}) && !hat {
		if err := grouped(attachment); err != nil {
			return p, err
		}
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
			p.Flags = strings.FieldsFunc(inside, separates)
			p.flags = w
			for _, flag := range p.Flags {
				if name, _, _ := strings.Cut(flag, "="); !slices.Contains(flagNames, name) {
					return p, fmt.Errorf("profile %s: unknown flag %q", p.Name, short(flag))
				}
			}
		case strings.HasPrefix(w.text, "xattrs="):
		case w.text == "->": // the target of an alias-like header is not an attachment
		case i == 1 && !hat && !pathname(w):
			return p, fmt.Errorf("profile %s: what it is attached to begins with / or a variable", p.Name)
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
