// Package audit holds the resource of rules of the Linux audit system. It
// reads and writes the files of auditctl(8) and augenrules(8) and compares
// rules by what they mean, not by how they are written.
//
// It never talks to a kernel: which rules a running one has is told over
// netlink, to root alone, and no file shows it. On a live host what can be
// read is the compiled file that the kernel was given when it started; asking
// the kernel itself is left to the guest agent.
package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// Rules are audit rules that have to be in effect.
//
// They are written to NN-NAME.rules in /etc/audit/rules.d, NN as auditd's
// README-rules numbers them: 10 for settings of the audit system itself, 50
// for a server's own rules, 99 for what locks them (-e 2). augenrules puts
// that last whatever the file is called. Of rules that another file has
// already none is written again, for auditctl stops loading at a repeated one.
type Rules struct {
	Name   string   `json:"-"`
	Rules  []string `json:"rules,omitempty" jsonschema_description:"as auditctl takes them"`
	Setuid bool     `json:"setuid,omitempty" jsonschema_description:"one rule for every setuid and setgid file where the bits work"`
	Key    string   `json:"key,omitempty" jsonschema_description:"key of the rules of setuid; default the name"`

	parsed []Rule
}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)
	keyPattern  = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,31}$`)
)

// New decodes the rules called e.Key.
func New(e node.Entry) (*Rules, error) {
	r := &Rules{Name: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(e.Value, r))
	if !namePattern.MatchString(e.Key) {
		p.Addf(e.Pos, "expected a name of letters, digits, - and _, found %q", e.Key)
	}
	if len(r.Rules) == 0 && !r.Setuid {
		p.Addf(e.Value.Pos, `expected "rules", "setuid" or both`)
	}
	switch {
	case r.Key != "" && !r.Setuid:
		p.Addf(e.Value.At("key"), `"key" goes with "setuid"; write -k into rules`)
	case r.Key == "" && r.Setuid:
		r.Key = r.Name
	}
	if r.Setuid && !keyPattern.MatchString(r.Key) {
		p.Addf(e.Value.At("key"), "expected a key of up to 31 letters, digits, ., - and _, found %q", r.Key)
	}
	for i, text := range r.Rules {
		at := e.Value.At("rules")
		if list := e.Value.Get("rules"); list != nil && i < len(list.Items) {
			at = list.Items[i].Pos
		}
		rule, err := Parse(text)
		switch {
		case err != nil:
			p.Addf(at, "audit rule %q: %v", text, err)
		case rule.Kind == Blank || rule.Kind == Remove || rule.Option == "-D":
			p.Addf(at, "%q is no rule that can be in effect", text)
		}
		r.Rules[i] = strings.TrimSpace(text)
		r.parsed = append(r.parsed, rule)
	}
	return r, p.Err()
}

// Identity is the name's.
func (r *Rules) Identity() string { return "audit rules " + r.Name }

// file is where the rules are written.
func (r *Rules) file() string {
	order := 10
	for _, rule := range r.parsed {
		switch {
		case rule.Option == "-e":
			order = 99
		case rule.Kind != Control && order < 50:
			order = 50
		}
	}
	if r.Setuid && order < 50 {
		order = 50
	}
	return fmt.Sprintf("%s/%02d-%s.rules", rulesDir, order, r.Name)
}

// state is what a system's files say.
type state struct {
	sources []Source
	// composed is the effect of rules.d, present that of audit.rules, nil
	// without one.
	composed Effect
	present  *Effect
	// agree says that the two are one.
	agree bool
	isDir func(string) bool
}

func read(r system.Reader) (*state, error) {
	list, err := sources(r)
	if err != nil {
		return nil, fmt.Errorf("reading audit rules: %w", err)
	}
	s := &state{sources: list, isDir: func(name string) bool {
		info, err := r.Stat(name)
		return err == nil && info.Mode.IsDir()
	}}
	if s.composed, err = s.effect(rulesDir, Compile(list, false)); err != nil {
		return nil, fmt.Errorf("reading audit rules: compiling %w", err)
	}
	text, there, err := system.ReadText(r, compiled, maxFile)
	if err != nil || !there {
		return s, err
	}
	present, err := s.effect(compiled, text)
	if err != nil {
		return nil, fmt.Errorf("reading audit rules: %w", err)
	}
	s.present, s.agree = &present, s.composed.same(present)
	if !s.agree {
		// The script may have been run by an awk of the other kind.
		if other, err := s.effect(rulesDir, Compile(list, true)); err == nil {
			s.agree = other.same(present)
		}
	}
	return s, nil
}

func (s *state) effect(name, text string) (Effect, error) {
	lines, err := parseFile(name, text)
	if err != nil {
		return Effect{}, err
	}
	for i := range lines {
		lines[i].Rule = lines[i].resolved(s.isDir)
	}
	return Evaluate(lines), nil
}

// without is the effect of rules.d but for one file.
func (s *state) without(name string) (Effect, error) {
	rest := slices.DeleteFunc(slices.Clone(s.sources), func(f Source) bool { return f.Name == name })
	return s.effect(rulesDir, Compile(rest, false))
}

// want is a demanded rule.
type want struct {
	rule Rule
	text string
	// anyKey takes another key for it as well.
	anyKey bool
}

// demands lists what has to be in effect.
func (r *Rules) demands(ctx context.Context, from system.Reader, s *state) ([]want, error) {
	var list []want
	for i, rule := range r.parsed {
		list = append(list, want{rule: rule.resolved(s.isDir), text: r.Rules[i]})
	}
	if !r.Setuid {
		return list, nil
	}
	texts, err := lending(ctx, from, r.Key)
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		rule, err := Parse(text)
		if err != nil {
			return nil, err
		}
		list = append(list, want{rule: rule, text: text, anyKey: true})
	}
	return list, nil
}

// Check tells which rules are not in effect, in rules.d and in the compiled
// file, whether the two agree, and what keeps rules from having an effect.
func (r *Rules) Check(ctx context.Context, from system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := read(from)
	if err != nil {
		return nil, err
	}
	demands, err := r.demands(ctx, from, s)
	if err != nil {
		return nil, err
	}
	return s.compare(demands), nil
}

func (s *state) compare(demands []want) []system.Difference {
	var list []system.Difference
	differ := func(subject, have, want string) {
		list = append(list, system.Difference{Subject: subject, Have: have, Want: want})
	}
	judge := func(subject string, e Effect) {
		for _, d := range demands {
			if left := e.Missing(d.rule, d.anyKey); left != "" {
				have := "missing"
				if value, set := e.Settings[d.rule.Option]; set && d.rule.Kind == Control {
					have = strings.TrimSpace(d.rule.Option + " " + value)
				}
				differ(subject, have, left)
			}
		}
		for _, l := range e.Repeated {
			differ(l.at(), fmt.Sprintf("%q again", l.Text), "no rule twice, where auditctl stops")
		}
		if e.Settings["-e"] == "0" && slices.ContainsFunc(demands, func(d want) bool { return d.rule.Kind == Add }) {
			differ(subject, "-e 0, which turns auditing off", "on")
		}
		for _, l := range e.blinding() {
			differ(l.at(), fmt.Sprintf("%q", l.Text), "no rule that silences all others")
		}
	}
	judge(rulesDir, s.composed)
	switch {
	case s.present == nil:
		differ(compiled, "absent", "what augenrules makes of "+rulesDir)
	case !s.agree:
		differ(compiled, "different", "what augenrules makes of "+rulesDir)
		judge(compiled, *s.present)
	}
	return list
}

// Apply writes the rules that no other file has and compiles all files anew.
// Rules of other files that get in the way are an error: to change them is
// nobody's business but theirs.
func (r *Rules) Apply(ctx context.Context, sys system.System) (bool, error) {
	s, err := read(sys)
	if err != nil {
		return false, err
	}
	demands, err := r.demands(ctx, sys, s)
	if err != nil || len(s.compare(demands)) == 0 {
		return false, err
	}
	name := path.Base(r.file())
	others, err := s.without(name)
	if err != nil {
		return false, err
	}
	var text strings.Builder
	for _, d := range demands {
		if others.Missing(d.rule, d.anyKey) != "" {
			text.WriteString(d.text + "\n")
			others.also(d.rule)
		}
	}
	for _, dir := range []string{path.Dir(rulesDir), rulesDir} {
		if err := makeDir(sys, dir); err != nil {
			return false, err
		}
	}
	if text.Len() > 0 {
		// Package auditd leaves its group in, auditors do not want that.
		if err := write(sys, r.file(), text.String(), 0o600); err != nil {
			return false, err
		}
	} else if err := sys.Remove(r.file()); err != nil {
		return false, err
	}
	list, err := sources(sys)
	if err != nil {
		return true, err
	}
	if err := write(sys, compiled, Compile(list, false), 0o640); err != nil {
		return true, err
	}
	// What is left is in the way of what was written.
	if s, err = read(sys); err != nil {
		return true, err
	}
	if left := s.compare(demands); len(left) > 0 {
		return true, fmt.Errorf("the rules have no effect beside those of other files: %s", left[0])
	}
	return true, nil
}

// makeDir makes a directory with the mode that package auditd gives it.
func makeDir(sys system.System, name string) error {
	if _, err := sys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := system.MkdirAll(sys, path.Dir(name)); err != nil {
		return err
	}
	return sys.Mkdir(name, system.Attr{Mode: 0o750})
}

func write(sys system.System, name, text string, mode fs.FileMode) error {
	return sys.WriteFile(name, strings.NewReader(text), system.Attr{Mode: mode})
}
