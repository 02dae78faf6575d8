package tlspolicy

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// suite is one cipher suite of TLS 1.2 and before, in the words of
// openssl-ciphers(1).
type suite struct {
	name, version, kx, auth, enc string
	bits                         int
	mac                          string
	notDefault                   bool
}

//go:embed suites.txt
var suitesText string

// suites reads the table, in OpenSSL's order of preference.
func suites() []suite {
	var list []suite
	for line := range strings.SplitSeq(suitesText, "\n") {
		f := strings.Fields(line)
		if len(f) != 8 || f[0] == "#" {
			continue
		}
		bits, _ := strconv.Atoi(f[5])
		list = append(list, suite{
			name: f[0], version: f[1], kx: f[2], auth: f[3], enc: f[4], bits: bits, mac: f[6], notDefault: f[7] == "x",
		})
	}
	return list
}

// alias is what a word of a cipher string stands for; nil when the word is not
// known. Source: openssl-ciphers(1), "CIPHER STRINGS".
func alias(word string) func(suite) bool {
	kx := func(list ...string) func(suite) bool {
		return func(s suite) bool { return slices.Contains(list, s.kx) }
	}
	auth := func(name string) func(suite) bool { return func(s suite) bool { return s.auth == name } }
	enc := func(bits int, list ...string) func(suite) bool {
		return func(s suite) bool { return slices.Contains(list, s.enc) && (bits == 0 || s.bits == bits) }
	}
	mac := func(name string) func(suite) bool { return func(s suite) bool { return s.mac == name } }
	version := func(name string) func(suite) bool { return func(s suite) bool { return s.version == name } }
	none := func(suite) bool { return false }
	switch word {
	case "ALL", "HIGH":
		return func(s suite) bool { return s.enc != "None" }
	case "COMPLEMENTOFALL", "eNULL", "NULL":
		return enc(0, "None")
	case "COMPLEMENTOFDEFAULT":
		return func(s suite) bool { return s.notDefault }
	case "kRSA":
		return kx("RSA")
	case "RSA":
		return func(s suite) bool { return s.kx == "RSA" && s.auth == "RSA" }
	case "kDHE", "kEDH", "DH":
		return kx("DH")
	case "DHE", "EDH":
		return func(s suite) bool { return s.kx == "DH" && s.auth != "None" }
	case "ADH":
		return func(s suite) bool { return s.kx == "DH" && s.auth == "None" }
	case "kECDHE", "kEECDH", "ECDH":
		return kx("ECDH")
	case "ECDHE", "EECDH":
		return func(s suite) bool { return s.kx == "ECDH" && s.auth != "None" }
	case "AECDH":
		return func(s suite) bool { return s.kx == "ECDH" && s.auth == "None" }
	case "PSK":
		return kx("PSK", "RSAPSK", "DHEPSK", "ECDHEPSK")
	case "kPSK":
		return kx("PSK")
	case "kRSAPSK":
		return kx("RSAPSK")
	case "kDHEPSK":
		return kx("DHEPSK")
	case "kECDHEPSK":
		return kx("ECDHEPSK")
	case "SRP", "kSRP":
		return kx("SRP")
	case "aRSA":
		return auth("RSA")
	case "aDSS", "DSS":
		return auth("DSS")
	case "aECDSA", "ECDSA":
		return auth("ECDSA")
	case "aNULL":
		return auth("None")
	case "aPSK":
		return auth("PSK")
	case "aSRP":
		return auth("SRP")
	case "AES":
		return enc(0, "AES", "AESGCM", "AESCCM", "AESCCM8")
	case "AES128":
		return enc(128, "AES", "AESGCM", "AESCCM", "AESCCM8")
	case "AES256":
		return enc(256, "AES", "AESGCM", "AESCCM", "AESCCM8")
	case "AESGCM":
		return enc(0, "AESGCM")
	case "AESCCM":
		return enc(0, "AESCCM", "AESCCM8")
	case "AESCCM8":
		return enc(0, "AESCCM8")
	case "CAMELLIA":
		return enc(0, "Camellia")
	case "CAMELLIA128":
		return enc(128, "Camellia")
	case "CAMELLIA256":
		return enc(256, "Camellia")
	case "CHACHA20":
		return enc(0, "CHACHA20/POLY1305")
	case "ARIA", "ARIAGCM":
		return enc(0, "ARIAGCM")
	case "ARIA128":
		return enc(128, "ARIAGCM")
	case "ARIA256":
		return enc(256, "ARIAGCM")
	case "CBC":
		return enc(0, "AES", "Camellia")
	case "MD5":
		return mac("MD5")
	case "SHA", "SHA1":
		return mac("SHA1")
	case "SHA256":
		return mac("SHA256")
	case "SHA384":
		return mac("SHA384")
	case "TLSv1", "TLSv1.0":
		return version("TLSv1")
	case "TLSv1.2", "SSLv3":
		return version(word)
	// What OpenSSL knows and Debian's has no suite of, and what it knew once
	// and passes over now; old cipher strings forbid these.
	case "LOW", "MEDIUM", "3DES", "DES", "RC4", "RC2", "IDEA", "SEED", "GOST89", "GOST94", "kGOST", "aGOST", "aGOST01", "EXP", "EXPORT",
		"EXPORT40", "EXPORT56", "SSLv2", "KRB5", "kECDH", "aECDH", "kDH", "aDH", "kDHr", "kDHd", "kECDHr", "kECDHe",
		"RC4-SHA", "RC4-MD5", "DES-CBC-SHA", "DES-CBC3-SHA", "IDEA-CBC-SHA", "SEED-SHA", "EDH-RSA-DES-CBC3-SHA", "EDH-DSS-DES-CBC3-SHA",
		"DHE-RSA-DES-CBC3-SHA", "ECDHE-RSA-DES-CBC3-SHA", "ECDHE-ECDSA-DES-CBC3-SHA", "ECDHE-RSA-RC4-SHA", "ECDHE-ECDSA-RC4-SHA",
		"KRB5-DES-CBC3-SHA", "DHE-RSA-SEED-SHA", "PSK-RC4-SHA":
		return none
	}
	return nil
}

