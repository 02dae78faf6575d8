package deb822

import (
	"fmt"
	"slices"
	"strings"
)

// MaxRelations is the most relations of one dependency field; Debian's
// longest has some hundreds.
const MaxRelations = 20000

// Operator compares the version of a package with a wanted one.
type Operator uint8

// The operators of deb-control(5), and Any where no version is asked for.
const (
	Any          Operator = iota
	Earlier               // <<
	EarlierEqual          // <=
	Equal                 // =
	LaterEqual            // >=
	Later                 // >>
)

func (o Operator) String() string {
	return [...]string{"", "<<", "<=", "=", ">=", ">>"}[o]
}

// Holds reports whether version stands in relation o to wanted.
func (o Operator) Holds(version, wanted string) bool {
	if o == Any {
		return true
	}
	switch c := CompareVersions(version, wanted); o {
	case Earlier:
		return c < 0
	case EarlierEqual:
		return c <= 0
	case Equal:
		return c == 0
	case LaterEqual:
		return c >= 0
	default:
		return c > 0
	}
}

// Relation is one alternative of a dependency.
type Relation struct {
	// Name is the package's name without qualifier.
	Name string
	// Qualifier is what follows the name's colon: any, native, amd64, or "".
	Qualifier string
	Operator  Operator
	Version   string
	// Architectures are the words of a restriction such as [amd64 !i386].
	Architectures string
	// Or is true when another alternative of the same dependency follows.
	Or bool
}

// String returns the relation as a control file would have it.
func (r Relation) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	if r.Qualifier != "" {
		b.WriteString(":" + r.Qualifier)
	}
	if r.Operator != Any {
		fmt.Fprintf(&b, " (%s %s)", r.Operator, r.Version)
	}
	if r.Architectures != "" {
		b.WriteString(" [" + r.Architectures + "]")
	}
	return b.String()
}

// AppliesTo reports whether the relation's architecture restriction lets it
// count on arch, the Debian name of an architecture.
func (r Relation) AppliesTo(arch string) bool {
	if r.Architectures == "" {
		return true
	}
	words := strings.Fields(r.Architectures)
	if strings.HasPrefix(words[0], "!") {
		return !slices.ContainsFunc(words, func(w string) bool { return matches(strings.TrimPrefix(w, "!"), arch) })
	}
	return slices.ContainsFunc(words, func(w string) bool { return matches(w, arch) })
}

func matches(pattern, arch string) bool {
	return pattern == arch || pattern == "any" || pattern == "linux-any" || pattern == "any-"+arch
}

// AppendRelations appends the relations of a dependency field to list, one
// after another: alternatives follow each other, all but the last with Or set.
// Build profiles (<!nocheck>) are read over: binary packages have none.
func AppendRelations(list []Relation, field string) ([]Relation, error) {
	rest, count := field, 0
	for {
		rest = skipSpace(rest)
		if rest == "" {
			return list, nil
		}
		if rest[0] == ',' { // dpkg allows an empty item, as in "a, , b"
			rest = rest[1:]
			continue
		}
		if count++; count > MaxRelations {
			return nil, fmt.Errorf("reading dependencies: more than %d relations", MaxRelations)
		}
		relation, after, err := cutRelation(rest)
		if err != nil {
			return nil, fmt.Errorf("reading dependency %.80q: %w", rest, err)
		}
		list, rest = append(list, relation), after
	}
}

// cutRelation reads one relation and the comma or bar behind it.
func cutRelation(s string) (r Relation, rest string, err error) {
	end := 0
	for end < len(s) && isNameByte(s[end]) {
		end++
	}
	r.Name, rest = s[:end], s[end:]
	if !IsPackageName(r.Name) {
		return r, "", fmt.Errorf("%.60q is no package name", r.Name)
	}
	if rest != "" && rest[0] == ':' {
		end = 1
		for end < len(rest) && (isNameByte(rest[end])) {
			end++
		}
		if r.Qualifier, rest = rest[1:end], rest[end:]; r.Qualifier == "" {
			return r, "", fmt.Errorf("%q has an empty qualifier", r.Name)
		}
	}
	rest = skipSpace(rest)
	if rest != "" && rest[0] == '(' {
		if rest, err = r.cutVersion(rest); err != nil {
			return r, "", err
		}
	}
	for rest = skipSpace(rest); rest != "" && (rest[0] == '[' || rest[0] == '<'); rest = skipSpace(rest) {
		isProfile := rest[0] == '<'
		close := strings.IndexByte(rest, ']')
		if isProfile {
			close = strings.IndexByte(rest, '>')
		}
		if close < 0 {
			return r, "", fmt.Errorf("a bracket behind %q is not closed", r.Name)
		}
		if !isProfile {
			if r.Architectures = strings.TrimSpace(rest[1:close]); r.Architectures == "" {
				return r, "", fmt.Errorf("%q is restricted to no architecture", r.Name)
			}
		}
		rest = rest[close+1:]
	}
	switch {
	case rest == "":
	case rest[0] == ',':
		rest = rest[1:]
	case rest[0] == '|':
		if rest = skipSpace(rest[1:]); rest == "" {
			return r, "", fmt.Errorf("an alternative is missing behind %q", r.Name)
		}
		r.Or = true
	default:
		return r, "", fmt.Errorf("a comma is missing behind %q", r.Name)
	}
	return r, rest, nil
}

// cutVersion reads "(>= 1.2)".
func (r *Relation) cutVersion(s string) (rest string, err error) {
	close := strings.IndexByte(s, ')')
	if close < 0 {
		return "", fmt.Errorf("a parenthesis behind %q is not closed", r.Name)
	}
	inside := skipSpace(s[1:close])
	length := 0
	for length < len(inside) && length < 2 && strings.IndexByte("<=>", inside[length]) >= 0 {
		length++
	}
	switch inside[:length] {
	case "<<":
		r.Operator = Earlier
	case "<=", "<": // dpkg takes the obsolete single sign this way
		r.Operator = EarlierEqual
	case "=", "":
		r.Operator = Equal
	case ">=", ">":
		r.Operator = LaterEqual
	case ">>":
		r.Operator = Later
	default:
		return "", fmt.Errorf("%q behind %q is no operator", inside[:length], r.Name)
	}
	r.Version = strings.TrimSpace(inside[length:])
	if !IsVersion(r.Version) {
		return "", fmt.Errorf("%.60q behind %q is no version", r.Version, r.Name)
	}
	return s[close+1:], nil
}

// ParseDependencies reads a dependency field as a list of dependencies, each
// a list of alternatives.
func ParseDependencies(field string) ([][]Relation, error) {
	flat, err := AppendRelations(nil, field)
	if err != nil {
		return nil, err
	}
	var all [][]Relation
	for start := 0; start < len(flat); {
		end := start
		for flat[end].Or {
			end++
		}
		all = append(all, flat[start:end+1])
		start = end + 1
	}
	return all, nil
}

func skipSpace(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\n' || s[0] == '\t' || s[0] == '\r') {
		s = s[1:]
	}
	return s
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || 'A' <= c && c <= 'Z' || c == '_'
}

// IsPackageName reports whether name is a package's name: two letters at
// least in the policy manual, though one and capitals occur in the wild.
func IsPackageName(name string) bool {
	if name == "" || len(name) > 200 || name[0] == '-' || name[0] == '.' || name[0] == '+' || name[0] == '_' {
		return false
	}
	for i := 0; i < len(name); i++ {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return true
}
