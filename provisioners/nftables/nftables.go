// Package nftables holds the resource of chains of the kernel's packet filter,
// as /etc/nftables.conf sets them up when a server starts (nft(8),
// nftables.service). It reads the file with all that it includes and compares
// rules by what they mean.
//
// It never loads a ruleset and never asks a kernel for its own: that takes
// netlink, and root, and is left to the guest agent.
package nftables

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// Where rulesets are.
const (
	mainFile = "/etc/nftables.conf"
	dropDir  = "/etc/nftables.d"
	includes = `include "` + dropDir + `/*.nft"`
)

// ours is the main file where all is in files of their own.
const ours = `#!/usr/sbin/nft -f
# Each chain is in a file of its own.

flush ruleset

` + includes + "\n"

// stock is what package nftables ships: three chains that accept everything,
// which is what there is without them.
const stock = `flush ruleset
table inet filter {
	chain input {
		type filter hook input priority filter;
	}
	chain forward {
		type filter hook forward priority filter;
	}
	chain output {
		type filter hook output priority filter;
	}
}
`

// State is a chain at a hook with a policy, which has some rules in this
// order; others may lie between them.
//
// Apply puts the chain into a file of its own in /etc/nftables.d. A main file
// that is missing, or the package's own, becomes one that includes that
// directory; one that somebody wrote keeps every byte and gets a line that
// does, at its end: what is added comes after the rules that are there. With
// exact, the chain is emptied first.
type State struct {
	Name     string   `json:"-"`
	Type     string   `json:"type,omitempty" jsonschema:"enum=filter,enum=nat,enum=route" jsonschema_description:"default filter"`
	Hook     string   `json:"hook,omitempty" jsonschema:"enum=ingress,enum=prerouting,enum=input,enum=forward,enum=output,enum=postrouting,enum=egress" jsonschema_description:"default the chain's name, if that is a hook's"`
	Priority string   `json:"priority,omitempty" jsonschema_description:"default filter"`
	Policy   string   `json:"policy,omitempty" jsonschema:"enum=accept,enum=drop" jsonschema_description:"default accept"`
	Rules    []string `json:"rules,omitempty" jsonschema_description:"as nft takes them"`
	Exact    bool     `json:"exact,omitempty" jsonschema_description:"no other rules"`
	Loopback bool     `json:"loopback,omitempty" jsonschema_description:"what comes in from lo is accepted, what comes from its addresses on other ways dropped"`

	family, table, chain string
	priority             int
	// sequences are rules that have to be there in this order.
	sequences [][]demand
}

// demand is a rule in the forms in which it may be written; text is the one to
// write.
type demand struct {
	text  string
	forms []string
}

var (
	hooks       = []string{"ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"}
	namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)
)

