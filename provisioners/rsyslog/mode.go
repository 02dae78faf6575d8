package rsyslog

import (
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// made is the mode of files where nothing says another.
const made fs.FileMode = 0o644

var (
	modeText = regexp.MustCompile(`^0[0-7]{3}$`)
	// A parameter's may have five digits.
	modeValue = regexp.MustCompile(`^0[0-7]{3,4}$`)
)

// decided is a mode, and the statement that it comes from: its kind and name are
// empty where it is rsyslogd's own.
type decided struct {
	mode fs.FileMode
	by   statement
	set  bool
}

// modes lists the actions whose files get more bits than they should, and the
// default where it has more. What $FileCreateMode says holds from there on, and for
// actions of the old form alone: action() goes by its own fileCreateMode, or that
// of the module, which is read where it stands too. The umask is left out: it only
// takes bits away, and may be set elsewhere.
func (s *State) modes(c *config) ([]edit.Violation, error) {
	want := fs.FileMode(*s.FileMode)
	too := func(mode fs.FileMode) bool { return mode&^want != 0 }
	var found []edit.Violation
	told := map[system.Difference]bool{}
	old, own := decided{mode: made}, decided{mode: made}
	earlier := false // there was a $FileCreateMode before the one in force
	report := func(d decided, what string, mend func(*edit.Draft) error) {
		where, by := d.by.where(), d.by
		if !d.set {
			where, by = c.main, statement{file: c.main, start: c.first}
		}
		diff := system.Difference{Subject: where + ": " + what, Have: fmt.Sprintf("%04o", d.mode), Want: fmt.Sprintf("at most %04o", want)}
		if !told[diff] {
			told[diff] = true
			found = append(found, by.violation(diff, mend))
		}
	}
	legacy := func(d decided, again bool) func(*edit.Draft) error {
		line := fmt.Sprintf("$FileCreateMode %04o", want)
		switch {
		case !d.set:
			return func(files *edit.Draft) error { return insert(files, c.main, c.first, line) }
		case d.by.name != "filecreatemode":
			return func(files *edit.Draft) error { return files.Splice(d.by.file, d.by.end, d.by.end, "\n"+line) }
		case again:
			// One statement is easier to find than two.
			return func(files *edit.Draft) error { return remove(files, d.by) }
		}
		return func(files *edit.Draft) error { return files.Splice(d.by.file, d.by.start, d.by.end, line) }
	}
	for _, one := range c.list {
		switch {
		case one.kind == directive && one.name == "filecreatemode":
			if !modeText.MatchString(one.text) {
				return nil, fmt.Errorf("%s: $FileCreateMode has no mode of four octal digits", one.where())
			}
			earlier = earlier || old.set && old.by.name == "filecreatemode"
			old = decided{octal(one.text), one, true}
		case one.kind == directive && one.name == "resetconfigvariables":
			old, earlier = decided{made, one, true}, false
		case one.kind == object && one.name == "module" && one.loads() == "omfile" && !own.set:
			own = decided{mode: made, by: one, set: true}
			if mode, there, err := modeOf(one); err != nil {
				return nil, err
			} else if there {
				own.mode = mode
			}
		case one.kind == object && one.name == "action":
			p, ok := one.get("type")
			if !ok || p.computed {
				return nil, fmt.Errorf("%s: action() does not say which module it is of", one.where())
			}
			if module(p.value) != "omfile" || device(one) {
				continue
			}
			mode, there, err := modeOf(one)
			switch {
			case err != nil:
				return nil, err
			case there && too(mode):
				report(decided{mode, one, true}, "fileCreateMode of an action", parameterTo(one, want))
			case !there && too(own.mode) && moded(own.by):
				report(own, "fileCreateMode of the module omfile", parameterTo(own.by, want))
			case !there && too(own.mode):
				report(decided{own.mode, one, true}, "fileCreateMode of an action, by default", parameterTo(one, want))
			}
		case one.kind == action && writesFile(one.text) && too(old.mode):
			report(old, "$FileCreateMode", legacy(old, earlier))
		}
	}
	if too(old.mode) {
		// The next rule that is added would get it.
		report(old, "$FileCreateMode", legacy(old, earlier))
	}
	return found, nil
}

func moded(s statement) bool {
	_, ok := s.get("filecreatemode")
	return ok
}

// modeOf is the mode that an object says its files get.
func modeOf(s statement) (mode fs.FileMode, there bool, err error) {
	p, ok := s.get("filecreatemode")
	switch {
	case !ok:
		return 0, false, nil
	case p.computed || !modeValue.MatchString(p.value):
		return 0, false, fmt.Errorf("%s: fileCreateMode has no mode of four octal digits", s.where())
	}
	return octal(p.value), true, nil
}

func octal(text string) fs.FileMode {
	n, _ := strconv.ParseUint(text, 8, 16) // its form is checked
	return fs.FileMode(n)
}

// device tells whether an action writes to a device, which it does not make.
func device(s statement) bool {
	p, ok := s.get("file")
	return ok && !p.computed && isDevice(p.value)
}

func isDevice(name string) bool {
	return strings.HasPrefix(name, "/dev/") && !strings.HasPrefix(name, "/dev/shm/") && !strings.Contains(name, "..")
}

// writesFile tells whether an action of the old form makes a file: by its name, by
// one that a template makes, or by that of an output channel.
func writesFile(text string) bool {
	text = strings.TrimPrefix(text, "-")
	if rest, ok := strings.CutPrefix(text, ":omfile:"); ok {
		text = strings.TrimPrefix(rest, "-")
		return !isDevice(text)
	}
	return strings.IndexByte("?.$", text[0]) >= 0 || text[0] == '/' && !isDevice(text)
}

// parameterTo gives an object another fileCreateMode, or one at all.
func parameterTo(s statement, want fs.FileMode) func(*edit.Draft) error {
	value := fmt.Sprintf(`"%04o"`, want)
	return func(files *edit.Draft) error {
		if p, ok := s.get("filecreatemode"); ok {
			return files.Splice(s.file, p.start, p.end, value)
		}
		// Behind the last parameter, which every such object has.
		at := s.parameters[len(s.parameters)-1].end
		return files.Splice(s.file, at, at, " fileCreateMode="+value)
	}
}

// insert puts a line before that with a byte of a file.
func insert(files *edit.Draft, name string, at int, line string) error {
	_, text, err := files.Read(name)
	if err != nil {
		return err
	}
	at = strings.LastIndexByte(text[:at], '\n') + 1
	return files.Splice(name, at, at, line+"\n")
}
