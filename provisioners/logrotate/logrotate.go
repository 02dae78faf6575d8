// Package logrotate holds the resource of how logs are rotated: how often, how many
// old ones are kept, and with which mode the new one is made. It reads the
// configuration as logrotate does, with everything that is included, and edits the
// block that decides. It does not look at the logs themselves nor at when they were
// rotated last, nor whether the users exist that blocks name, and never runs
// logrotate.
package logrotate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/file"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// State is how one log, or all that a pattern stands for, must be rotated: by some
// block, and so.
//
// The key in the recipe is the log's path, or a pattern of glob(7). The state is
// about every block with a pattern that matches it, or that it matches.
type State struct {
	Path string `json:"-"`

	Every      string     `json:"every,omitempty" jsonschema:"enum=hourly,enum=daily,enum=weekly,enum=monthly,enum=yearly" jsonschema_description:"when it is rotated, whatever its size"`
	Keep       int        `json:"keep,omitempty" jsonschema_description:"at least so many old ones are kept, and none is removed for its age before"`
	CreateMode *file.Mode `json:"create-mode,omitempty" jsonschema_description:"the new log is made with no more than these bits"`
	Main       string     `json:"main,omitempty" jsonschema_description:"the main file; default: /etc/logrotate.conf"`
}

// New decodes the state of the log that e.Key names.
func New(e node.Entry) (*State, error) {
	s := &State{Path: e.Key}
	if err := node.Decode(e.Value, s); err != nil {
		return nil, err
	}
	n, p := e.Value, &node.Problems{}
	if !path.IsAbs(s.Path) || path.Clean(s.Path) != s.Path {
		p.Addf(e.Pos, "expected the absolute path of a log, found %q", e.Key)
	} else if _, err := system.Match(s.Path, ""); err != nil {
		p.Addf(e.Pos, "%v", err)
	}
	switch {
	case s.Keep < 0 || s.Keep > 100_000:
		p.Addf(n.At("keep"), "expected a number of old logs, found %d", s.Keep)
	case s.Keep > 0 && s.Every == "":
		p.Addf(n.At("keep"), `"keep" goes with "every": without it the number says nothing of how long logs are kept`)
	case s.CreateMode != nil && fs.FileMode(*s.CreateMode)&^0o666 != 0:
		p.Addf(n.At("create-mode"), "a log is not executable: expected a mode such as 0640")
	}
	if s.Main != "" && (!path.IsAbs(s.Main) || path.Clean(s.Main) != s.Main) {
		p.Addf(n.At("main"), "expected an absolute path, found %q", s.Main)
	}
	return s, p.Err()
}

// Identity is the log's.
func (s *State) Identity() string { return "logrotate " + s.Path }

func (s *State) main() string {
	if s.Main != "" {
		return s.Main
	}
	return "/etc/logrotate.conf"
}

// Check tells in which blocks the log is rotated otherwise.
func (s *State) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	return edit.Check(ctx, r, s.violations)
}

// Apply edits the blocks. It makes none: what has to be told when a log was
// rotated, the package knows that writes it.
func (s *State) Apply(ctx context.Context, sys system.System) (bool, error) {
	return edit.Apply(ctx, sys, s.violations)
}

// meant tells whether a block is for the log.
func (s *State) meant(b *block) bool {
	return slices.ContainsFunc(b.patterns, func(pattern string) bool {
		pattern = path.Clean(pattern)
		one, err := system.Match(pattern, s.Path)
		other, _ := system.Match(s.Path, pattern) // the path is a pattern, see New
		// A pattern that is none matches nothing but itself.
		return pattern == s.Path || one && err == nil || other
	})
}

func (s *State) violations(files *edit.Draft) ([]edit.Violation, error) {
	// Without a configuration logrotate does nothing.
	var blocks []*block
	if _, err := files.Stat(s.main()); !errors.Is(err, fs.ErrNotExist) {
		if blocks, err = read(files, s.main()); err != nil {
			return nil, err
		}
	}
	list, err := s.otherwise(files)
	if err != nil {
		return nil, err
	}
	there := false
	for _, b := range blocks {
		if s.meant(b) {
			there = true
			list = append(list, s.of(b)...)
		}
	}
	if !there {
		d := system.Difference{Subject: s.main() + ": " + s.Path, Have: "not rotated", Want: "rotated by some block"}
		list = append(list, edit.Violation{Difference: d, Mend: func(*edit.Draft) error {
			return fault.Inputf("%s, and what to do when it was rotated is not for this program to say", d).
				WithHint("install the package that writes the log, or add a file to /etc/logrotate.d")
		}})
	}
	return list, nil
}

// otherwise tells where logrotate is started without the configuration that was
// read.
func (s *State) otherwise(files *edit.Draft) ([]edit.Violation, error) {
	if s.Main != "" {
		return nil, nil // it may be of a second one
	}
	ways, err := service.StartedBy(files, "logrotate.service")
	if err != nil {
		return nil, err
	}
	for _, way := range ways {
		named := func(word string) bool { return path.Base(word) == "logrotate" }
		if slices.ContainsFunc(way.Words, named) && slices.Contains(way.Words, s.main()) {
			return nil, nil
		}
	}
	if len(ways) == 0 {
		return nil, nil // something else starts it
	}
	d := system.Difference{Subject: ways[0].File + ": ExecStart", Have: "not logrotate with " + s.main(), Want: "that"}
	return []edit.Violation{{Difference: d, Mend: func(*edit.Draft) error {
		return fault.Inputf("%s", d).WithHint("name the configuration there")
	}}}, nil
}