// New decodes the chain that e.Key names: its family, table and name.
func New(e node.Entry) (*State, error) {
	s := &State{Name: strings.Join(strings.Fields(e.Key), " ")}
	p := &node.Problems{}
	p.Add(node.Decode(e.Value, s))
	words := strings.Fields(e.Key)
	if len(words) != 3 || !slices.Contains(families, words[0]) || !namePattern.MatchString(words[1]) || !namePattern.MatchString(words[2]) {
		p.Addf(e.Pos, "expected a family, a table and a chain, such as \"inet filter input\", found %q", e.Key)
		return s, p.Err()
	}
	s.family, s.table, s.chain = words[0], words[1], words[2]
	if s.Hook == "" && slices.Contains(hooks, s.chain) {
		s.Hook = s.chain
	}
	if s.Hook == "" {
		for _, key := range []string{"type", "priority", "policy", "loopback"} {
			if e.Value.Get(key) != nil {
				p.Addf(e.Value.At(key), `%q needs a chain with a "hook"`, key)
			}
		}
	} else {
		s.Type, s.Policy, s.Priority = or(s.Type, "filter"), or(s.Policy, "accept"), or(s.Priority, "filter")
		var err error
		if s.priority, err = Priority(s.family, s.Priority); err != nil {
			p.Addf(e.Value.At("priority"), "%v", err)
		}
	}
	var rules []demand
	for i, text := range s.Rules {
		at := e.Value.At("rules")
		if list := e.Value.Get("rules"); list != nil && i < len(list.Items) {
			at = list.Items[i].Pos
		}
		form, err := Normal(text)
		if err != nil {
			p.Addf(at, "rule %q: %v", text, err)
		}
		rules = append(rules, demand{strings.TrimSpace(text), []string{form}})
	}
	if s.Loopback {
		if s.Hook != "input" || s.family != "inet" && s.family != "ip" && s.family != "ip6" {
			p.Addf(e.Value.At("loopback"), `"loopback" is for packets that come in: hook input, family inet, ip or ip6`)
		}
		s.sequences = loopback(s.family)
	}
	s.sequences = append(s.sequences, rules)
	return s, p.Err()
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

// loopback are the rules for packets of lo (RFC 1122, 3.2.1.3(g); RFC 4291,
// 2.5.3): first what comes from it is accepted, then its addresses are
// refused.
func loopback(family string) [][]demand {
	accept := demand{"iif lo accept", []string{"iif lo accept"}}
	drop := func(match string) demand {
		return demand{match + " drop", []string{match + " drop", "iif != lo " + match + " drop", match + " iif != lo drop"}}
	}
	var list [][]demand
	if family != "ip6" {
		list = append(list, []demand{accept, drop("ip saddr 127.0.0.0/8")})
	}
	if family != "ip" {
		list = append(list, []demand{accept, drop("ip6 saddr ::1")})
	}
	return list
}

// Identity is the chain's.
func (s *State) Identity() string { return "nftables " + s.Name }

// Check tells how the chain of the configured ruleset differs.
func (s *State) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	set, err := Load(r, mainFile)
	if errors.Is(err, fs.ErrNotExist) {
		return []system.Difference{{Subject: mainFile, Have: "absent", Want: "a ruleset with the chain " + s.Name}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading ruleset: %w", err)
	}
	return s.compare(set), nil
}

func (s *State) compare(set *Ruleset) []system.Difference {
	var list []system.Difference
	differ := func(what, have, want string) {
		list = append(list, system.Difference{Subject: mainFile + ": chain " + s.Name + what, Have: have, Want: want})
	}
	c := set.Chain(s.family, s.table, s.chain)
	if c == nil {
		differ("", "absent", "there")
		return list
	}
	if set.asleep(s.family, s.table) {
		differ(": table", "dormant", "in use")
	}
	if c.Hook != s.Hook || c.Type != s.Type {
		differ(": hook", or(c.Type+" "+c.Hook, " "), or(s.Type+" "+s.Hook, " "))
	}
	if c.Priority != s.priority {
		differ(": priority", fmt.Sprint(c.Priority), fmt.Sprint(s.priority))
	}
	if c.Policy != s.Policy {
		differ(": policy", c.Policy, s.Policy)
	}
	known, last := map[int]bool{}, -1
	for _, sequence := range s.sequences {
		at := 0
		for _, d := range sequence {
			found := index(c.Rules, at, d.forms)
			if found < 0 {
				have := "missing"
				if index(c.Rules, 0, d.forms) >= 0 {
					have = "before another that it should follow"
				}
				differ(": rule", have, d.forms[0])
				continue
			}
			known[found], at, last = true, found+1, max(last, found)
		}
	}
	for i, rule := range c.Rules {
		switch {
		case known[i]:
		case s.Exact:
			differ(": rule", rule, "absent")
		case rule == "accept" && s.Policy == "drop":
			differ(": rule", "accept, for everything", "absent")
		case slices.Contains(verdicts, rule) && last > i:
			differ(": rule", rule+", before rules that nothing gets to then", "absent")
		}
	}
	return list
}

// verdicts decide on every packet that gets to them.
var verdicts = []string{"accept", "drop", "reject", "return"}

// index finds the first rule from a place on that has one of the forms, -1
// when there is none.
func index(rules []string, from int, forms []string) int {
	for i := from; i < len(rules); i++ {
		if slices.Contains(forms, rules[i]) {
			return i
		}
	}
	return -1
}

// file is where the chain is written: chains that others jump to first, for
// nft wants these to be there.
func (s *State) file() string {
	order := "50"
	if s.Hook == "" {
		order = "40"
	}
	return fmt.Sprintf("%s/%s-%s-%s-%s.nft", dropDir, order, s.family, s.table, s.chain)
}

// text is the chain as it is written.
func (s *State) text() string {
	var head, rules strings.Builder
	if s.Hook != "" {
		fmt.Fprintf(&head, "\t\ttype %s hook %s priority %s; policy %s;\n", s.Type, s.Hook, s.Priority, s.Policy)
	}
	written := map[string]bool{}
	last := len(s.sequences) - 1
	for i, sequence := range s.sequences {
		for _, d := range sequence {
			// The rules of loopback are written once, and not where the recipe has them.
			if i < last && (written[d.forms[0]] || s.has(d.forms)) {
				continue
			}
			written[d.forms[0]] = true
			rules.WriteString("\t\t" + d.text + "\n")
		}
	}
	block := func(inside string) string {
		return fmt.Sprintf("table %s %s {\n\tchain %s {\n%s\t}\n}\n", s.family, s.table, s.chain, inside)
	}
	if !s.Exact {
		return block(head.String() + rules.String())
	}
	return block(head.String()) + fmt.Sprintf("flush chain %s %s %s\n", s.family, s.table, s.chain) + block(rules.String())
}

// has tells whether the recipe's own rules have one of some forms.
func (s *State) has(forms []string) bool {
	return slices.ContainsFunc(s.sequences[len(s.sequences)-1], func(d demand) bool { return slices.Contains(forms, d.forms[0]) })
}

// mainText returns what the main file should be, and whether that is another text
// than there is.
func mainText(r system.Reader) (text string, change bool, err error) {
	info, err := r.Lstat(mainFile)
	if errors.Is(err, fs.ErrNotExist) {
		return ours, true, nil
	}
	if err != nil {
		return "", false, err
	}
	if !info.Mode.IsRegular() {
		return "", false, fmt.Errorf("%s is no regular file; put the rules where it points", mainFile)
	}
	have, err := system.ReadFile(r, mainFile, maxFile)
	if err != nil {
		return "", false, err
	}
	switch text := string(have); {
	case slices.Contains(lines(text), includes):
		return text, false, nil
	case strings.TrimSpace(text) == "" || sameWords(text, stock):
		return ours, true, nil
	default:
		return strings.TrimSuffix(text, "\n") + "\n\n" + includes + "\n", true, nil
	}
}

func lines(text string) []string {
	list := strings.Split(text, "\n")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// sameWords tells whether two files differ in blanks and comments alone.
func sameWords(a, b string) bool {
	words := func(text string) []string {
		l := &lexer{}
		if l.read("", text, 0) != nil {
			return []string{text}
		}
		var list []string
		for _, t := range l.tokens {
			if !t.separates() {
				list = append(list, t.text)
			}
		}
		return list
	}
	return slices.Equal(words(a), words(b))
}

// Apply writes the chain, and the main file where that does not include it.
func (s *State) Apply(ctx context.Context, sys system.System) (bool, error) {
	differences, err := s.Check(ctx, sys)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	text, change, err := mainText(sys)
	if err != nil {
		return false, err
	}
	if err := system.Replace(sys, s.file(), s.text(), 0o644); err != nil {
		return false, err
	}
	if change {
		// The mode that the package gives it, for it is a script.
		if err := system.Replace(sys, mainFile, text, 0o755); err != nil {
			return true, err
		}
	}
	left, err := s.Check(ctx, sys)
	if err != nil {
		return true, err
	}
	if len(left) > 0 {
		return true, fmt.Errorf(`what %s has already is in the way: %s; take that out, or write "exact: true"`, mainFile, left[0])
	}
	return true, nil
}
