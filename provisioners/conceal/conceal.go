// Package conceal keeps secrets out of what is said about a system: reports
// quote values and lines of its files, and are read by more people than the
// files are. It knows secrets by the names that they are set under and by their
// own forms. It is the second of two nets: what a type of resource knows to be
// secret it never quotes at all.
package conceal

import (
	"regexp"
	"strings"
	"unicode"
)

// Hidden stands in the place of what is not shown.
const Hidden = "(not shown)"

// replacement puts Hidden in the place of a match, or of a part of it.
type replacement struct {
	pattern *regexp.Regexp
	// with is as in regexp.ReplaceAllString.
	with string
}

// named are the ends of names that secrets are set under.
const named = `(?:passw(?:or)?d|passphrase|pwd|secret|token|psk|credentials?|requirepass|masterauth|(?:api|private|secret|access|auth|shared|account|encryption|signing)[-_]?key)`

// forms are what secrets look like.
var forms = []replacement{
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----(?s:.*?)(?:-----END [A-Z ]*-----|$)`), Hidden},
	// Password hashes of crypt(5) and of GRUB.
	{regexp.MustCompile(`\$(?:1|2[abxy]?|5|6|7|y|gy|sm3|md5|sha1|apr1|argon2(?:id|i|d)|scrypt|pbkdf2(?:-sha[0-9]+)?)(?:\$[./0-9A-Za-z=,+*-]+)+\$[./0-9A-Za-z=,+-]{16,}`), Hidden},
	{regexp.MustCompile(`grub\.pbkdf2\.[^\s"']+`), Hidden},
	// The user and password of a URL (RFC 3986, section 3.2.1).
	{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/@"']+@`), "${1}" + Hidden + "@"},
	// NAME=VALUE, "name": "value" and --name value. A path that ends in such a
	// word is none.
	{regexp.MustCompile(`(?i)((?:^|[^\w./-])-{0,2}[\w.-]*` + named + `["']?(?:\s*=\s*|\s*:\s+))(?:"[^"]*"|'[^']*'|[^\s,;"'(][^\s,;"']*)`), "${1}" + Hidden},
	{regexp.MustCompile(`(?i)((?:^|\s)--[\w.-]*` + named + `\s+)(?:"[^"]*"|'[^']*'|[^\s,;"'(][^\s,;"']*)`), "${1}" + Hidden},
	// Headers of HTTP (RFC 9110, section 11.6.2), as servers add them.
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|cookie|x-[a-z-]*(?:key|token|secret))(["']?:?\s+)(?:"[^"]*"|'[^']*'|[^\s,;"'(][^\s;"']*(?:\s+[^\s;"']+)?)`), "${1}${2}" + Hidden},
	// Tokens that say what they are.
	{regexp.MustCompile(`\b(?:gh[opsur]_|github_pat_|glpat-|xox[abeoprs]-|[rs]k_(?:live|test)_|AKIA|ASIA|AGE-SECRET-KEY-1|hvs\.|npm_|dop_v1_)[\w-]{10,}`), Hidden},
	{regexp.MustCompile(`\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?`), Hidden},
}

// bearer are the schemes of authentication with what follows them.
var bearer = regexp.MustCompile(`(?i)\b(bearer|basic|token)\s+([\w+/=.~-]{8,})`)

// random are runs in which small and capital letters and digits are mixed, as
// none but keys and digests in base 64 do over such a length.
var random = regexp.MustCompile(`[\w+-]{20,}=*`)

// Text is a text without the secrets that are known by their form, or by the
// name that stands before them.
func Text(text string) string {
	for _, f := range forms {
		text = f.pattern.ReplaceAllString(text, f.with)
	}
	text = bearer.ReplaceAllStringFunc(text, func(match string) string {
		scheme, word, _ := strings.Cut(match, " ")
		if !mixed(word) && !strings.ContainsAny(word, "=") {
			return match
		}
		return scheme + " " + Hidden
	})
	return random.ReplaceAllStringFunc(text, func(match string) string {
		if mixed(match) {
			return Hidden
		}
		return match
	})
}

// mixed tells whether a text has small letters, capital ones and digits.
func mixed(text string) bool {
	return strings.ContainsFunc(text, unicode.IsLower) && strings.ContainsFunc(text, unicode.IsUpper) && strings.ContainsFunc(text, unicode.IsDigit)
}

// accounts are the places of what is said of accounts, in words of its own: that
// one has a password, and never which.
var accounts = regexp.MustCompile(`^(?:/etc/(?:passwd|shadow|group|gshadow): |user |group )`)

var secretName = regexp.MustCompile(`(?i)` + named + `["']?$`)

// states are what is said of values that are not there.
var states = map[string]bool{"not set": true, "absent": true, "there": true, "missing or different": true, "set elsewhere": true, "none": true, "": true}

// Value is a value without its secrets; of what is named like one, nothing of
// it. name may be a place before a name: "/etc/redis.conf: requirepass".
func Value(name, value string) string {
	if states[value] {
		return value
	}
	last := name
	if at := strings.LastIndex(name, ": "); at >= 0 {
		last = name[at+2:]
	}
	if !strings.HasPrefix(last, "/") && !accounts.MatchString(name) && secretName.MatchString(last) {
		return Hidden
	}
	return Text(value)
}
