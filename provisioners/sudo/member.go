package sudo

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

// member is one of a list of users, groups or hosts: a word, a number or a name in
// quotes, of a group, a netgroup or, with !, of those who are not meant. The words
// are those of sudo's own scanner, which ends one at any of these signs.
var member = regexp.MustCompile(`^(?:!\s*)*(?:%?#-?[0-9]+|(?:%:?|\+)?(?:"[^"]+"|(?:[^#>!=:,()\s\\"]|\\[^\t\n])+))$`)

// members checks a list of users, groups or hosts.
func members(text string) error {
	for one := range separated(text, ',') {
		one = strings.TrimSpace(one)
		if host, _, _ := strings.Cut(strings.TrimLeft(one, "! \t"), "/"); !member.MatchString(one) && !isIPv6(host) {
			return fmt.Errorf("expected users or hosts with commas between them, found %q", text)
		}
	}
	return nil
}

// isIPv6 tells whether a host is an address with colons.
func isIPv6(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Is6()
}

// separated yields the parts of a text between those of one sign that are neither
// escaped nor quoted.
func separated(text string, sign byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		from, quoted := 0, false
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case c == sign && !quoted:
				if !yield(text[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(text[from:])
	}
}

// runas checks who a rule's commands are run as: users, groups behind a colon, or
// either alone.
func runas(text string) error {
	parts := 0
	for list := range separated(text, ':') {
		if parts++; parts > 2 || parts == 2 && strings.HasPrefix(strings.TrimSpace(list), "+") {
			return fmt.Errorf("%q is not users and groups to run as", text)
		}
		if strings.TrimSpace(list) == "" {
			continue
		}
		if err := members(list); err != nil {
			return err
		}
	}
	return nil
}
