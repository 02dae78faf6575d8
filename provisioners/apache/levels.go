package apache

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// level is the server or a section in which directives are in effect together.
type level struct {
	section *Directive
	// host is the virtual host that it is or lies in, nil for none.
	host *Directive
	// at is its place among all levels.
	at int
	// path is that of a plain <Directory>.
	path string
}

func (l level) is(names ...string) bool { return l.section.Is(names...) }

// levels are the server and all sections, in order. Sections within sections
// (<If> in <Directory>) are levels of their own.
func (c *Config) levels() []level {
	if c.all != nil {
		return c.all
	}
	list := []level{{section: c.Root}}
	var walk func(d, host *Directive)
	walk = func(d, host *Directive) {
		for _, child := range d.Block {
			if !child.Section {
				continue
			}
			host := host
			if child.Is("VirtualHost") {
				host = child
			}
			list = append(list, level{section: child, host: host, at: len(list), path: directoryPath(child)})
			walk(child, host)
		}
	}
	walk(c.Root, nil)
	c.all = list
	return list
}

// directoryPath is the path of a plain <Directory>, "" for other sections and
// those with patterns.
func directoryPath(d *Directive) string {
	if !d.Is("Directory") || len(d.Args) != 1 || d.Args[0] == "~" || strings.ContainsAny(d.Args[0], "*?[") {
		return ""
	}
	return path.Clean(d.Args[0])
}

// about tells whether a section with a pattern has a say in a directory, and at
// which depth: httpd merges those with expressions after all others, those with
// wildcards in their order among the sections for as many directories. An
// expression that is PCRE's alone is taken to have a say. Requests come with and
// without a slash at the end.
func (l level) about(dir string) (depth int, is bool) {
	args := l.section.Args
	switch {
	case l.is("DirectoryMatch") && len(args) == 1, l.is("Directory") && len(args) == 2 && args[0] == "~":
		expression, err := regexp.Compile(args[len(args)-1])
		return maxDepth, err != nil || expression.MatchString(dir) || expression.MatchString(strings.TrimSuffix(dir, "/")+"/")
	case l.is("Directory") && len(args) == 1 && system.IsPattern(args[0]):
		for at := dir; ; at = path.Dir(at) {
			if matches, err := system.Match(path.Clean(args[0]), at); err != nil || matches {
				return parts(at), true
			} else if at == "/" {
				return 0, false
			}
		}
	}
	return 0, false
}

// parts is how many directories a path has.
func parts(dir string) int { return strings.Count(strings.TrimSuffix(dir, "/"), "/") }

// deepest is at which depth a plain section that has a say in the state's
// directory speaks of the directive, -1 if none does.
func (s *State) deepest(c *Config) int {
	depth := -1
	for _, l := range c.levels() {
		if l.path != "" && l.host == nil && within(s.Directory, l.path) && len(s.own(l)) > 0 {
			depth = max(depth, parts(l.path))
		}
	}
	return depth
}

// within tells whether a directory is another, or lies in it.
func within(dir, in string) bool {
	return dir == in || strings.HasPrefix(dir, strings.TrimSuffix(in, "/")+"/")
}

// scope are the levels in which the state must hold; those with patterns that
// are about its directory and speak of the directive come last.
func (s *State) scope(c *Config) []level {
	var list, patterns []level
	deepest := s.deepest(c)
	for _, l := range c.levels() {
		in := false
		switch {
		case s.Directory != "":
			if in = l.path == s.Directory; in || len(s.own(l)) == 0 {
				break
			}
			if depth, is := l.about(s.Directory); is && depth >= deepest {
				patterns = append(patterns, l)
			}
		case s.Each == "":
			in = l.section == c.Root || l.is("VirtualHost") || len(s.selected(s.own(l))) > 0
		case s.Each == "server":
			in = l.section == c.Root
		case s.Each == "virtualhost":
			in = l.is("VirtualHost")
		case s.Each == "tls-virtualhost":
			in = l.is("VirtualHost") && c.tls(l.section)
		case s.Each == "plain-virtualhost":
			in = l.is("VirtualHost") && !c.tls(l.section)
		case s.Each == "directory":
			in = l.is("Directory", "DirectoryMatch")
		case s.Each == "section":
			in = l.is("Directory", "DirectoryMatch", "Location", "LocationMatch", "Files", "FilesMatch", "If", "ElseIf", "Else")
		}
		if in {
			list = append(list, l)
		}
	}
	return append(list, patterns...)
}

