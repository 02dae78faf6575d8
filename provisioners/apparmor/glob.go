package apparmor

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The limits of a pattern once its variables are filled in.
const (
	maxPattern = 64 << 10
	maxFill    = 16
)

// pattern turns a pattern of apparmor.d(5), "Globbing", into a regular
// expression: * and ? stay within one directory, ** does not, {a,b} is a
// choice, [a-z] a class, @{NAME} each of the variable's values.
func pattern(glob string, variables Variables) (*regexp.Regexp, error) {
	filled, err := fill(glob, variables, 0)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	depth := 0
	for i := 0; i < len(filled); i++ {
		switch c := filled[i]; {
		case c == '\\' && i+1 < len(filled):
			i++
			b.WriteString(regexp.QuoteMeta(filled[i : i+1]))
		case strings.HasPrefix(filled[i:], "**"):
			i++
			b.WriteString(`.*`)
		case c == '*':
			b.WriteString(`[^/]*`)
		case c == '?':
			b.WriteString(`[^/]`)
		case c == '{':
			depth++
			b.WriteString(`(?:`)
		case c == '}' && depth > 0:
			depth--
			b.WriteString(`)`)
		case c == ',' && depth > 0:
			b.WriteString(`|`)
		case c == '[':
			end := strings.IndexByte(filled[i:], ']')
			if end < 2 {
				return nil, fmt.Errorf("pattern %q: a class that does not end", glob)
			}
			class := filled[i+1 : i+end]
			negated := ""
			if class[0] == '^' || class[0] == '!' {
				negated, class = "^", class[1:]
			}
			b.WriteString("[" + negated + strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`).Replace(class) + "]")
			i += end
		default:
			_, size := utf8.DecodeRuneInString(filled[i:])
			b.WriteString(regexp.QuoteMeta(filled[i : i+size]))
			i += size - 1
		}
	}
	if depth > 0 {
		return nil, fmt.Errorf("pattern %q: a choice that does not end", glob)
	}
	b.WriteString(`)\z`)
	expression, err := regexp.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("pattern %q cannot be read: %w", glob, err)
	}
	return expression, nil
}

// fill replaces variables with a choice of their values, and slashes that
// meet there with one.
func fill(glob string, variables Variables, depth int) (string, error) {
	if depth > maxFill || len(glob) > maxPattern {
		return "", fmt.Errorf("a pattern whose variables grow without end")
	}
	start := strings.Index(glob, "@{")
	if start < 0 {
		return strings.ReplaceAll(glob, "//", "/"), nil
	}
	end := strings.IndexByte(glob[start:], '}')
	if end < 0 {
		return "", fmt.Errorf("pattern %q: a variable that does not end", glob)
	}
	end += start + 1
	values, known := variables[glob[start:end]]
	if !known {
		return "", fmt.Errorf("pattern %q: unknown variable %s", glob, glob[start:end])
	}
	if strings.HasPrefix(glob[end:], "/") {
		values = slices.Clone(values)
		for i, v := range values {
			values[i] = strings.TrimSuffix(v, "/")
		}
	}
	choice := strings.Join(values, ",")
	if len(values) > 1 {
		choice = "{" + choice + "}"
	}
	return fill(glob[:start]+choice+glob[end:], variables, depth+1)
}
