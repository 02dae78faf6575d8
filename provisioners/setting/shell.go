package setting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"imgbuild/provisioners/term"
)

// shell reads a file of assignments that scripts take in with a dot, as those
// below /etc/default are: sh(1). Its language is parsed whole. The last value
// of a name counts. What may do anything but assign is an error: a command, a
// condition, another file that is read, an expansion that assigns. Of a value
// that other expansions are part of nobody can tell what it comes to; whoever
// asks for it gets an error, and whoever asks for another does not.
type shell struct {
	// wanted is the name whose value has to be known.
	wanted string
}

func (shell) name(key string) string { return key }

func (shell) sense() term.Sense { return term.Sense{} }

func (g shell) parse(text string) ([]assignment, error) {
	if strings.Contains(text, "\r") {
		return nil, errors.New("a carriage return is part of a value")
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), "")
	if err != nil {
		return nil, fmt.Errorf("sh would refuse it: %w", err)
	}
	var list []assignment
	last := uint(0)
	for _, statement := range file.Stmts {
		at := statement.Pos().Line()
		found, err := g.statement(text, statement)
		if err == nil && at == last {
			err = errors.New("it has more than one command")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", at, err)
		}
		list = append(list, found...)
		last = statement.End().Line()
	}
	return list, nil
}

// statement reads what is to assign and to do nothing else.
func (g shell) statement(text string, s *syntax.Stmt) ([]assignment, error) {
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || s.Negated || s.Background || s.Coprocess || len(s.Redirs) > 0 {
		return nil, errors.New("it does more than assign values")
	}
	begin := strings.LastIndexByte(text[:s.Pos().Offset()], '\n') + 1
	end := int(s.End().Offset())
	if i := strings.IndexByte(text[end:], '\n'); i >= 0 {
		end += i
	} else {
		end = len(text)
	}
	var list []assignment
	add := func(key string, value *syntax.Word, from int) error {
		a := assignment{key: key, begin: begin, end: end, from: from, to: from}
		if value == nil {
			list = append(list, a)
			return nil
		}
		var known bool
		var err error
		if a.value, known, err = literal(value.Parts, false); err != nil {
			return err
		}
		if !known && key == g.wanted {
			return fmt.Errorf("what %s stands for is known when it runs", key)
		}
		a.from, a.to = int(value.Pos().Offset()), int(value.End().Offset())
		list = append(list, a)
		return nil
	}
	for _, one := range call.Assigns {
		if one.Append || one.Array != nil || one.Index != nil || one.Naked {
			return nil, errors.New("it does more than assign a value")
		}
		if err := add(one.Name.Value, one.Value, int(one.Name.End().Offset())+1); err != nil {
			return nil, err
		}
	}
	if len(call.Args) == 0 && len(list) == 1 {
		return list, nil
	}
	if len(call.Args) != 2 || call.Args[0].Lit() != "export" || len(list) > 0 {
		return nil, errors.New("it does more than assign one value")
	}
	// "export NAME=value", of which sh makes a word like any other: what is not
	// in quotes may be parted.
	word := call.Args[1]
	value, known, err := literal(word.Parts, false)
	name, value, signed := strings.Cut(value, "=")
	if err != nil || !shellName.MatchString(name) || !signed {
		return nil, errors.Join(errors.New("it does not export one value"), err)
	}
	if strings.ContainsAny(text[word.Pos().Offset():word.End().Offset()], "*?[~") {
		return nil, errors.New("it may be the names of files")
	}
	if !known && name == g.wanted {
		return nil, fmt.Errorf("what %s stands for is known when it runs", name)
	}
	from := int(word.Pos().Offset()) + strings.IndexByte(text[word.Pos().Offset():], '=') + 1
	return []assignment{{key: name, value: value, begin: begin, end: end, from: from, to: int(word.End().Offset())}}, nil
}

var shellName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// literal is the text of a word, if it has one whatever runs before it. An
// error means that it may change what was assigned before.
func literal(parts []syntax.WordPart, quoted bool) (text string, known bool, err error) {
	var b strings.Builder
	known = true
	for i, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			// A tilde is a home directory at the beginning and after a colon.
			if !quoted && (i == 0 && strings.HasPrefix(p.Value, "~") || strings.Contains(p.Value, ":~") || strings.Contains(p.Value, "=~")) {
				known = false
			}
			b.WriteString(unescaped(p.Value, quoted))
		case *syntax.SglQuoted:
			known = known && !p.Dollar
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			inner, ok, err := literal(p.Parts, true)
			if err != nil {
				return "", false, err
			}
			known = known && ok && !p.Dollar
			b.WriteString(inner)
		case *syntax.CmdSubst:
			known = false // it runs in a process of its own
		case *syntax.ParamExp:
			known = false
			if p.Exp != nil && !slices.Contains(harmless, p.Exp.Op) || p.Index != nil || p.Names != 0 {
				return "", false, errors.New("an expansion in it may assign or stop the script")
			}
			if p.Exp != nil && p.Exp.Word != nil {
				if _, _, err := literal(p.Exp.Word.Parts, quoted); err != nil {
					return "", false, err
				}
			}
		default:
			return "", false, errors.New("it has an expansion that is not understood")
		}
	}
	return b.String(), known, nil
}

// harmless are the operators of expansions that neither assign nor stop.
var harmless = []syntax.ParExpOperator{
	syntax.AlternateUnset, syntax.AlternateUnsetOrNull, syntax.DefaultUnset, syntax.DefaultUnsetOrNull,
	syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix,
}

// unescaped resolves backslashes; between double quotes they escape but a few
// characters.
func unescaped(text string, quoted bool) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (!quoted || strings.IndexByte("\"\\$`\n", text[i+1]) >= 0) {
			if i++; text[i] == '\n' {
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func (shell) check(key, value string) error {
	if !shellName.MatchString(key) {
		return fmt.Errorf("%q is no name of a variable", key)
	}
	return nil
}

// written is a value as the file has it.
func (shell) written(value string) string {
	if value != "" && strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:,+-@%") == "" {
		return value
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`, "$", `\$`, "`", "\\`").Replace(value) + `"`
}

func (g shell) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, g.written(value))
}

func (g shell) insert(text, key, value string) string {
	return uncomment(text, commented(key), key+"="+g.written(value))
}
