package setting

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// iptablesRule is what follows the chain in a rule.
type iptablesRule struct {
	// conditions are in an order of their own, "-i lo -p tcp --dport 22".
	conditions string
	// target is what becomes of a packet, with its options; "" without one. It
	// begins at a place of the text.
	target string
	at     int
	// ends says that no later rule sees the packet, jumps that the target is a
	// chain of the table.
	ends, jumps bool
}

// The forms of what options are given.
var (
	ipWord   = regexp.MustCompile(`^[A-Za-z0-9_.:/+-]{1,50}$`)
	ipNumber = regexp.MustCompile(`^[0-9]{1,9}$`)
	ipPorts  = regexp.MustCompile(`^[0-9]{1,5}(:[0-9]{1,5})?$`)
	ipList   = regexp.MustCompile(`^[0-9]{1,5}(:[0-9]{1,5})?(,[0-9]{1,5}(:[0-9]{1,5})?){0,14}$`)
	ipState  = regexp.MustCompile(`^(INVALID|NEW|ESTABLISHED|RELATED|UNTRACKED)(,(INVALID|NEW|ESTABLISHED|RELATED|UNTRACKED))*$`)
	ipRate   = regexp.MustCompile(`^[1-9][0-9]{0,4}(/(s|sec|second|m|min|minute|h|hour|d|day))?$`)
	ipType   = regexp.MustCompile(`^(UNSPEC|UNICAST|LOCAL|BROADCAST|ANYCAST|MULTICAST|BLACKHOLE|UNREACHABLE|PROHIBIT)$`)
	ipAny    = regexp.MustCompile(`^`)
	ipICMP   = regexp.MustCompile(`^(any|[0-9]{1,3}(/[0-9]{1,3})?|echo-reply|echo-request|destination-unreachable|source-quench|redirect|router-advertisement|router-solicitation|time-exceeded|parameter-problem|timestamp-request|timestamp-reply)$`)
	ipICMP6  = regexp.MustCompile(`^([0-9]{1,3}(/[0-9]{1,3})?|echo-reply|echo-request|destination-unreachable|packet-too-big|redirect|router-advertisement|router-solicitation|neighbou?r-advertisement|neighbou?r-solicitation|time-exceeded|parameter-problem)$`)
	ipReject = regexp.MustCompile(`^(icmp6?-[a-z0-9-]+|tcp-reset)$`)
)

// ipMatches are the options of matches that are known here, by the match. The
// matches of a protocol are there with the protocol.
var ipMatches = map[string]map[string]*regexp.Regexp{
	"tcp":       {"--sport": ipPorts, "--dport": ipPorts, "--syn": nil},
	"udp":       {"--sport": ipPorts, "--dport": ipPorts},
	"icmp":      {"--icmp-type": ipICMP},
	"icmp6":     {"--icmpv6-type": ipICMP6},
	"conntrack": {"--ctstate": ipState},
	"state":     {"--state": ipState},
	"limit":     {"--limit": ipRate, "--limit-burst": ipNumber},
	"addrtype":  {"--src-type": ipType, "--dst-type": ipType},
	"multiport": {"--sports": ipList, "--dports": ipList},
	"hl":        {"--hl-eq": ipNumber}, "rt": {"--rt-type": ipNumber}, "comment": {"--comment": ipAny},
}

// ipTargets are the options of targets that are known here.
var ipTargets = map[string]map[string]*regexp.Regexp{
	"ACCEPT": {}, "DROP": {}, "RETURN": {}, "REJECT": {"--reject-with": ipReject},
	"LOG": {"--log-prefix": ipAny, "--log-level": ipWord},
}

// ipShort are the short names of options.
var ipShort = map[string]string{
	"--protocol": "-p", "--source": "-s", "--src": "-s", "--destination": "-d", "--dst": "-d", "--in-interface": "-i", "--out-interface": "-o", "--jump": "-j", "--match": "-m",
	"--source-port": "--sport", "--destination-port": "--dport", "--source-ports": "--sports", "--destination-ports": "--dports",
}

// rule reads the conditions and the target of a rule, iptables(8) and
// iptables-extensions(8). A target comes last, as iptables-save writes it.
func (g iptables) rule(text string) (iptablesRule, error) {
	var rule iptablesRule
	words, err := ipWords(text)
	if err != nil {
		return rule, err
	}
	var conditions []string
	loaded := map[string]bool{}
	said := map[string]bool{}
	for i := 0; i < len(words); i++ {
		not := ""
		if words[i].text == "!" {
			not = "! "
			i++
		}
		if i == len(words) {
			return rule, errors.New("a ! ends it")
		}
		option := words[i].text
		if short := ipShort[option]; short != "" {
			option = short
		}
		if option == "-j" {
			if not != "" {
				return rule, errors.New("a target is not negated")
			}
			rule.conditions = ordered(conditions)
			return g.target(rule, words[i+1:])
		}
		form, known := g.form(option, loaded)
		if !known {
			return rule, errors.New("it has an option that is not known here")
		}
		value := ""
		if form != nil {
			if i++; i == len(words) {
				return rule, fmt.Errorf("%s says nothing", option)
			}
			value = words[i].text
			if !form.MatchString(value) {
				return rule, fmt.Errorf("%s has no value that is known here", option)
			}
		}
		if said[option] && option != "-m" {
			return rule, fmt.Errorf("%s is there twice", option)
		}
		said[option] = true
		if value, err = g.value(option, value, loaded); err != nil {
			return rule, err
		}
		if not == "" && every(option, value) {
			continue
		}
		if option != "-m" && option != "--comment" {
			conditions = append(conditions, strings.TrimRight(not+option+" "+value, " "))
		} else if not != "" {
			return rule, fmt.Errorf("%s is not negated", option)
		}
	}
	rule.conditions = ordered(conditions)
	return rule, nil
}

