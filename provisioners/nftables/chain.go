package nftables

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxChains bounds the chains of a ruleset.
const maxChains = 10_000

// make returns a chain, a new one when there is none by that name.
func (p *parser) make(family, table, name string) (*Chain, error) {
	if c := p.set.Chain(family, table, name); c != nil {
		return c, nil
	}
	if len(p.set.Chains) == maxChains {
		return nil, p.peek().errorf("more than %d chains", maxChains)
	}
	c := &Chain{Family: family, Table: table, Name: name}
	p.set.Chains = append(p.set.Chains, c)
	return c, nil
}

// chain reads a chain from its name on, with its block if it has one.
func (p *parser) chain(family, table string) error {
	name, err := p.word()
	if err != nil {
		return err
	}
	c, err := p.make(family, table, name)
	if err != nil {
		return err
	}
	if !p.peek().is("{") {
		left, err := p.rest()
		if err == nil && len(left) > 0 {
			err = left[0].errorf("chain %s: unexpected %q", name, left[0].text)
		}
		return err
	}
	p.at++
	for {
		p.skipSeparators()
		if p.at >= len(p.tokens) {
			return p.peek().errorf("chain %s is not closed", name)
		}
		t := p.peek()
		if t.is("}") {
			p.at++
			return nil
		}
		words, err := p.rest()
		if err != nil {
			return err
		}
		switch {
		case t.is("type"):
			err = c.hook(words)
		case t.is("policy"):
			if len(words) != 2 || words[1].text != "accept" && words[1].text != "drop" {
				err = t.errorf("expected policy accept or policy drop")
				break
			}
			c.Policy = words[1].text
		case t.is("comment"), t.is("flags"), t.is("devices"):
		case t.is("define"):
			err = t.errorf("a definition inside a chain is not understood")
		default:
			var text string
			if text, err = normal(words); err == nil && text != "" {
				c.Rules = append(c.Rules, text)
			}
		}
		if err == nil {
			err = p.ended()
		}
		if err != nil {
			return err
		}
	}
}

// hook reads "type T hook H [device D] priority P".
func (c *Chain) hook(words []token) error {
	where := words[0]
	was := *c
	priority := -1
	for i := 0; i < len(words); i++ {
		has := i+1 < len(words)
		switch {
		case words[i].is("type") && has && i == 0:
			c.Type = words[i+1].text
			i++
		case words[i].is("hook") && has:
			c.Hook = words[i+1].text
			i++
		case words[i].is("priority"):
			priority = i + 1
			i = len(words)
		case words[i].is("device") && has:
			i++
		case words[i].is("devices"):
			for i < len(words) && !words[i].is("}") {
				i++
			}
		default:
			return words[i].errorf("chain %s: unexpected %q", c.Name, words[i].text)
		}
	}
	if c.Type == "" || c.Hook == "" || priority < 0 || priority >= len(words) {
		return where.errorf("chain %s: expected type, hook and priority", c.Name)
	}
	var text []string
	for _, w := range words[priority:] {
		text = append(text, w.text)
	}
	n, err := Priority(c.Family, strings.Join(text, " "))
	if err != nil {
		return where.errorf("chain %s: %v", c.Name, err)
	}
	c.Priority = n
	if c.Policy == "" {
		c.Policy = "accept"
	}
	if was.Hook != "" && (was.Hook != c.Hook || was.Type != c.Type || was.Priority != c.Priority) {
		return where.errorf("chain %s is there already with another type, hook or priority, which nft refuses", c.Name)
	}
	return nil
}

// names of priorities, of nft(8), "Standard priority names".
var (
	priorities       = map[string]int{"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "security": 50, "srcnat": 100}
	bridgePriorities = map[string]int{"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}
)

// Priority reads a number, a name, or a name and a distance: "filter + 10".
func Priority(family, text string) (int, error) {
	compact := strings.ReplaceAll(text, " ", "")
	names := priorities
	if family == "bridge" {
		names = bridgePriorities
	}
	end := strings.IndexAny(compact, "+-")
	if end > 0 {
		base, known := names[compact[:end]]
		distance, err := strconv.Atoi(compact[end:])
		if known && err == nil {
			return base + distance, nil
		}
	} else if n, known := names[compact]; known {
		return n, nil
	}
	if n, err := strconv.Atoi(compact); err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("%q is no priority", text)
}

// rule reads one outside of a chain's block.
func (p *parser) rule(first bool) error {
	family := p.family()
	table, err := p.word()
	if err != nil {
		return err
	}
	name, err := p.word()
	if err != nil {
		return err
	}
	c := p.set.Chain(family, table, name)
	if c == nil {
		return p.peek().errorf("rule of the chain %s %s %s, which is not there", family, table, name)
	}
	if t := p.peek(); t.is("position") || t.is("handle") || t.is("index") {
		return t.errorf("a rule at a place that a number tells is not understood")
	}
	words, err := p.rest()
	if err != nil {
		return err
	}
	text, err := normal(words)
	switch {
	case err != nil || text == "":
	case first:
		c.Rules = slices.Insert(c.Rules, 0, text)
	default:
		c.Rules = append(c.Rules, text)
	}
	return err
}