// tls tells whether a virtual host speaks TLS.
func (c *Config) tls(host *Directive) bool {
	for _, section := range []*Directive{host, c.Root} {
		for _, d := range slices.Backward(section.Block) {
			if d.Is("SSLEngine") && len(d.Args) == 1 {
				return !strings.EqualFold(d.Args[0], "off")
			}
		}
	}
	return false
}

// own are the directives of a level with the state's name.
func (s *State) own(l level) []*Directive {
	var list []*Directive
	for _, d := range l.section.Block {
		if d.Is(s.name) {
			list = append(list, d)
		}
	}
	return list
}

// selected are the directives that the state's selector means.
func (s *State) selected(list []*Directive) []*Directive {
	var out []*Directive
	for _, d := range list {
		if len(d.Args) >= len(s.selector) && slices.EqualFunc(d.Args[:len(s.selector)], s.selector, strings.EqualFold) {
			out = append(out, d)
		}
	}
	return out
}

// chain are the levels that decide in l, the strongest first.
func (s *State) chain(c *Config, l level) []level {
	list := []level{l}
	if l.path != "" && factOf(s.name).dir {
		var dirs []level
		for _, other := range c.levels() {
			if other.path == "" || other.section == l.section || other.host != nil && other.host != l.host {
				continue
			}
			if other.path == l.path && precedes(other, l) || other.path != l.path && within(l.path, other.path) {
				dirs = append(dirs, other)
			}
		}
		// The longest path is the strongest, then the virtual host's, then the last.
		slices.SortFunc(dirs, func(a, b level) int {
			switch {
			case len(a.path) != len(b.path):
				return len(b.path) - len(a.path)
			case precedes(a, b):
				return 1
			}
			return -1
		})
		return append(list, dirs...)
	}
	if factOf(s.name).own {
		return list
	}
	if l.host != nil && l.section != l.host {
		list = append(list, level{section: l.host, host: l.host})
	}
	if l.section != c.Root {
		list = append(list, level{section: c.Root})
	}
	return list
}

// precedes tells whether a's settings are merged before b's, both of one path.
func precedes(a, b level) bool {
	if (a.host == nil) != (b.host == nil) {
		return a.host == nil
	}
	return a.at < b.at
}

// violation is one level in which the state does not hold.
type violation struct {
	at level
	// bad is what is in effect and not accepted, in source; nil when it is
	// missing.
	bad    *Directive
	source level
	have   string
	// vain tells that what is there has no effect for what stands beside it.
	vain bool
	// needs is the module that must be loaded first.
	needs string
}

func (v violation) difference(s *State) system.Difference {
	where := "the server"
	if v.at.section != nil && v.at.section.Name != "server" {
		where = "<" + strings.TrimSpace(v.at.section.Name+" "+strings.Join(v.at.section.Args, " ")) + ">"
	}
	if s.Directory != "" && v.at.section == nil {
		where = "<Directory " + s.Directory + ">"
	}
	place := ""
	switch {
	case v.bad != nil:
		place = fmt.Sprintf("%s:%d: ", v.bad.File, v.bad.Line)
	case v.at.section != nil && v.at.section.Line > 0:
		place = fmt.Sprintf("%s:%d: ", v.at.section.File, v.at.section.Line)
	}
	return system.Difference{Subject: place + s.Key + " in " + where, Have: v.have, Want: s.wants()}
}

