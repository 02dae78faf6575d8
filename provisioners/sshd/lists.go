package sshd

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/provisioners/account"
	"imgbuild/provisioners/system"
)

// everyone tells whether a pattern of AllowUsers or AllowGroups takes every name,
// from wherever: ssh_config(5), PATTERNS. A pattern that takes every name from
// some addresses lists nobody either.
func everyone(pattern string) bool {
	name := pattern
	if at := strings.LastIndexByte(pattern, '@'); at >= 0 {
		name = pattern[:at]
	}
	return strings.Contains(name, "*") && strings.Trim(name, "*?") == ""
}

// idle tells why what lines say keeps nobody out, "" when it does: a list of who
// may that takes everyone, and one of who may not in which nobody is.
func (k *keyword) idle(lines []*line, users []account.Listed) string {
	for _, l := range lines {
		for _, pattern := range l.args {
			switch k.name {
			case "AllowUsers", "AllowGroups":
				if everyone(pattern) {
					return k.name + " " + pattern + ", which is everyone"
				}
			case "DenyUsers":
				name, _, _ := strings.Cut(pattern, "@")
				if slices.ContainsFunc(users, func(u account.Listed) bool { return like(name, u.Name) }) {
					return ""
				}
			case "DenyGroups":
				if slices.ContainsFunc(users, func(u account.Listed) bool {
					return like(pattern, u.Group) || slices.ContainsFunc(u.Groups, func(g string) bool { return like(pattern, g) })
				}) {
					return ""
				}
			}
		}
	}
	if strings.HasPrefix(k.name, "Deny") {
		return k.name + " without an account that there is"
	}
	return ""
}

// compareAnyOf tells whether at least one of several keywords says something, for
// connections that no Match block is for, and for those of each block.
func (d *Directive) compareAnyOf(r system.Reader, c *config, versions []*release, started []*line) ([]system.Difference, error) {
	users, _, err := account.List(r)
	if err != nil {
		return nil, fmt.Errorf("looking for whom sshd lets in: %w", err)
	}
	all := *c
	all.lines = slices.Concat(started, c.lines)
	want := "one of " + strings.Join(d.AnyOf, ", ") + " that keeps others out"
	none := func(matches func(*block) bool) *system.Difference {
		left := &system.Difference{Subject: mainFile + ": " + d.Keyword, Have: "none is set", Want: want}
		for _, name := range d.AnyOf {
			k := c.known.find(name)
			lines := all.effective(k, versions[0], matches).lines
			if len(lines) == 0 {
				continue
			}
			why := k.idle(lines, users)
			if why == "" {
				return nil
			}
			left.Subject, left.Have = lines[0].String()+": "+d.Keyword, why
		}
		return left
	}
	var list []system.Difference
	if left := none(forEveryone); left != nil {
		return append(list, *left), nil
	}
	var seen []*block
	for _, l := range c.lines {
		if l.always() || !slices.Contains(d.AnyOf, l.keyword.name) || slices.Contains(seen, l.within[len(l.within)-1]) {
			continue
		}
		last := l.within[len(l.within)-1]
		seen = append(seen, last)
		if left := none(func(b *block) bool { return slices.Contains(l.within, b) }); left != nil {
			left.Have += ", for Match " + strings.Join(last.criteria, " ")
			list = append(list, *left)
		}
	}
	return list, nil
}
