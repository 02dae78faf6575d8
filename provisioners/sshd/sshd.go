// Package sshd holds the resource of one keyword of the SSH server's
// configuration, judged by the value that sshd itself comes to: the first one
// counts, includes stand where they are written, Match blocks override, lists
// build on the defaults of the version that the release has. It never runs
// sshd; sshd_config(5) and sshd -T of Debian 12 and 13 are what it agrees with.
package sshd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// Directive is what a keyword comes to for every connection: for those that no
// Match block is for, and in every block that names it. Times are compared in
// seconds, the three numbers of MaxStartups each with its own, lists of
// algorithms as they are after +, - and ^. Note that 0 means "no limit" to
// LoginGraceTime and to ClientAliveInterval.
//
// With AnyOf it is that at least one of several keywords is there, for every
// connection; the key is then any name. A list of who may log in that takes
// everyone, and one of who may not that nobody is in, is none. Else is what is
// written when none is there.
type Directive struct {
	Keyword string `json:"-"`
	// Explicit asks that the main file says so itself.
	Explicit bool                 `json:"explicit,omitempty" jsonschema_description:"the main file says it too, for a default may change and people may read no other file"`
	AnyOf    []string             `json:"any-of,omitempty" jsonschema_description:"keywords of which at least one is there; a list of who may or may not log in counts when it keeps somebody out"`
	Else     map[string]term.Text `json:"else,omitempty" jsonschema_description:"the one keyword of any-of that is written when none is there, with its value"`
	term.Bounds

	keyword *keyword
}

// New decodes the directive whose keyword is e.Key; a text is its value.
func New(e node.Entry) (*Directive, error) {
	d := &Directive{Keyword: e.Key}
	n := term.Short(e.Value)
	p := &node.Problems{}
	if n.Get("any-of") != nil {
		p.Add(d.decodeAnyOf(e, n))
		return d, p.Err()
	}
	if err := node.Decode(n, d); err != nil {
		return nil, err
	}
	if d.Else != nil {
		p.Addf(n.At("else"), `"else" goes with "any-of" only`)
	}
	if d.keyword = find(e.Key); d.keyword == nil {
		p.Addf(e.Pos, "unknown keyword %q of sshd%s", e.Key, node.Suggest(e.Key, names()))
		return nil, p.Err()
	}
	d.Keyword = d.keyword.name
	for _, rel := range releases() {
		p.Add(d.CheckNumbers(n, d.sense(rel)))
		if p.Err() != nil {
			break
		}
	}
	for _, one := range d.Texts() {
		p.Add(d.keyword.checkText(n.Pos, string(one)))
	}
	if d.Explicit && d.Absent {
		p.Addf(n.At("explicit"), `"explicit" does not go with "absent"`)
	}
	return d, p.Err()
}

// anyOf is the form of a directive with AnyOf, decoded apart: no bounds go with
// it.
type anyOf struct {
	AnyOf []string             `json:"any-of" jsonschema:"required"`
	Else  map[string]term.Text `json:"else"`
}

func (d *Directive) decodeAnyOf(e node.Entry, n *node.Node) error {
	var form anyOf
	if err := node.Decode(n, &form); err != nil {
		return err
	}
	p := &node.Problems{}
	if find(e.Key) != nil {
		p.Addf(e.Pos, `"any-of" is about several keywords; give it a name that is none`)
	}
	for i, name := range form.AnyOf {
		k := find(name)
		if k == nil {
			p.Addf(n.Get("any-of").Items[i].Pos, "unknown keyword %q of sshd%s", name, node.Suggest(name, names()))
			continue
		}
		d.AnyOf = append(d.AnyOf, k.name)
	}
	if len(form.AnyOf) == 0 {
		p.Addf(n.At("any-of"), `"any-of" is empty; nothing would do`)
	}
	if len(form.Else) > 1 {
		p.Addf(n.At("else"), `"else" has one keyword`)
	}
	for name, text := range form.Else {
		at := n.Get("else").At(name)
		k := find(name)
		if k == nil || !slices.Contains(d.AnyOf, k.name) {
			p.Addf(at, "%q is not in \"any-of\"%s", name, node.Suggest(name, d.AnyOf))
			continue
		}
		p.Add(k.checkText(at, string(text)))
		d.Else = map[string]term.Text{k.name: text}
	}
	return p.Err()
}

// checkText refuses a value that no line can give the keyword.
func (k *keyword) checkText(pos node.Position, text string) error {
	args, err := arguments(k.written(text))
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return node.Errorf(pos, "%s cannot have the value %q", k.name, text)
	}
	if err != nil || strings.TrimSpace(text) == "" || strings.Join(args, " ") != text && k.single() {
		return node.Errorf(pos, "%s cannot have the value %q", k.name, text)
	}
	if _, ok := k.measure(text); !ok && (k.kind == number || k.kind == span || k.kind == startups) && text != "none" {
		return node.Errorf(pos, "%q is not a number that %s can have", text, k.name)
	}
	return nil
}