// violations lists where the state does not hold.
func (s *State) violations(c *Config) []violation {
	scope := s.scope(c)
	if len(scope) == 0 && s.Needed {
		return []violation{{at: level{section: &Directive{Name: s.Each}}, have: "no such section"}}
	}
	known := factOf(s.name)
	if known.module != "" && !c.modules[known.module] {
		if known.idle || s.Absent || s.OnlyNot() {
			return nil
		}
		return []violation{{have: "unknown to httpd: the module " + known.module + " is not loaded", needs: known.module}}
	}
	if plain := func(l level) bool { return l.path != "" }; s.Directory != "" && !slices.ContainsFunc(scope, plain) && !s.Absent && !s.OnlyNot() {
		return []violation{{have: "no such section"}}
	}
	last := 0
	for i, l := range scope {
		if l.host == nil && l.path != "" && len(s.own(l)) > 0 {
			last = i
		}
	}
	var list []violation
	for i, l := range scope {
		if s.Directory != "" && l.host == nil && i < last {
			continue // a later section of the same path has the last word
		}
		if v, bad := s.violation(c, l); bad {
			list = append(list, v)
		}
	}
	return list
}

// violation judges one level.
func (s *State) violation(c *Config, l level) (violation, bool) {
	if len(s.With) > 0 {
		return s.sectionViolation(l)
	}
	known := factOf(s.name)
	v := violation{at: l, have: "not set"}
	if strings.EqualFold(s.name, "Options") {
		return s.optionsViolation(c, l)
	}
	for _, at := range s.chain(c, l) {
		selected := s.selected(s.own(at))
		if len(selected) == 0 {
			continue
		}
		v.source = at
		if s.Absent {
			v.bad, v.have = selected[0], "there"
			return v, true
		}
		// The last one of a kind counts; of those that add up, every one.
		if !known.many || len(s.selector) > 0 {
			selected = selected[len(selected)-1:]
		}
		for _, d := range selected {
			if args := d.Args[len(s.selector):]; !s.Accepts(args) {
				v.bad, v.have = d, fmt.Sprintf("%q", strings.Join(args, " "))
				return v, true
			}
		}
		return v, false
	}
	switch {
	case s.Absent, s.OnlyNot():
		return v, false
	case known.value != "" && len(s.selector) == 0:
		if s.Accepts(strings.Fields(known.value)) && !s.Present {
			return v, false
		}
		v.have = fmt.Sprintf("httpd's default, %q", known.value)
	}
	return v, true
}

// sectionViolation looks for the section that the state describes.
func (s *State) sectionViolation(l level) (violation, bool) {
	v := violation{at: l, have: "no such section"}
	for _, d := range s.own(l) {
		if !d.Section {
			continue
		}
		fits := slices.EqualFunc(d.Args, s.selector, strings.EqualFold)
		if d.Is("LimitExcept") {
			// Fewer methods left open are as good, in any order.
			fits = len(d.Args) > 0 && !slices.ContainsFunc(d.Args, func(a string) bool {
				return !slices.ContainsFunc(s.selector, func(w string) bool { return strings.EqualFold(a, w) })
			})
		}
		if !fits {
			continue
		}
		v.bad, v.source = d, l
		if grant := granting(l.section); d.Is("Limit", "LimitExcept") && grant != nil && s.With["Require"] != "" {
			v.vain, v.have = true, fmt.Sprintf("in vain beside \"Require %s\" in line %d, which grants every method", grant.Text, grant.Line)
			return v, true
		}
		for _, name := range s.withNames() {
			if !has(d, name, s.With[name]) {
				v.have = "a section without " + strings.TrimSpace(name+" "+s.With[name])
				return v, true
			}
		}
		return v, false
	}
	return v, true
}

// granting is a Require of a section that a Require inside one of its
// <LimitExcept> cannot take back: all that stand in one section are
// alternatives (mod_authz_core, "RequireAny").
func granting(section *Directive) *Directive {
	for _, d := range section.Block {
		if d.Is("Require") && len(d.Args) > 0 && !slices.ContainsFunc([]string{"all denied", "not", "method"}, func(harmless string) bool {
			return strings.HasPrefix(strings.ToLower(strings.Join(d.Args, " ")), harmless)
		}) {
			return d
		}
	}
	return nil
}

func has(section *Directive, name, args string) bool {
	return slices.ContainsFunc(section.Block, func(d *Directive) bool {
		return d.Is(name) && slices.EqualFunc(d.Args, words(args), strings.EqualFold)
	})
}
