package account

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/sudo"
	"imgbuild/provisioners/system"
)

// ownProfiles are the files in a home that shells read, besides those for
// everybody (bash(1), dash(1)).
var ownProfiles = []string{".profile", ".bash_profile", ".bash_login", ".bashrc", ".bash_aliases"}

// profilesIn are those files of a home or of the skeleton of homes.
func profilesIn(home string) []string {
	list := make([]string, len(ownProfiles))
	for i, name := range ownProfiles {
		list[i] = path.Join(home, name)
	}
	return list
}

// rootHome is where root's own are.
const rootHome = "/root"

// rootPath looks at the places that root's commands are looked for in.
func (v *survey) rootPath() error {
	for _, value := range v.defs["ENV_SUPATH"] {
		if err := v.path(loginDefs+": ENV_SUPATH", strings.TrimPrefix(value, "PATH=")); err != nil {
			return err
		}
	}
	// Most of what root does is asked for by way of sudo.
	values, err := sudo.Values(v.r, "secure_path")
	if err != nil {
		return err
	}
	for _, one := range values {
		if err := v.path(one.Where+": secure_path", one.Text); err != nil {
			return err
		}
	}
	list, err := profiles(v.r)
	if err != nil {
		return err
	}
	if err := v.environment(); err != nil {
		return err
	}
	commands, err := commandsOf(v.r, slices.Concat(list, profilesIn(rootHome)))
	if err != nil {
		return err
	}
	for _, c := range commands {
		if value, _, ok := c.assigned("PATH"); ok && value != "" {
			if err := v.path(fmt.Sprintf("%s:%d: PATH", c.file, c.line+1), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// environment looks at what pam_env(8) gives everybody: NAME=VALUE, a line each,
// which no shell reads.
func (v *survey) environment() error {
	const name = "/etc/environment"
	text, _, err := system.ReadText(v.r, name, maxText)
	if err != nil {
		return err
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if value = strings.Trim(value, `"'`); ok && key == "PATH" {
			if err := v.path(fmt.Sprintf("%s:%d: PATH", name, number), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// path looks at each place of a PATH. What stands for other values is not
// known and left out.
func (v *survey) path(subject, value string) error {
	for _, dir := range strings.Split(value, ":") {
		switch {
		case dir == "":
			v.differ(subject, "with an empty place, which is the current directory", "without it")
			continue
		case strings.Contains(dir, "$"):
			continue
		case !path.IsAbs(dir):
			v.differ(subject, "with "+dir+", which is relative", "without it")
			continue
		}
		if len(dir) > maxPath {
			v.differ(subject, "with a directory of a name too long to have", "without it")
			continue
		}
		at := path.Clean(dir)
		if err := v.reached(subject, at); err != nil {
			return err
		}
		// Links may lead there by directories that its name does not tell.
		if real, err := edit.New(v.r).Real(at); err != nil {
			return err
		} else if real != at {
			if err := v.reached(subject, real); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxPath is how long a file's name may be (PATH_MAX).
const maxPath = 4096

// reached looks at a directory and those above it: whoever writes to one of them can
// put another in its place.
func (v *survey) reached(subject, dir string) error {
	for at := dir; ; at = path.Dir(at) {
		info, err := v.r.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode.IsDir():
			v.differ(subject, "with "+at+", which is no directory", "without it")
		case info.UID != 0:
			v.differ(subject, fmt.Sprintf("with %s, which belongs to %d", at, info.UID), "with root's own")
		case info.Mode.Perm()&0o022 != 0 && (at == dir || info.Mode&fs.ModeSticky == 0):
			v.differ(subject, fmt.Sprintf("with %s of mode %04o", at, info.Mode.Perm()), "writable by root alone")
		}
		if at == "/" {
			return nil
		}
	}
}

// The files that the resources write, named so that they are read last.
const (
	umaskFile   = "/etc/profile.d/zz-imgbuild-umask.sh"
	timeoutFile = "/etc/profile.d/zz-imgbuild-timeout.sh"
)

// bashrc is what bash reads for everybody whenever it asks for commands.
const bashrc = "/etc/bash.bashrc"

// takeOut removes commands that are alone on their lines.
func takeOut(sys system.System, list []command) error {
	slices.SortStableFunc(list, func(a, b command) int { return b.line - a.line })
	for _, c := range list {
		if !c.alone {
			return fmt.Errorf("%s: line %d does more than %q; change it by hand", c.file, c.line+1, strings.Join(c.words, " "))
		}
		text, _, err := system.ReadText(sys, c.file, maxText)
		if err != nil {
			return err
		}
		lines := strings.SplitAfter(text, "\n")
		// A branch needs a command: the colon is the one that does nothing.
		body := lines[c.line]
		indent := body[:len(body)-len(strings.TrimLeft(body, " \t"))]
		if indent == "" {
			lines = slices.Delete(lines, c.line, c.line+1)
		} else {
			lines[c.line] = indent + ":\n"
		}
		if err := system.Replace(sys, c.file, strings.Join(lines, ""), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// setDef sets a value of login.defs(5), in the place of the first line that
// has one.
func setDef(sys system.System, name, value string) error {
	text, _, err := system.ReadText(sys, loginDefs, maxText)
	if err != nil {
		return err
	}
	var out []string
	done := false
	for _, line := range strings.SplitAfter(text, "\n") {
		if words := strings.Fields(line); len(words) > 0 && words[0] == name {
			if done {
				continue
			}
			line, done = name+"\t\t"+value+"\n", true
		}
		out = append(out, line)
	}
	text = strings.Join(out, "")
	if !done {
		text = edit.Ended(text) + name + "\t\t" + value + "\n"
	}
	return system.Replace(sys, loginDefs, text, 0o644)
}

// longest is the longest time without input, in seconds.
func (v *survey) longest() int {
	if v.sweep.AtMost != nil {
		return *v.sweep.AtMost
	}
	return 900
}

// timeouts are the commands that give TMOUT a value or make it what it is.
func (v *survey) timeouts() ([]command, error) {
	files, err := profiles(v.r)
	if err != nil {
		return nil, err
	}
	commands, err := commandsOf(v.r, files)
	return slices.DeleteFunc(commands, func(c command) bool {
		_, _, ok := c.assigned("TMOUT")
		return !ok
	}), err
}

// badTimeout tells whether a command gives TMOUT a value that is none, or too
// long a one.
func (v *survey) badTimeout(c command) (value string, bad bool) {
	value, _, _ = c.assigned("TMOUT")
	if value == "" {
		return "", slices.Contains(c.words, "TMOUT=")
	}
	n, err := strconv.Atoi(value)
	return value, err != nil || n < 1 || n > v.longest()
}

func (v *survey) timeout() error {
	commands, err := v.timeouts()
	if err != nil {
		return err
	}
	want := fmt.Sprintf("from 1 to %d", v.longest())
	var set, readonly, exported bool
	for _, c := range commands {
		value, bad := v.badTimeout(c)
		if bad {
			v.differ(fmt.Sprintf("%s:%d: TMOUT", c.file, c.line+1), strconv.Quote(value), want)
			continue
		}
		_, flags, _ := c.assigned("TMOUT")
		options := flags[strings.IndexByte(flags+"-", '-'):]
		set = set || value != ""
		readonly = readonly || strings.HasPrefix(flags, "readonly") || strings.Contains(options, "r")
		exported = exported || strings.HasPrefix(flags, "export") || strings.Contains(options, "x")
	}
	if !set || !readonly || !exported {
		have := "not set"
		if set {
			have = "set, but not both readonly and exported"
		}
		v.differ("/etc/profile: TMOUT", have, want+", readonly and exported")
	}
	return nil
}

// mendTimeout takes out other values and sets one.
func (v *survey) mendTimeout(sys system.System) error {
	commands, err := v.timeouts()
	if err != nil {
		return err
	}
	// A variable that is readonly takes no second value, so only one stays.
	if err := takeOut(sys, commands); err != nil {
		return err
	}
	return system.Replace(sys, timeoutFile, fmt.Sprintf(`# Shells end when nothing was typed for this many seconds. Of the shells here
# bash alone knows it; a readonly variable takes its value once.
if [ -n "${BASH_VERSION-}" ] && ! readonly -p | grep -q ' TMOUT='; then
    declare -xr TMOUT=%d
fi
`, v.longest()), 0o644)
}
