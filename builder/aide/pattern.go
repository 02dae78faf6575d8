package aide

import (
	"fmt"
	"path"
	"strings"
)

// whole is a pattern of integrity.Rule as an expression for a whole path.
func whole(pattern string) string {
	if base, below := strings.CutSuffix(pattern, "/**"); below {
		return translate(base) + "/"
	}
	return translate(pattern) + "$"
}

// translate turns a pattern of path.Match into PCRE.
func translate(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*':
			b.WriteString("[^/]*")
		case '?':
			b.WriteString("[^/]")
		case '\\':
			if i++; i < len(pattern) {
				b.WriteString(literal(pattern[i : i+1]))
			}
		case '[':
			end := class(pattern[i:])
			b.WriteString(set(pattern[i+1 : i+end]))
			i += end
		default:
			b.WriteString(literal(pattern[i : i+1]))
		}
	}
	return b.String()
}

// class is where the ] of a set is that begins at pattern[0].
func class(pattern string) int {
	for i := 1; i < len(pattern); i++ {
		switch {
		case pattern[i] == '\\':
			i++
		case pattern[i] == ']' && i > 1:
			return i
		}
	}
	return len(pattern) - 1 // integrity.Rule has refused such a pattern
}

// set is what stands between the brackets of a set. A set of path.Match never
// matches a slash.
func set(inside string) string {
	var b strings.Builder
	inside, not := strings.CutPrefix(inside, "^")
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case c == '-' && i > 0 && i < len(inside)-1:
			b.WriteByte('-')
		case c == '\\' && i < len(inside)-1:
			i++
			b.WriteString(member(inside[i]))
		default:
			b.WriteString(member(inside[i]))
		}
	}
	if not {
		return "(?!/)[^" + b.String() + "]"
	}
	return "(?!/)[" + b.String() + "]"
}

// literal takes every meaning from bytes, for PCRE and for AIDE's own reading
// of blanks, @ and %. AIDE files a rule under the directory that its expression
// begins with; it takes \x2b for x2b there, so such a byte stands in a set,
// which ends that beginning.
func literal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case plain(c):
			b.WriteByte(c)
		case c == '.':
			b.WriteString(`\.`)
		default:
			fmt.Fprintf(&b, `[\x%02x]`, c)
		}
	}
	return b.String()
}

// member is a byte inside a set.
func member(c byte) string {
	if plain(c) && c != '-' {
		return string(rune(c))
	}
	return fmt.Sprintf(`\x%02x`, c)
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '/' || c == '_' || c == '-'
}

// meet reports whether one path can match both patterns; it may say yes where
// none does, and says no only where none can.
func meet(a, b string) bool {
	a, aBelow := strings.CutSuffix(a, "/**")
	b, bBelow := strings.CutSuffix(b, "/**")
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i := range min(len(as), len(bs)) {
		if !same(as[i], bs[i]) {
			return false
		}
	}
	switch {
	case len(as) < len(bs):
		return aBelow
	case len(as) > len(bs):
		return bBelow
	}
	return aBelow == bBelow
}

// same reports whether one name can match both patterns.
func same(a, b string) bool {
	const special = `*?[\`
	switch aPlain, bPlain := !strings.ContainsAny(a, special), !strings.ContainsAny(b, special); {
	case aPlain && bPlain:
		return a == b
	case aPlain:
		ok, err := path.Match(b, a)
		return ok || err != nil
	case bPlain:
		ok, err := path.Match(a, b)
		return ok || err != nil
	}
	return true
}
