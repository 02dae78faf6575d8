package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Normal writes a rule the one way in which this package compares rules: what
// nft(8) takes for the same has the same text. Counters and comments are left
// out, for they decide nothing.
func Normal(rule string) (string, error) {
	if strings.ContainsAny(rule, "\n;\x00") {
		return "", fmt.Errorf("a rule is one line without a semicolon")
	}
	l := &lexer{}
	if err := l.read("rule", rule, 0); err != nil {
		return "", err
	}
	p := &parser{tokens: l.tokens}
	words, err := p.rest()
	if err != nil {
		return "", err
	}
	if p.skipSeparators(); p.at < len(p.tokens) {
		return "", p.peek().errorf("unexpected %q", p.peek().text)
	}
	text, err := normal(words)
	if err == nil && text == "" {
		err = fmt.Errorf("an empty rule")
	}
	return text, err
}

// operators have second names.
var operators = map[string]string{
	"eq": "", "==": "", "ne": "!=", "lt": "<", "gt": ">", "le": "<=", "ge": ">=", "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
}

// unqualified are the keys before which "meta" may be left out.
var unqualified = []string{
	"mark", "iif", "iifname", "iiftype", "oif", "oifname", "oiftype", "skuid", "skgid", "nftrace", "rtclassid", "ibriport", "obriport",
	"ibrname", "obrname", "pkttype", "cpu", "iifgroup", "oifgroup", "cgroup",
}

// services are names of ports that rulesets use (services(5)).
var services = map[string]string{
	"ftp": "21", "ssh": "22", "telnet": "23", "smtp": "25", "domain": "53", "bootps": "67", "bootpc": "68", "tftp": "69", "http": "80", "pop3": "110",
	"sunrpc": "111", "ntp": "123", "imap": "143", "imap2": "143", "snmp": "161", "ldap": "389", "https": "443", "submissions": "465", "syslog": "514",
	"submission": "587", "ldaps": "636", "imaps": "993", "pop3s": "995", "mysql": "3306", "postgresql": "5432", "dhcpv6-client": "546", "dhcpv6-server": "547",
}

// maxDepth bounds sets inside sets.
const maxDepth = 16

func normal(words []token) (string, error) {
	n := &normalizer{words: words}
	list, err := n.sequence("", false, 0)
	if err != nil {
		return "", err
	}
	if list, err = joinLists(list); err != nil {
		return "", err
	}
	return strings.Join(simplify(list), " "), nil
}

type normalizer struct {
	words []token
	at    int
}

// sequence reads words up to what closes it, sets as one word.
// port says that the last selector was one of ports.
func (n *normalizer) sequence(closing string, port bool, depth int) ([]string, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d sets inside one another", maxDepth)
	}
	var list []string
	for n.at < len(n.words) {
		t := n.words[n.at]
		n.at++
		switch {
		case closing != "" && t.is(closing):
			return list, nil
		case t.is("{"):
			inside, err := n.sequence("}", port, depth+1)
			if err != nil {
				return nil, err
			}
			one, err := set(inside, port)
			if err != nil {
				return nil, t.errorf("%v", err)
			}
			list = append(list, one)
		case t.is("}"):
			return nil, t.errorf("a brace that closes nothing")
		case t.quoted:
			list = append(list, quote(t.text))
		default:
			text, second := operators[t.text]
			switch {
			case second && text == "":
				continue
			case !second:
				text = value(t.text, port)
			}
			if text == "dport" || text == "sport" {
				port = true
			} else if name := t.text; isName(name) && services[name] == "" && name != "redirect" {
				port = false
			}
			list = append(list, text)
		}
	}
	if closing != "" {
		return nil, fmt.Errorf("a set that is not closed")
	}
	return list, nil
}

func isName(text string) bool {
	return text != "" && (text[0] >= 'a' && text[0] <= 'z' || text[0] >= 'A' && text[0] <= 'Z')
}

// value writes numbers, ports and addresses one way.
func value(text string, port bool) string {
	if number := services[text]; port && number != "" {
		return number
	}
	if rest, ok := strings.CutPrefix(text, "0x"); ok {
		if n, err := strconv.ParseUint(rest, 16, 64); err == nil {
			return strconv.FormatUint(n, 10)
		}
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String()
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.Masked().String()
	}
	return text
}

