package sshd

import (
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// value is what a keyword comes to.
type value struct {
	text string
	// lines give it; none of a default.
	lines []*line
}

// effective computes what a keyword comes to for connections that the given
// blocks are for. As in OpenSSH there are two passes: what stands outside of
// blocks, or in blocks for everyone, where the first value counts; then what
// stands in any block that is for the connection, where again the first value
// counts, over that of the first pass.
func (c *config) effective(k *keyword, rel *release, matches func(*block) bool) value {
	global := c.collect(k, func(l *line) bool { return l.always() })
	if k.match {
		special := c.collect(k, func(l *line) bool {
			return len(l.within) > 0 && !slices.ContainsFunc(l.within, func(b *block) bool { return !b.everyone() && !matches(b) })
		})
		if len(special) > 0 {
			global = special
		}
	}
	if len(global) == 0 {
		return value{text: rel.defaults[k.name]}
	}
	return value{text: rel.valueOf(global), lines: global}
}

// collect returns the lines that count among those that apply: the first one,
// all of keywords that add up, and all of MaxStartups, of which the last one
// counts, against sshd_config(5).
func (c *config) collect(k *keyword, applies func(*line) bool) []*line {
	var list []*line
	for _, l := range c.lines {
		if l.keyword.name != k.name || !applies(l) {
			continue
		}
		if list = append(list, l); k.kind != sum && k.kind != startups {
			break
		}
	}
	return list
}

// forEveryone matches no block but those that are for all.
func forEveryone(*block) bool { return false }

// valueOf is what lines of one keyword say, in its canonical form.
func (rel *release) valueOf(lines []*line) string {
	if lines[0].keyword.kind == startups {
		return lastStartups(lines)
	}
	var args []string
	for _, l := range lines {
		args = append(args, l.args...)
	}
	return rel.canonical(lines[0].keyword, strings.Join(args, " "))
}

// lastStartups is what lines of MaxStartups come to: each replaces the numbers
// before it, but one number alone leaves the middle one.
func lastStartups(lines []*line) string {
	rate := "30"
	text := ""
	for _, l := range lines {
		text = l.args[0]
		if !strings.Contains(text, ":") {
			text = text + ":" + rate + ":" + text
		}
		if parts := strings.Split(text, ":"); len(parts) == 3 {
			rate = parts[1]
		}
	}
	return lines[0].keyword.canonical(text)
}

// canonical writes a value as values are compared and shown.
func (rel *release) canonical(k *keyword, text string) string {
	if k.kind == algorithms {
		return rel.expand(k, text)
	}
	return k.canonical(text)
}

// expand applies what +, - and ^ mean to the default list, and fills patterns
// in. Names that this version does not know stay: it would refuse them.
func (rel *release) expand(k *keyword, text string) string {
	if text == "" {
		return text
	}
	preset := strings.Split(rel.defaults[k.name], ",")
	given := strings.Split(text, ",")
	switch text[0] {
	case '-':
		given = strings.Split(text[1:], ",")
		return strings.Join(slices.DeleteFunc(preset, func(name string) bool {
			return slices.ContainsFunc(given, func(pattern string) bool { return like(pattern, name) })
		}), ",")
	case '+':
		given = append(preset, strings.Split(text[1:], ",")...)
	case '^':
		given = append(strings.Split(text[1:], ","), preset...)
	}
	var list []string
	for _, pattern := range given {
		found := false
		for _, name := range rel.algorithms[k.name] {
			if like(pattern, name) {
				found = true
				if !slices.Contains(list, name) {
					list = append(list, name)
				}
			}
		}
		if !found && !slices.Contains(list, pattern) {
			list = append(list, pattern)
		}
	}
	return strings.Join(list, ",")
}

// like matches a pattern of * and ?; ssh_config(5), PATTERNS.
func like(pattern, name string) bool {
	matched, err := path.Match(strings.NewReplacer(`\`, `\\`, "[", `\[`).Replace(pattern), name)
	return err == nil && matched
}

// installed are the versions that a system may have: the one of its release,
// else all that are known.
func installed(r system.Reader) ([]*release, error) {
	all := releases()
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, there, err := system.ReadText(r, name, edit.MaxFile)
		if err != nil {
			return nil, err
		}
		for _, l := range edit.Lines(text) {
			id, ok := strings.CutPrefix(strings.TrimSpace(l), "VERSION_ID=")
			for _, rel := range all {
				if ok && strings.Trim(id, `"'`) == rel.debian {
					return []*release{rel}, nil
				}
			}
		}
		if there {
			break
		}
	}
	return all, nil
}