var (
	// Of these the last counts: a size is in the place of a time.
	times  = []string{"hourly", "daily", "weekly", "monthly", "yearly", "size"}
	making = []string{"create", "nocreate"}
	days   = map[string]int{"hourly": 1, "daily": 1, "weekly": 7, "monthly": 31, "yearly": 366}
)

// of lists how a block differs. Its place is its end: all of a block is one place.
func (s *State) of(b *block) []edit.Violation {
	var list []edit.Violation
	differs := func(o *option, what, have, want string, mend func(*edit.Draft) error) {
		where := b.where()
		if o != nil {
			where = o.where()
		}
		d := system.Difference{Subject: where + ": " + what + " of " + s.Path, Have: have, Want: want}
		list = append(list, edit.Violation{Difference: d, File: b.file, At: b.end, Mend: mend})
	}
	if s.Every != "" {
		o := b.last(times...)
		switch {
		case o == nil:
			differs(nil, "time", "not set", s.Every, b.write(times, s.Every))
		case o.name != s.Every:
			have := o.name
			if have == "size" {
				have = "of no matter, it goes by size"
			}
			differs(o, "time", have, s.Every, b.write(times, s.Every))
		}
	}
	if s.Keep > 0 {
		s.kept(b, differs)
	}
	if s.CreateMode != nil {
		s.created(b, differs)
	}
	return list
}

type differ func(o *option, what, have, want string, mend func(*edit.Draft) error)

// kept asks for the number of old logs, and what removes them before their time.
func (s *State) kept(b *block, differs differ) {
	want := fmt.Sprintf("at least %d", s.Keep)
	switch o := b.last("rotate"); {
	case o == nil:
		differs(nil, "rotate", "not set, so 0", want, b.write([]string{"rotate"}, fmt.Sprintf("rotate %d", s.Keep)))
	case number(o.value) < s.Keep && o.value != "-1":
		differs(o, "rotate", o.value, want, b.write([]string{"rotate"}, fmt.Sprintf("rotate %d", s.Keep)))
	}
	least := s.Keep * days[s.Every]
	if o := b.last("maxage"); o != nil && number(o.value) > 0 && number(o.value) < least {
		differs(o, "maxage", o.value+" days", fmt.Sprintf("at least %d", least), b.write([]string{"maxage"}, fmt.Sprintf("maxage %d", least)))
	}
	// It is rotated sooner then, so that the same number lasts for less long.
	if o := b.last("maxsize"); o != nil {
		differs(o, "maxsize", "set", "absent", b.drop("maxsize"))
	}
}

// created asks for the mode of the new log. Where the log is copied none is made.
func (s *State) created(b *block, differs differ) {
	for _, one := range [][]string{{"copytruncate", "nocopytruncate"}, {"copy", "nocopy"}} {
		if o := b.last(one...); o != nil && o.name == one[0] {
			return
		}
	}
	mode := fmt.Sprintf("%04o", fs.FileMode(*s.CreateMode))
	line := "create " + mode
	o := b.last(making...)
	have := "not set"
	if o != nil {
		fields := strings.Fields(o.value)
		have = "as the old log's"
		switch {
		case o.name == "nocreate":
			have = "none is made"
		case len(fields) > 0 && fields[0][0] >= '0' && fields[0][0] <= '7':
			if bits, err := strconv.ParseUint(fields[0], 8, 32); err == nil && fs.FileMode(bits)&^fs.FileMode(*s.CreateMode) == 0 {
				return
			}
			have, fields = fields[0], fields[1:]
		}
		line = strings.Join(append([]string{line}, fields...), " ")
	}
	differs(o, "create", have, "at most "+mode, b.write(making, line))
}

// write gives a block an option in the place of the last of some that it has, or at
// its end.
func (b *block) write(names []string, line string) func(*edit.Draft) error {
	return func(files *edit.Draft) error {
		_, text, err := files.Read(b.file)
		if err != nil {
			return err
		}
		if o := lastOf(b.own, names); o != nil {
			// A value takes the rest of its line, with what stood behind a word.
			if behind, _, _ := strings.Cut(text[o.end:], "\n"); strings.TrimSpace(behind) != "" {
				return files.Splice(o.file, o.start, o.end, line+"\n"+edit.Indent(text, o.start))
			}
			return files.Splice(o.file, o.start, o.end, line)
		}
		indent := "\t"
		if len(b.own) > 0 {
			if white := edit.Indent(text, b.own[0].start); white != "" {
				indent = white
			}
		}
		begin := strings.LastIndexByte(text[:b.end], '\n') + 1
		if strings.TrimSpace(text[begin:b.end]) == "" {
			return files.Splice(b.file, begin, begin, indent+line+"\n")
		}
		return files.Splice(b.file, b.end, b.end, "\n"+indent+line+"\n")
	}
}

// drop takes an option out of a block. One that holds for all stays: other logs go
// by it.
func (b *block) drop(name string) func(*edit.Draft) error {
	return func(files *edit.Draft) error {
		o := lastOf(b.own, []string{name})
		if o == nil {
			return fault.Inputf("%s is set at %s for other logs too", name, b.last(name).where()).WithHint("take it out there, or move it into the blocks that need it")
		}
		_, text, err := files.Read(o.file)
		if err != nil {
			return err
		}
		start, end := o.start, o.end
		begin := strings.LastIndexByte(text[:start], '\n') + 1
		if behind, _, ok := strings.Cut(text[end:], "\n"); ok && strings.TrimSpace(behind) == "" && strings.TrimSpace(text[begin:start]) == "" {
			start, end = begin, end+len(behind)+1
		}
		return files.Splice(o.file, start, end, "")
	}
}