// written are the arguments of a line that gives the keyword a value.
func (k *keyword) written(text string) string {
	if k.single() {
		return quoted(text)
	}
	return text
}

// Identity is the keyword's.
func (d *Directive) Identity() string { return "sshd " + d.Keyword }

func (d *Directive) sense(rel *release) term.Sense {
	s := term.Sense{Measure: d.keyword.measure, Equal: func(a, b string) bool {
		return a == b || rel.canonical(d.keyword, a) == rel.canonical(d.keyword, b)
	}}
	if d.IsList() {
		s.Equal = nil
	}
	if d.keyword.kind == words || d.keyword.kind == sum {
		s.Separator = " "
	}
	return s
}

// Check tells how the effective value differs.
func (d *Directive) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, err := read(r)
	if err != nil {
		return nil, err
	}
	versions, err := installed(r)
	if err != nil {
		return nil, err
	}
	found, lines, err := d.commandLine(r, versions)
	if err != nil {
		return nil, err
	}
	found = append(found, c.lent...)
	if d.AnyOf == nil {
		return append(d.compare(c, versions), found...), nil
	}
	list, err := d.compareAnyOf(r, c, versions, lines)
	return append(list, found...), err
}

func (d *Directive) compare(c *config, versions []*release) []system.Difference {
	var list []system.Difference
	differ := func(subject, have, want string) {
		list = append(list, system.Difference{Subject: subject + ": " + d.Keyword, Have: shown(have), Want: want})
	}
	for _, rel := range versions {
		v := c.effective(d.keyword, rel, forEveryone)
		switch {
		case d.Absent && len(v.lines) == 0, !d.Absent && d.Holds(v.text, d.sense(rel)):
			continue
		case len(v.lines) > 0:
			differ(v.lines[0].String(), v.text, d.String())
		case v.text == "":
			differ(mainFile, "not set", d.String())
		default:
			differ(mainFile, v.text+", the default of "+rel.name, d.String())
		}
		break
	}
	for _, l := range d.weakening(c, versions) {
		if !l.always() {
			differ(l.String(), versions[0].valueOf([]*line{l})+" for Match "+strings.Join(l.within[len(l.within)-1].criteria, " "), d.String())
		}
	}
	if d.Explicit {
		own := d.inMain(c)
		switch wrong := slices.IndexFunc(own, func(l *line) bool { return !d.holds(l, versions) }); {
		case len(own) == 0:
			differ(mainFile, "not in the file", d.String()+", there as well")
		case wrong >= 0 && len(list) == 0:
			differ(own[wrong].String(), versions[0].valueOf([]*line{own[wrong]})+", though without effect", d.String())
		}
	}
	return list
}

func shown(text string) string {
	if len(text) > 300 {
		return text[:300] + "…"
	}
	return text
}

// holds tells whether a line alone says what does.
func (d *Directive) holds(l *line, versions []*release) bool {
	if d.Absent {
		return false
	}
	for _, rel := range versions {
		if !d.Holds(rel.valueOf([]*line{l}), d.sense(rel)) {
			return false
		}
	}
	return true
}

// weakening are the lines in Match blocks that do not do.
func (d *Directive) weakening(c *config, versions []*release) []*line {
	var list []*line
	for _, l := range c.lines {
		if l.keyword.name == d.Keyword && len(l.within) > 0 && !d.holds(l, versions) {
			list = append(list, l)
		}
	}
	return list
}

// inMain are the lines of the main file outside of blocks.
func (d *Directive) inMain(c *config) []*line {
	var list []*line
	for _, l := range c.lines {
		if l.keyword.name == d.Keyword && l.file == mainFile && len(l.within) == 0 {
			list = append(list, l)
		}
	}
	return list
}

// Apply changes the configuration so that the value does.
func (d *Directive) Apply(ctx context.Context, s system.System) (bool, error) {
	found, err := d.Check(ctx, s)
	if err != nil || len(found) == 0 {
		return false, err
	}
	versions, err := installed(s)
	if err != nil {
		return false, err
	}
	draft := edit.New(s)
	if err := d.revise(draft, versions); err != nil {
		return false, err
	}
	left, err := d.Check(ctx, draft)
	if err != nil {
		return false, err
	}
	if len(left) > 0 {
		return false, fmt.Errorf("editing sshd's configuration leaves a difference: %s", left[0])
	}
	return draft.Save(s)
}

// alternative is the directive that "else" asks for.
func (d *Directive) alternative() *Directive {
	for _, name := range slices.Sorted(maps.Keys(d.Else)) {
		text := d.Else[name]
		return &Directive{Keyword: name, keyword: find(name), Bounds: term.Bounds{Value: &text}}
	}
	return nil
}
