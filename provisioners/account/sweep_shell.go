package account

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/pam"
	"imgbuild/provisioners/system"
)

// rootFiles are the profiles of root's own.
var rootFiles = []string{"/root/.profile", "/root/.bash_profile", "/root/.bash_login", "/root/.bashrc"}

// rootPath looks at the places that root's commands are looked for in.
func (v *survey) rootPath() error {
	if value, ok := v.defs["ENV_SUPATH"]; ok {
		if err := v.path(loginDefs+": ENV_SUPATH", strings.TrimPrefix(value, "PATH=")); err != nil {
			return err
		}
	}
	list, err := profiles(v.r)
	if err != nil {
		return err
	}
	commands, err := commandsOf(v.r, slices.Concat(list, rootFiles, []string{"/etc/environment"}))
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
		info, err := v.r.Stat(path.Clean(dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case !info.Mode.IsDir():
			v.differ(subject, "with "+dir+", which is no directory", "without it")
		case info.UID != 0:
			v.differ(subject, fmt.Sprintf("with %s, which belongs to %d", dir, info.UID), "with root's own")
		case info.Mode.Perm()&0o022 != 0:
			v.differ(subject, fmt.Sprintf("with %s of mode %04o", dir, info.Mode.Perm()), "writable by root alone")
		}
	}
	return nil
}

// wantMask is what a new file keeps from others, at the least.
const wantMask = 0o027

// The files that the resources write, named so that they are read last.
const (
	umaskFile   = "/etc/profile.d/zz-imgbuild-umask.sh"
	timeoutFile = "/etc/profile.d/zz-imgbuild-timeout.sh"
	bashrc      = "/etc/bash.bashrc"
)

// mask reads the operand of umask(1), octal or symbolic; unknown is a mask
// that only a running shell can tell.
func mask(text string) (bits int, known bool) {
	if n, err := strconv.ParseUint(text, 8, 12); err == nil {
		return int(n), true
	}
	bits = 0o777
	for _, part := range strings.Split(text, ",") {
		who, perms, ok := strings.Cut(part, "=")
		if !ok || strings.Trim(who, "ugoa") != "" || strings.Trim(perms, "rwx") != "" {
			return 0, false
		}
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		keep := 0
		for _, p := range perms {
			keep |= map[rune]int{'r': 4, 'w': 2, 'x': 1}[p]
		}
		for _, w := range who {
			shift := map[rune]int{'u': 6, 'g': 3, 'o': 0}[w]
			bits = bits&^(7<<shift) | (7&^keep)<<shift
		}
	}
	return bits, true
}

func strict(text string) bool {
	bits, known := mask(text)
	return known && bits&wantMask == wantMask
}

// masks are the commands that set a mask for everybody or for root.
func (v *survey) masks() ([]command, error) {
	files, err := profiles(v.r)
	if err != nil {
		return nil, err
	}
	commands, err := commandsOf(v.r, append(files, rootFiles[0], rootFiles[3]))
	return slices.DeleteFunc(commands, func(c command) bool {
		return c.words[0] != "umask" || len(c.words) < 2 || len(c.words) == 2 && strings.HasPrefix(c.words[1], "-")
	}), err
}

func (v *survey) umask() error {
	commands, err := v.masks()
	if err != nil {
		return err
	}
	set := map[bool]bool{}
	for _, c := range commands {
		if last := c.words[len(c.words)-1]; !strict(last) {
			v.differ(fmt.Sprintf("%s:%d: umask", c.file, c.line+1), last, "027 or stricter")
		} else {
			set[c.file == bashrc] = true
		}
	}
	if !set[false] {
		v.differ("/etc/profile: umask", "not set", "027 or stricter")
	}
	if _, err := v.r.Stat(bashrc); err == nil && !set[true] {
		v.differ(bashrc+": umask", "not set", "027 or stricter")
	}
	if value, ok := v.defs["UMASK"]; !ok || !strict(value) {
		v.differ(loginDefs+": UMASK", cmp.Or(value, "not set"), "027 or stricter")
	}
	for _, stack := range []string{"common-session", "common-session-noninteractive"} {
		lines, err := pam.Arguments(v.r, stack, "session", "pam_umask.so")
		if err != nil {
			return err
		}
		for _, args := range lines {
			for _, a := range args {
				if value, ok := strings.CutPrefix(a, "umask="); ok && !strict(value) {
					v.differ("/etc/pam.d/"+stack+": pam_umask", a, "027 or stricter")
				}
			}
		}
	}
	return nil
}

// mendUmask takes out masks that are too lax, and sets one where none is left.
func (v *survey) mendUmask(sys system.System) error {
	commands, err := v.masks()
	if err != nil {
		return err
	}
	lax := slices.DeleteFunc(commands, func(c command) bool { return strict(c.words[len(c.words)-1]) })
	if err := takeOut(sys, lax); err != nil {
		return err
	}
	v.found = nil
	if v.defs["UMASK"] == "" || !strict(v.defs["UMASK"]) {
		if err := setDef(sys, "UMASK", "027"); err != nil {
			return err
		}
		v.defs["UMASK"] = "027"
	}
	if err := v.umask(); err != nil {
		return err
	}
	for _, d := range v.found {
		var err error
		switch d.Subject {
		case "/etc/profile: umask":
			err = system.Replace(sys, umaskFile, "# New files are not for others to read.\numask 027\n", 0o644)
		case bashrc + ": umask":
			var text string
			if text, _, err = system.ReadText(sys, bashrc, maxText); err == nil {
				err = system.Replace(sys, bashrc, edit.Ended(text)+"umask 027\n", 0o644)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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
