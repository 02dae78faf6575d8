// Package setting holds the resources that are one value in a configuration
// file of a plain form: a key of login.defs, of a systemd daemon or unit, of
// PAM's modules, of limits.conf. A check understands what the program itself
// would read, drop-ins and order included; what is applied edits one line and
// keeps the rest byte for byte. It knows no program's defaults: a key that
// nothing gives a value is not set.
package setting

import (
	"context"
	"errors"
	"path"
	"regexp"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/kernel"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// Setting is the value of one key in one configuration file. With the file its
// drop-in directories are read where the program does: those of systemd's
// files, of limits.conf and of pwquality.conf.
//
// What is applied goes to DropIn if that is given; else in place of the line
// that gives the value now; else of a comment that shows the default; else to
// the end. A value that is read after all of them is changed where it stands.
type Setting struct {
	Name   string `json:"-"`
	Path   string `json:"path" jsonschema:"required" jsonschema_description:"the main file, in /etc"`
	Format string `json:"format" jsonschema:"required,enum=words,enum=equals,enum=ini,enum=limits,enum=iptables" jsonschema_description:"words: login.defs(5), chrony.conf(5), apt.conf(5), aide.conf(5); equals: key = value of PAM, auditd, postfix, /etc/default; ini: systemd.syntax(7); limits: limits.conf(5); iptables: saved rules, iptables-restore(8)"`
	Key    string `json:"key" jsonschema:"required" jsonschema_description:"the key; of ini Section.Key, of limits domain, type and item; of iptables table, chain and conditions"`
	DropIn string `json:"drop-in,omitempty" jsonschema_description:"name of a file in the file's drop-in directory that is written instead, such as 50-imgbuild.conf"`
	// Explicit asks that the main file says so itself.
	Explicit bool `json:"explicit,omitempty" jsonschema_description:"the main file says it too, for people may read no other file"`
	term.Bounds

	grammar grammar
}

var (
	plainKey  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	iniKey    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*\.[A-Za-z][A-Za-z0-9-]*$`)
	limitsKey = regexp.MustCompile(`^[^\s#]+\s+(hard|soft)\s+[a-z]+$`)
	chronyKey = regexp.MustCompile(`^([a-z_]+|(server|pool|peer) [A-Za-z0-9.:-]+)$`)
	dropName  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*\.conf$`)
)

// New decodes the setting called e.Key.
func New(e node.Entry) (*Setting, error) {
	s := &Setting{Name: e.Key}
	if err := node.Decode(e.Value, s); err != nil {
		return nil, err
	}
	n, p := e.Value, &node.Problems{}
	if !strings.HasPrefix(s.Path, "/etc/") && s.Path != kernel.MenuPath || path.Clean(s.Path) != s.Path || strings.ContainsAny(s.Path, "\x00\n") || len(s.Path) > 1024 {
		p.Addf(n.Get("path").Pos, "expected a clean absolute path below /etc, found %q", s.Path)
	}
	form, example := plainKey, "PASS_MAX_DAYS"
	switch {
	case s.Path == chronyConf:
		form, example = chronyKey, "pool ntp.example.org"
	case s.Path == aideMain:
		form, example = aidePath, "/usr/sbin/auditctl"
	case s.Path == aptMain:
		form, example = aptName, "APT::Install-Recommends"
	case s.Format == "ini":
		form, example = iniKey, "Journal.Storage"
	case s.Format == "iptables":
		form, example = iptablesKey, "filter INPUT"
	case s.Format == "limits":
		form, example = limitsKey, "* hard core"
	}
	if !form.MatchString(s.Key) || len(s.Key) > 255 {
		p.Addf(n.Get("key").Pos, "expected a key such as %q, found %q", example, s.Key)
	}
	if s.DropIn != "" {
		if !dropName.MatchString(s.DropIn) {
			p.Addf(n.Get("drop-in").Pos, "expected a file name that ends in .conf, found %q", s.DropIn)
		}
		if len(layoutOf(s.Format, s.Path).dirs) == 0 {
			p.Addf(n.At("drop-in"), "%s has no directory of drop-ins", s.Path)
		}
	}
	if s.Explicit && s.Absent {
		p.Addf(n.At("explicit"), `"explicit" does not go with "absent"`)
	}
	if err := p.Err(); err != nil {
		return s, err
	}
	g, err := grammarOf(s.Format, s.Path, s.Key)
	if err != nil {
		return s, node.Errorf(n.Get("path").Pos, "%v", err)
	}
	p.Add(checkValue(n, &s.Bounds, g, s.Key))
	s.grammar = g
	return s, p.Err()
}

// checkValue refuses values that no line of the grammar can hold.
func checkValue(n *node.Node, b *term.Bounds, g grammar, key string) error {
	p := &node.Problems{}
	p.Add(b.CheckNumbers(n, g.sense()))
	for _, one := range b.Texts() {
		text := string(one)
		why := g.check(key, text)
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || text != strings.TrimSpace(text) {
			why = errors.New("it has blanks around it or a character that is not printed")
		}
		var unknown noSetting
		switch {
		case errors.As(why, &unknown):
			p.Addf(n.At("key"), "%q is no setting of %s%s", key, unknown.program, node.Suggest(key[strings.LastIndexByte(key, ' ')+1:], unknown.keys))
			return p.Err()
		case why != nil:
			p.Addf(n.Pos, "the file cannot hold the value %q: %v", text, why)
		}
	}
	return p.Err()
}

// Identity is the name's.
func (s *Setting) Identity() string { return "setting " + s.Name }

// Paths are what the resource alone decides on: its name, and the key in its
// file.
func (s *Setting) Paths() []string {
	return []string{s.Identity(), s.Path + ": " + s.state().key}
}

func (s *Setting) state() *state {
	l, g := layoutOf(s.Format, s.Path), s.grammar
	out := &state{
		grammar: g, key: g.name(s.Key), bounds: &s.Bounds, target: s.Path,
		read: func(r system.Reader) ([]source, error) { return l.read(r, g) },
	}
	if own, ok := g.(interface {
		sources(r system.Reader) ([]source, error)
	}); ok {
		out.read = own.sources
	}
	if s.Explicit {
		out.main = s.Path
	}
	if s.DropIn != "" && len(l.dirs) > 0 {
		out.target, out.make = path.Join(l.dirs[0], s.DropIn), true
	}
	return out
}

// Check tells how the value differs.
func (s *Setting) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.state().differences(r)
}

// Apply gives the key a value that does.
func (s *Setting) Apply(ctx context.Context, sys system.System) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	d := edit.New(sys)
	if err := s.state().revise(d); err != nil {
		return false, err
	}
	return d.Save(sys)
}

// measureOf tells how systemd counts a key's value.
func measureOf(key string) func(string) ([]int64, bool) {
	if strings.HasSuffix(key, "Sec") {
		return term.Span
	}
	return func(text string) ([]int64, bool) {
		if n, ok := term.Decimal(text); ok {
			return n, true
		}
		return term.Size(text)
	}
}
