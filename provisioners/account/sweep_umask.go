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

// wantMask is what a new file keeps from others, at the least, and wanted the
// same in words.
const (
	wantMask = 0o027
	wanted   = "027 or stricter"
)

// mask reads the operand of umask(1), octal or symbolic; unknown is a mask
// that only a running shell can tell. Whom a symbolic one does not name keeps what
// he had, which may be nothing.
func mask(text string) (bits int, known bool) {
	if n, err := strconv.ParseUint(text, 8, 12); err == nil {
		return int(n), true
	}
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

// masks are the commands in some files that set a mask.
func (v *survey) masks(files []string) ([]command, error) {
	commands, err := commandsOf(v.r, files)
	return slices.DeleteFunc(commands, func(c command) bool { return c.mask() == "" }), err
}

// mask is the operand of umask(1), "" for any other command and where it only
// shows the mask. Shells look at the first one alone.
func (c command) mask() string {
	words := c.words
	for len(words) > 1 && strings.Contains(words[0], "=") {
		words = words[1:] // a variable for this command alone
	}
	if words[0] != "umask" {
		return ""
	}
	words = words[1:]
	for len(words) > 0 && (strings.HasPrefix(words[0], "-") || words[0] == "") {
		words = words[1:]
	}
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// lax are those that keep too little from others.
func (v *survey) lax(files []string) ([]command, error) {
	commands, err := v.masks(files)
	return slices.DeleteFunc(commands, func(c command) bool { return strict(c.mask()) }), err
}

func (v *survey) differMask(c command) {
	v.differ(fmt.Sprintf("%s:%d: umask", c.file, c.line+1), c.mask(), wanted)
}

// rootUmask looks at root's own profiles.
func (v *survey) rootUmask() error {
	commands, err := v.lax(profilesIn(rootHome))
	for _, c := range commands {
		v.differMask(c)
	}
	return err
}

func (v *survey) mendRootUmask(sys system.System) error {
	commands, err := v.lax(profilesIn(rootHome))
	if err != nil {
		return err
	}
	return takeOut(sys, commands)
}

// personal are the profiles of people who are not root. What is no regular file
// is left out: a person puts there what he likes.
func (v *survey) personal() ([]string, error) {
	var list []string
	for _, record := range v.interactive() {
		if home := record[5]; uid(record) != 0 && path.IsAbs(home) {
			list = append(list, profilesIn(home)...)
		}
	}
	var regular []string
	seen := map[string]bool{} // some share a home
	for _, name := range list {
		if seen[name] {
			continue
		}
		seen[name] = true
		info, err := v.r.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case info.Mode.IsRegular():
			regular = append(regular, name)
		}
	}
	return regular, nil
}

// common are the profiles that an image has for all: of everybody, of root, and
// those that new homes begin with.
func (v *survey) common() ([]string, error) {
	files, err := profiles(v.r)
	return slices.Concat(files, profilesIn(rootHome), profilesIn(skeleton)), err
}

func (v *survey) umask() error {
	everybody, err := profiles(v.r)
	if err != nil {
		return err
	}
	common, err := v.common()
	if err != nil {
		return err
	}
	personal, err := v.personal()
	if err != nil {
		return err
	}
	commands, err := v.masks(slices.Concat(common, personal))
	if err != nil {
		return err
	}
	// By whether it is bash's own file.
	set := map[bool]bool{}
	for _, c := range commands {
		if !strict(c.mask()) {
			v.differMask(c)
		} else if slices.Contains(everybody, c.file) {
			set[c.file == bashrc] = true
		}
	}
	if !set[false] {
		v.differ("/etc/profile: umask", "not set", wanted)
	}
	if _, err := v.r.Stat(bashrc); err == nil && !set[true] {
		v.differ(bashrc+": umask", "not set", wanted)
	}
	v.umaskDefs()
	return v.umaskPAM()
}

// umaskDefs looks at what login.defs(5) gives: programs differ in which of two
// lines counts.
func (v *survey) umaskDefs() {
	given := v.defs["UMASK"]
	if i := slices.IndexFunc(given, func(value string) bool { return !strict(value) }); i >= 0 || len(given) == 0 {
		have := "not set"
		if i >= 0 {
			have = cmp.Or(given[i], "empty")
		}
		v.differ(loginDefs+": UMASK", have, wanted)
	}
}

// umaskPAM looks at what pam_umask(8) gives before a shell begins: by its line in
// a service, and by the comment of an account.
func (v *survey) umaskPAM() error {
	uses, err := pam.Uses(v.r, "session", "pam_umask.so")
	if err != nil {
		return err
	}
	for _, use := range uses {
		for _, a := range use.Arguments {
			if value, ok := strings.CutPrefix(a, "umask="); ok && !strict(value) {
				v.differ(use.File+": pam_umask", a, wanted)
			}
		}
	}
	for _, record := range v.passwd.lines {
		for part := range strings.SplitSeq(record[4], ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(part), "umask="); ok && !strict(value) && !v.excepted(record[0]) {
				v.differ(passwdFile+": "+record[0]+": umask in the comment", value, wanted)
			}
		}
	}
	return nil
}

// mendUmask takes out masks that are too lax, and sets one where none is left.
// What people have in their own files is theirs to change.
func (v *survey) mendUmask(sys system.System) error {
	files, err := v.common()
	if err != nil {
		return err
	}
	commands, err := v.lax(files)
	if err != nil {
		return err
	}
	if err := takeOut(sys, commands); err != nil {
		return err
	}
	v.found = nil
	if v.umaskDefs(); len(v.found) > 0 {
		if err := setDef(sys, "UMASK", "027"); err != nil {
			return err
		}
		v.defs["UMASK"] = []string{"027"}
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
