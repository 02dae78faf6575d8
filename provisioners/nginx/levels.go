package nginx

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// level is a block whose directives are in effect together, with the block
// that it inherits from.
type level struct {
	// kind is main, events, http, server, location, if or limit_except.
	kind   string
	block  *Directive
	parent *level
	// inside is the server that a level of a server belongs to.
	inside *Directive
	// own are the level's directives of the name that was asked for.
	own []*Directive
}

// levels are the blocks of a configuration, outermost first, with their
// directives of one name.
func levels(root *Directive, name string) []*level {
	var list []*level
	var walk func(d *Directive, kind string, parent *level, inside *Directive)
	walk = func(d *Directive, kind string, parent *level, inside *Directive) {
		l := &level{kind: kind, block: d, parent: parent, inside: inside}
		list = append(list, l)
		for _, c := range d.Block {
			if c.Name == name {
				l.own = append(l.own, c)
			}
			if !c.braces {
				continue
			}
			switch {
			case kind == "main" && (c.Name == "http" || c.Name == "events"):
				walk(c, c.Name, l, nil)
			case kind == "http" && c.Name == "server":
				walk(c, c.Name, l, c)
			case inside != nil && (c.Name == "location" || c.Name == "if" || c.Name == "limit_except"):
				walk(c, c.Name, l, inside)
			}
		}
	}
	walk(root, "main", nil, nil)
	return list
}

// scope are the levels in which the state must hold.
func (s *State) scope(root *Directive) []*level {
	all := levels(root, s.name)
	var defaults []*Directive
	if s.Each == "default-server" {
		defaults = defaultServers(all)
	}
	top := factOf(s.name).top
	servers := map[*Directive]bool{}
	var list []*level
	for _, l := range all {
		in := false
		switch s.Each {
		case "":
			// What is of main is in effect wherever it may be written.
			switch top {
			case "events":
				in = l.kind == "events"
			case "main":
				in = l.kind == "main" || s.name == "error_log" && l.kind != "events"
			default:
				in = l.kind == "http" || l.inside != nil && !factOf(s.name).own
			}
		case "server", "location":
			in = l.kind == s.Each
		case "tls-server":
			in = l.kind == "server" && listensTLS(l.block)
		case "plain-server":
			in = l.kind == "server" && !listensTLS(l.block)
		case "default-server":
			in = l.kind == "server" && slices.Contains(defaults, l.block)
		case "proxy":
			in = l.inside != nil && slices.ContainsFunc(l.block.Block, func(d *Directive) bool { return d.Name == "proxy_pass" })
		}
		if in && l.kind == "server" {
			servers[l.block] = true
		}
		// A block of the server that says something of its own does not inherit.
		in = in || servers[l.inside] && len(l.own) > 0 && len(s.With) == 0 && !factOf(s.name).own
		if in {
			list = append(list, l)
		}
	}
	return list
}

func listensTLS(server *Directive) bool {
	return slices.ContainsFunc(server.Block, func(d *Directive) bool {
		return d.Name == "listen" && (slices.Contains(d.Args, "ssl") || slices.Contains(d.Args, "quic")) ||
			d.Name == "ssl" && len(d.Args) == 1 && strings.EqualFold(d.Args[0], "on")
	})
}

// defaultServers are the servers that answer, for some address and port,
// requests for names that nobody has: the one that says so, else the first
// (ngx_http_core_module, "listen").
func defaultServers(all []*level) []*Directive {
	first, chosen := map[string]*Directive{}, map[string]*Directive{}
	var order []string
	for _, l := range all {
		if l.kind != "server" {
			continue
		}
		listens := [][]string{}
		for _, d := range l.block.Block {
			if d.Name == "listen" && len(d.Args) > 0 {
				listens = append(listens, d.Args)
			}
		}
		if len(listens) == 0 {
			listens = [][]string{{"*:80"}}
		}
		for _, args := range listens {
			address := listenAddress(args[0])
			if first[address] == nil {
				first[address] = l.block
				order = append(order, address)
			}
			if slices.Contains(args, "default_server") || slices.Contains(args, "default") {
				chosen[address] = l.block
			}
		}
	}
	var list []*Directive
	for _, address := range order {
		server := first[address]
		if chosen[address] != nil {
			server = chosen[address]
		}
		if !slices.Contains(list, server) {
			list = append(list, server)
		}
	}
	return list
}

// listenAddress brings the forms of one address and port together.
func listenAddress(text string) string {
	if strings.HasPrefix(text, "unix:") {
		return text
	}
	if !strings.ContainsAny(text, ".:*[") {
		if strings.Trim(text, "0123456789") == "" {
			return "*:" + text
		}
		return text + ":80"
	}
	if i := strings.LastIndexByte(text, ':'); i < 0 || strings.HasSuffix(text, "]") {
		text += ":80"
	}
	return strings.Replace(text, "0.0.0.0:", "*:", 1)
}

// source is the level whose directives are in effect in l: of those that may
// stand several times, a level that has any inherits none. It is nil when none
// is written.
func (s *State) source(l *level) (*level, []*Directive) {
	for at := l; at != nil; at = at.parent {
		if len(at.own) > 0 {
			return at, at.own
		}
		if factOf(s.name).own {
			break
		}
	}
	return nil, nil
}

