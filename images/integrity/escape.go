package integrity

import (
	"fmt"
	"strings"
)

// escape writes a name as vis(3) with VIS_OCTAL does: what is not a plain
// graphic character of ASCII, and what mtree programs give a meaning, becomes
// a backslash and three octal digits.
func escape(name string) string {
	plain := true
	for i := 0; i < len(name) && plain; i++ {
		plain = isPlain(name[i])
	}
	if plain {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if isPlain(name[i]) {
			b.WriteByte(name[i])
		} else {
			fmt.Fprintf(&b, `\%03o`, name[i])
		}
	}
	return b.String()
}

func isPlain(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`\*?[#=`, rune(c))
}

// unescape is the reverse of escape; it takes no other form.
func unescape(word string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] != '\\' {
			if !isPlain(word[i]) {
				return "", fmt.Errorf("%q holds the bare character %q", word, word[i])
			}
			b.WriteByte(word[i])
			continue
		}
		if len(word) < i+4 {
			return "", fmt.Errorf("%q ends within an escape", word)
		}
		var c int
		for _, digit := range []byte(word[i+1 : i+4]) {
			if digit < '0' || digit > '7' {
				return "", fmt.Errorf("%q has an escape that is not three octal digits", word)
			}
			c = c<<3 | int(digit-'0')
		}
		if c > 0xff {
			return "", fmt.Errorf("%q has an escape beyond one byte", word)
		}
		b.WriteByte(byte(c))
		i += 3
	}
	return b.String(), nil
}