// The limits of a cipher string, in bytes and words.
const (
	maxString = 16 << 10
	maxWords  = 1000
)

// Expand lists the names of the suites below TLS 1.3 that a cipher string
// leaves enabled, in order of preference, by the rules of openssl-ciphers(1)
// and Debian 12's OpenSSL 3.0. A word that is not known is an error, though
// OpenSSL itself would pass over it: what it stands for elsewhere is not known.
func Expand(text string) ([]string, error) {
	if len(text) > maxString {
		return nil, fmt.Errorf("the cipher string has more than %d bytes", maxString)
	}
	l := &list{}
	for _, s := range suites() {
		l.all = append(l.all, &entry{suite: s})
	}
	if rest, begins := strings.CutPrefix(text, "DEFAULT"); begins && (rest == "" || strings.ContainsRune(":, ;+@", rune(rest[0]))) {
		l.apply('a', alias("ALL"))
		l.apply('!', alias("COMPLEMENTOFDEFAULT"))
		l.apply('!', alias("eNULL"))
		text = rest
	}
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(":, ;", r) })
	if len(words) > maxWords {
		return nil, fmt.Errorf("the cipher string has more than %d words", maxWords)
	}
	for _, word := range words {
		if err := l.word(word); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, e := range l.all {
		if e.active {
			names = append(names, e.name)
		}
	}
	return names, nil
}

// entry is a suite in the list that a string is worked out on.
type entry struct {
	suite
	active bool
}

type list struct{ all []*entry }

func (l *list) word(word string) error {
	operator := byte('a')
	if strings.ContainsRune("!-+@", rune(word[0])) {
		operator, word = word[0], word[1:]
	}
	if operator == '@' {
		level, isLevel := strings.CutPrefix(word, "SECLEVEL=")
		switch {
		case isLevel && len(level) == 1 && level[0] >= '0' && level[0] <= '5':
			return nil // it bounds keys and digests, not the list
		case word == "STRENGTH":
			l.sort()
			return nil
		}
		return fmt.Errorf("the cipher string has %q, which is not known", "@"+word)
	}
	var masks []func(suite) bool
	for part := range strings.SplitSeq(word, "+") {
		mask := alias(part)
		if mask == nil {
			found := slices.ContainsFunc(suites(), func(s suite) bool { return s.name == part })
			if !found {
				return fmt.Errorf("the cipher string has %q, which is no suite or group of OpenSSL 3.0", part)
			}
			mask = func(s suite) bool { return s.name == part }
		}
		masks = append(masks, mask)
	}
	l.apply(operator, func(s suite) bool {
		return !slices.ContainsFunc(masks, func(mask func(suite) bool) bool { return !mask(s) })
	})
	return nil
}

// apply does what an operator says to the suites of a mask: add what is not
// there at the end ("a"), move to the end ("+"), take out ("-"), take out for
// good ("!").
func (l *list) apply(operator byte, mask func(suite) bool) {
	var hit, rest []*entry
	for _, e := range l.all {
		wants := operator == '!' || e.active == (operator != 'a')
		if mask(e.suite) && wants {
			hit = append(hit, e)
		} else {
			rest = append(rest, e)
		}
	}
	switch operator {
	case 'a':
		for _, e := range hit {
			e.active = true
		}
		l.all = append(rest, hit...)
	case '+':
		l.all = append(rest, hit...)
	case '-':
		// What was taken out last comes back first.
		for _, e := range hit {
			e.active = false
		}
		l.all = append(hit, rest...)
	case '!':
		l.all = rest
	}
}

// sort brings what is in the list into the order of strength, behind what is
// not.
func (l *list) sort() {
	rank := func(e *entry) int {
		if !e.active {
			return -1000
		}
		return -e.bits
	}
	slices.SortStableFunc(l.all, func(a, b *entry) int { return rank(a) - rank(b) })
}
