package setting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/term"
)

// iptables reads what iptables-restore(8) loads: the saved rules of
// iptables-persistent, and the files of ufw. A chain is called by its table and
// name, "filter INPUT": its value is what becomes of a packet that no rule with a
// condition decides on, which is the policy or the verdict of a rule without one.
// A rule is called by its chain and its conditions, "filter INPUT -i lo", and its
// value is its target; of several the first counts, and none after a rule that
// ends every packet.
//
// A line that would keep a table from being loaded is an error, and so is what
// changes rules that were loaded before, or is not known here.
type iptables struct {
	// six says that the rules are of IPv6.
	six bool
	// ufw says that ufw's scripts have made chains of theirs before.
	ufw bool
}

// iptablesFiles are the files of rules that packages load, by their paths.
var iptablesFiles = map[string]iptables{
	"/etc/iptables/rules.v4": {}, "/etc/iptables/rules.v6": {six: true},
	"/etc/ufw/before.rules": {ufw: true}, "/etc/ufw/before6.rules": {ufw: true, six: true},
	"/etc/ufw/after.rules": {ufw: true}, "/etc/ufw/after6.rules": {ufw: true, six: true},
}

// iptablesBuiltin are the chains that a table has by itself.
var iptablesBuiltin = map[string][]string{
	"filter": {"INPUT", "FORWARD", "OUTPUT"}, "security": {"INPUT", "FORWARD", "OUTPUT"}, "raw": {"PREROUTING", "OUTPUT"},
	"nat": {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}, "mangle": {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"},
}

var (
	iptablesChain = regexp.MustCompile(`^:([A-Za-z0-9_.-]{1,28}) (ACCEPT|DROP|-)( \[[0-9]+:[0-9]+\])?$`)
	iptablesCount = regexp.MustCompile(`^\[[0-9]+:[0-9]+\] `)
	iptablesKey   = regexp.MustCompile(`^(filter|nat|mangle|raw|security) [A-Za-z0-9_.-]+( [ !A-Za-z0-9_.:,/%+-]+)?$`)
)

func (iptables) sense() term.Sense { return term.Sense{} }

// name brings the conditions of a key into their order.
func (g iptables) name(key string) string {
	table, rest, _ := strings.Cut(key, " ")
	chain, conditions, _ := strings.Cut(rest, " ")
	rule, err := g.rule(conditions)
	if err != nil {
		return key
	}
	return strings.TrimRight(table+" "+chain+" "+rule.conditions, " ")
}

func (g iptables) check(key, value string) error {
	_, rest, _ := strings.Cut(key, " ")
	_, conditions, _ := strings.Cut(rest, " ")
	if _, err := g.rule(conditions); err != nil {
		return err
	}
	rule, err := g.rule("-j " + value)
	if err == nil && rule.target == "" {
		err = errors.New("it is no target")
	}
	return err
}

// iptable is a table that is being read.
type iptable struct {
	name string
	// chains are those that there are, decided those in which no rule counts any
	// more.
	chains, decided map[string]bool
	// accepts are those that accept what none of their rules with a condition
	// decides on.
	accepts map[string]bool
	// jumps are the chains that rules name, with the lines that do.
	jumps map[string]int
	// through are the chains that every packet goes to.
	through map[string]bool
}

func (g iptables) parse(text string) ([]assignment, error) {
	seen := map[string]bool{}
	done := map[string]bool{}
	var open *iptable
	number := 0
	list, err := eachLine(text, func(begin, end int) ([]assignment, error) {
		number++
		line := text[begin:end]
		switch {
		case line == "" || line[0] == '#':
			return nil, nil
		case open == nil && line[0] == '*':
			name := strings.TrimRight(line[1:], " ")
			if iptablesBuiltin[name] == nil || done[name] {
				return nil, errors.New("it begins no table, or one for a second time")
			}
			done[name] = true
			open = &iptable{name: name, chains: map[string]bool{}, decided: map[string]bool{}, accepts: map[string]bool{}, jumps: map[string]int{}, through: map[string]bool{}}
			return nil, nil
		case open == nil:
			return nil, errors.New("it is in no table")
		case line == "COMMIT":
			for chain, at := range open.jumps {
				if open.through[chain] && open.accepts[chain] {
					return nil, fmt.Errorf("what another chain does with every packet is decided on in the one that line %d jumps to, which is not followed", at)
				}
				if !open.chains[chain] && !(g.ufw && strings.HasPrefix(chain, "ufw")) {
					return nil, fmt.Errorf("there is no chain that line %d jumps to", at)
				}
			}
			open = nil
			return nil, nil
		case line[0] == ':':
			return open.chain(begin, end, line)
		}
		a, err := g.entry(open, number, begin, end, line)
		if err != nil || a == nil || seen[a.key] && !strings.HasSuffix(a.key, " ") {
			return nil, err
		}
		seen[a.key] = true
		a.key = strings.TrimRight(a.key, " ")
		return []assignment{*a}, nil
	})
	if err == nil && open != nil {
		err = fmt.Errorf("the table %s has no COMMIT", open.name)
	}
	return list, err
}

// chain reads the line of a chain, ":INPUT DROP [0:0]".
func (t *iptable) chain(begin, end int, line string) ([]assignment, error) {
	at := iptablesChain.FindStringSubmatchIndex(line)
	if at == nil {
		return nil, errors.New("it is no chain with a policy and counters")
	}
	name, policy := line[at[2]:at[3]], line[at[4]:at[5]]
	if slices.Contains(iptablesBuiltin[t.name], name) != (policy != "-") {
		return nil, errors.New("only a chain that the kernel has has a policy, and it has to")
	}
	if t.chains[name] {
		return nil, errors.New("the chain is there already")
	}
	t.chains[name] = true
	if policy == "-" {
		return nil, nil
	}
	return []assignment{{key: t.name + " " + name, value: policy, begin: begin, end: end, from: begin + at[4], to: begin + at[5]}}, nil
}

// entry reads a rule; nil is one that never counts. The key of a rule without
// conditions, which decides for its chain, ends with a space.
func (g iptables) entry(t *iptable, number, begin, end int, line string) (*assignment, error) {
	skip := len(iptablesCount.FindString(line))
	rest, ok := strings.CutPrefix(line[skip:], "-A ")
	if !ok {
		return nil, errors.New("it appends no rule")
	}
	chain, rest, _ := strings.Cut(rest, " ")
	if !t.chains[chain] {
		return nil, errors.New("there is no chain to append it to")
	}
	rule, err := g.rule(rest)
	if err != nil {
		return nil, err
	}
	if rule.jumps {
		t.jumps[rule.target] = number
	}
	if rule.target == "" || t.decided[chain] {
		return nil, nil
	}
	t.decided[chain] = rule.conditions == "" && rule.ends
	t.accepts[chain] = t.decided[chain] && rule.target == "ACCEPT"
	if rule.conditions == "" && !rule.ends {
		t.through[rule.target] = true
		return nil, nil
	}
	from := end - len(rest) + rule.at
	return &assignment{key: t.name + " " + chain + " " + rule.conditions, value: rule.target, begin: begin, end: end, from: from, to: end}, nil
}

func (iptables) replace(text string, a assignment, value string) string {
	return splice(text, a.from, a.to, value)
}

// insert writes a rule before the others of its chain, and a chain, or a table,
// that is missing. What the server says to itself goes on being accepted first: a
// rule that refuses comes after the one that accepts it.
func (g iptables) insert(text, key, value string) string {
	table, rest, _ := strings.Cut(key, " ")
	chain, conditions, isRule := strings.Cut(rest, " ")
	policy := value
	if isRule {
		policy = "-"
		if slices.Contains(iptablesBuiltin[table], chain) {
			policy = "ACCEPT"
		}
	}
	lines := edit.Lines(text)
	find := func(from int, prefix string) int {
		for i := from; i < len(lines); i++ {
			if strings.HasPrefix(lines[i], prefix) {
				return i
			}
			if strings.HasPrefix(lines[i], "COMMIT") {
				break
			}
		}
		return -1
	}
	begin := slices.IndexFunc(lines, func(line string) bool { return strings.TrimRight(line, " \n") == "*"+table })
	if begin < 0 {
		return g.insert(edit.Replace(text, len(lines), len(lines), "*"+table, "COMMIT"), key, value)
	}
	if find(begin, ":"+chain+" ") < 0 {
		return g.insertAfter(text, begin+1, ":"+chain+" "+policy+" [0:0]", key, value, isRule)
	}
	if !isRule {
		return text
	}
	last := begin + 1
	for i := begin + 1; find(i, ":") >= 0; i = last {
		last = find(i, ":") + 1
	}
	if first := find(begin, "-A "+chain+" "); first >= 0 {
		last = first
	}
	if own := find(begin, "-A "+chain+" -i lo -j ACCEPT"); own >= 0 && value != "ACCEPT" {
		last = own + 1
	}
	return edit.Replace(text, last, last, "-A "+chain+" "+conditions+" -j "+value)
}

// insertAfter writes the line of a chain, and then the rule.
func (g iptables) insertAfter(text string, at int, line, key, value string, isRule bool) string {
	text = edit.Replace(text, at, at, line)
	if isRule {
		return g.insert(text, key, value)
	}
	return text
}