// every tells of a condition that every packet meets.
func every(option, value string) bool {
	switch option {
	case "-s", "-d":
		return strings.HasSuffix(value, "/0")
	case "-i", "-o":
		return value == "+"
	}
	return option == "-p" && value == "all"
}

// ordered are conditions by their options: all of them have to hold, in
// whatever order.
func ordered(conditions []string) string {
	slices.SortStableFunc(conditions, func(a, b string) int {
		return strings.Compare(strings.TrimPrefix(a, "! "), strings.TrimPrefix(b, "! "))
	})
	return strings.Join(conditions, " ")
}

// form is what an option is given, nil when that is nothing; loaded are the
// matches whose options are known to the rule.
func (iptables) form(option string, loaded map[string]bool) (form *regexp.Regexp, known bool) {
	switch option {
	case "-p", "-s", "-d", "-i", "-o", "-m":
		return ipWord, true
	}
	for name, options := range ipMatches {
		if form, known = options[option]; known && loaded[name] {
			return form, true
		}
	}
	return nil, false
}

// value brings what an option is given into one form, and loads matches.
func (g iptables) value(option, value string, loaded map[string]bool) (string, error) {
	switch option {
	case "-p":
		switch value {
		case "tcp", "udp":
			loaded[value] = true
		case "icmp":
			loaded["icmp"] = !g.six
		case "icmpv6", "ipv6-icmp":
			value, loaded["icmp6"] = "icmpv6", g.six
		case "all", "esp", "ah", "sctp", "udplite":
		default:
			return "", errors.New("its protocol is not known here")
		}
	case "-m":
		if value == "icmpv6" {
			value = "icmp6"
		}
		if ipMatches[value] == nil || (value == "icmp6" || value == "hl" || value == "rt") && !g.six {
			return "", errors.New("it has a match that is not known here")
		}
		if slices.Contains([]string{"tcp", "udp", "icmp", "icmp6"}, value) && !loaded[value] {
			return "", errors.New("it has a match of a protocol that it does not ask for")
		}
		loaded[value] = true
	case "-s", "-d":
		prefix, err := netip.ParsePrefix(value)
		if address, alone := netip.ParseAddr(value); alone == nil {
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || prefix.Addr().Is4() == g.six {
			return "", fmt.Errorf("%s is given no address", option)
		}
		return prefix.Masked().String(), nil
	}
	return value, nil
}

// target reads what follows -j.
func (iptables) target(rule iptablesRule, words []ipToken) (iptablesRule, error) {
	if len(words) == 0 || !ipWord.MatchString(words[0].text) {
		return rule, errors.New("it jumps to nothing")
	}
	rule.at, rule.target = words[0].at, words[0].text
	options, known := ipTargets[rule.target]
	rule.jumps = !known
	rule.ends = rule.target == "ACCEPT" || rule.target == "DROP" || rule.target == "REJECT" || rule.target == "RETURN"
	if rule.jumps && rule.target == strings.ToUpper(rule.target) {
		return rule, errors.New("its target is not known here")
	}
	for i := 1; i < len(words); i += 2 {
		form, known := options[words[i].text]
		if !known || i+1 == len(words) || !form.MatchString(words[i+1].text) {
			return rule, errors.New("what follows its target is not known here")
		}
		rule.target += " " + words[i].text + " " + words[i+1].text
	}
	return rule, nil
}

// ipToken is a word of a rule, and where it begins.
type ipToken struct {
	text string
	at   int
}

// ipWords parts a rule as iptables-restore does: by blanks, but for those
// between double quotes, in which a backslash escapes.
func ipWords(text string) ([]ipToken, error) {
	var list []ipToken
	var b strings.Builder
	start, quoted := -1, false
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || !quoted && (text[i] == ' ' || text[i] == '\t'):
			if start >= 0 {
				list = append(list, ipToken{b.String(), start})
			}
			b.Reset()
			start = -1
			continue
		case text[i] < ' ' || text[i] == 0x7f:
			return nil, errors.New("it has a character that is not printed")
		case text[i] == '\'' && !quoted || text[i] == '\\' && !quoted:
			return nil, errors.New("it has a quote that is read in more than one way")
		case text[i] == '"':
			quoted = !quoted
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(text[i])
		}
		if start < 0 {
			start = i
		}
	}
	if quoted {
		return nil, errors.New("quotes are not closed")
	}
	return list, nil
}