// quote leaves a name without its quotes.
func quote(text string) string {
	plain := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-/*@", c))
	}
	if text != "" && !strings.ContainsFunc(text, plain) && isName(text) && operators[text] == "" && text != "eq" && text != "include" {
		return text
	}
	return `"` + text + `"`
}

// set sorts the elements of one; one element needs no set, unless it is a
// map's. Sets inside a set are elements of it.
func set(inside []string, port bool) (string, error) {
	var elements []string
	for _, e := range splitList(inside) {
		if len(e) > 1 && slices.ContainsFunc(e, func(w string) bool { return strings.HasPrefix(w, "{ ") }) {
			return "", fmt.Errorf("an element that is a set and more than that is not understood")
		}
		if port && len(e) > 0 && services[e[0]] != "" {
			e[0] = services[e[0]]
		}
		text := strings.Join(e, " ")
		if flat, ok := strings.CutPrefix(text, "{ "); ok && strings.HasSuffix(flat, " }") {
			for part := range strings.SplitSeq(strings.TrimSuffix(flat, " }"), " , ") {
				elements = append(elements, part)
			}
		} else if text != "" {
			elements = append(elements, text)
		}
	}
	slices.Sort(elements)
	elements = slices.Compact(elements)
	if len(elements) == 1 && !strings.Contains(elements[0], " ") {
		return elements[0], nil
	}
	return "{ " + strings.Join(elements, " , ") + " }", nil
}

// splitList splits words at commas.
func splitList(words []string) [][]string {
	list := [][]string{nil}
	for _, w := range words {
		if w == "," {
			list = append(list, nil)
		} else {
			list[len(list)-1] = append(list[len(list)-1], w)
		}
	}
	return list
}

// simplify takes out what a rule can be written without.
func simplify(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		after := func(k int) string {
			if i+k < len(words) {
				return words[i+k]
			}
			return ""
		}
		last := ""
		if len(out) > 0 {
			last = out[len(out)-1]
		}
		switch {
		case words[i] == "counter" && after(1) == "packets" && after(3) == "bytes":
			i += 4
		case words[i] == "counter" && after(1) != "name":
		case words[i] == "comment" && i+2 == len(words):
			i++
		case words[i] == "meta" && slices.Contains(unqualified, after(1)):
		case words[i] == "meta" && after(1) == "l4proto" && after(2) == after(3) && (after(2) == "tcp" || after(2) == "udp"):
			i += 2
		case words[i] == "burst" && after(1) == "5" && after(2) == "packets":
			i += 2
		case words[i] == "type" && (last == "icmpx" || last == "icmp" || last == "icmpv6") && len(out) > 1 && out[len(out)-2] == "with":
		case words[i] == "with" && after(1) == "icmpx" && after(2) == "port-unreachable":
			i += 2
		case words[i] == "with" && after(1) == "icmpx" && after(2) == "type" && after(3) == "port-unreachable":
			i += 3
		case (words[i] == "iifname" || words[i] == "oifname") && (after(1) == "lo" || after(1) == "!=" && after(2) == "lo"):
			out = append(out, strings.TrimSuffix(words[i], "name"))
		default:
			out = append(out, words[i])
		}
	}
	return out
}

// joinLists joins "a , b" and "1 - 2" outside of sets into one word. The
// states of a connection exclude one another, so that a list of them is a set.
func joinLists(words []string) ([]string, error) {
	var out []string
	// item takes the word after a comma or hyphen.
	item := func(i int) (string, error) {
		if i < 0 || i >= len(words) || words[i] == "," || strings.ContainsAny(words[i], " \"") || strings.Trim(words[i], "-") != words[i] || slices.Contains(symbols, words[i]) {
			return "", fmt.Errorf("a list or range without a word on both sides")
		}
		return words[i], nil
	}
	for i := 0; i < len(words); i++ {
		if words[i] != "," && words[i] != "-" {
			out = append(out, words[i])
			continue
		}
		if _, err := item(i - 1); err != nil {
			return nil, err
		}
		list := []string{out[len(out)-1]}
		for ; i < len(words) && (words[i] == "," || words[i] == "-"); i += 2 {
			next, err := item(i + 1)
			if err != nil {
				return nil, err
			}
			if words[i] == "-" {
				list[len(list)-1] += "-" + next
			} else {
				list = append(list, next)
			}
		}
		i--
		slices.Sort(list)
		list = slices.Compact(list)
		out = out[:len(out)-1]
		states := len(out) >= 2 && out[len(out)-1] == "state" && out[len(out)-2] == "ct" ||
			len(out) >= 3 && out[len(out)-1] == "!=" && out[len(out)-2] == "state" && out[len(out)-3] == "ct"
		if states && len(list) > 1 {
			out = append(out, "{ "+strings.Join(list, " , ")+" }")
		} else {
			out = append(out, strings.Join(list, ","))
		}
	}
	return out, nil
}