// selected are the directives that the state's selector means.
func (s *State) selected(list []*Directive) []*Directive {
	var out []*Directive
	for _, d := range list {
		if len(d.Args) < len(s.selector) {
			continue
		}
		fits := true
		for i, want := range s.selector {
			have := d.Args[i]
			// The names of headers have no case.
			fits = fits && (have == want || strings.Contains(s.name, "header") && strings.EqualFold(have, want))
		}
		if fits {
			out = append(out, d)
		}
	}
	return out
}

// violation is one level in which the state does not hold.
type violation struct {
	at *level
	// source is where what is in effect is written, with all of the name; nil
	// for nothing.
	source   *level
	siblings []*Directive
	// bad are those that the state does not accept; none when it is missing.
	bad  []*Directive
	have string
}

func (v violation) difference(s *State, main string) system.Difference {
	where := v.at.kind
	if len(v.at.block.Args) > 0 {
		where += " " + strings.Join(v.at.block.Args, " ")
	}
	subject := fmt.Sprintf("%s: %s in %s", main, s.Key, where)
	switch {
	case len(v.bad) > 0:
		subject = fmt.Sprintf("%s:%d: %s in %s", v.bad[0].File, v.bad[0].Line, s.Key, where)
	case v.at.inside != nil:
		subject = fmt.Sprintf("%s:%d: %s in %s", v.at.block.File, v.at.block.Line, s.Key, where)
	}
	return system.Difference{Subject: subject, Have: v.have, Want: s.wants()}
}

// violations lists where the state does not hold.
func (s *State) violations(root *Directive) []violation {
	var list []violation
	scope := s.scope(root)
	if len(scope) == 0 && s.Needed {
		return []violation{{at: &level{kind: s.Each, block: root}, have: "no such block"}}
	}
	if len(scope) == 0 && s.Each == "" && !s.Absent {
		return []violation{{at: &level{kind: factOf(s.name).top, block: root}, have: "no such block"}}
	}
	for _, l := range scope {
		if len(s.With) > 0 {
			if s.name == "limit_except" && closed(l.block) {
				continue
			}
			if v, bad := s.blockViolation(l); bad {
				list = append(list, v)
			}
			continue
		}
		source, siblings := s.source(l)
		selected := s.selected(siblings)
		v := violation{at: l, source: source, siblings: siblings}
		switch {
		case s.Absent:
			v.bad = selected
			if len(selected) == 0 {
				continue
			}
		case len(selected) > 0:
			for _, d := range selected {
				if !s.Accepts(d.Args[len(s.selector):]) {
					v.bad = append(v.bad, d)
				}
			}
			if len(v.bad) == 0 {
				continue
			}
		case len(siblings) == 0 && len(s.selector) == 0 && factOf(s.name).value != "":
			v.have = factOf(s.name).value
			if !s.Present && s.Accepts(strings.Fields(v.have)) {
				continue
			}
			v.have = fmt.Sprintf("nginx's default, %q", v.have)
		case s.OnlyNot():
			continue // what is not there has no forbidden value
		default:
			v.have = "not set"
		}
		if len(v.bad) > 0 {
			v.have = fmt.Sprintf("%q", strings.Join(v.bad[0].Args[len(s.selector):], " "))
			if v.bad[0].braces {
				v.have = "a block"
			}
		}
		list = append(list, v)
	}
	return list
}

// closed tells whether a block serves nothing whatever the method is.
func closed(block *Directive) bool {
	denies := false
	for _, d := range block.Block {
		switch d.Name {
		case "return", "internal":
			return true
		case "deny":
			denies = denies || same(d.Args, []string{"all"})
		case "allow", "satisfy":
			return false
		}
	}
	return denies
}

// blockViolation looks for the block that the state describes.
func (s *State) blockViolation(l *level) (violation, bool) {
	v := violation{at: l, have: "no such block"}
	for _, d := range l.own {
		if !d.braces {
			continue
		}
		fits := same(d.Args, s.selector)
		if s.name == "limit_except" {
			// Fewer methods left open are as good, in any order.
			fits = len(d.Args) > 0 && !slices.ContainsFunc(d.Args, func(a string) bool {
				return !slices.ContainsFunc(s.selector, func(w string) bool { return strings.EqualFold(a, w) })
			})
			v.bad = []*Directive{d}
		}
		if !fits {
			continue
		}
		v.source, v.bad = l, []*Directive{d}
		missing := s.missing(d)
		if missing == "" {
			return v, false
		}
		v.have = "a block without " + missing
		return v, true
	}
	if len(v.bad) > 0 {
		v.have = strings.Join(v.bad[0].Args, " ")
	}
	return v, true
}

// missing is the first directive that a block should have and has not.
func (s *State) missing(block *Directive) string {
	for _, name := range s.withNames() {
		want, _ := words(s.With[name])
		if !slices.ContainsFunc(block.Block, func(d *Directive) bool { return d.Name == name && same(d.Args, want) }) {
			return strings.TrimSpace(name + " " + s.With[name])
		}
	}
	return ""
}
