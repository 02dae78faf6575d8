package mount

import (
	"errors"
	"slices"
	"strings"
)

// options are those of one mount, in order: of two that contradict each other
// the later one counts.
type options []string

// parseOptions parts the field of fstab(5); a comma within double quotes is part
// of a value, as mount(8) has it, and quotes must pair.
func parseOptions(text string) (options, error) {
	var list options
	start, quoted := 0, false
	for i, c := range []byte(text + ",") {
		switch {
		case i == len(text) || c == ',' && !quoted:
			if i > start {
				list = append(list, text[start:i])
			}
			start = i + 1
		case c == '"':
			quoted = !quoted
		}
	}
	if quoted {
		return nil, errors.New("quotes among the options are not closed")
	}
	return list, nil
}

func (o options) String() string {
	if len(o) == 0 {
		return "defaults"
	}
	return strings.Join(o, ",")
}

// switches are the options that a "no" before them turns off.
var switches = []string{
	"dev", "suid", "exec", "atime", "diratime", "relatime", "strictatime", "mand", "iversion", "lazytime", "auto", "user",
}

// opposite is the option that takes a switch back, "" for what is none.
func opposite(name string) string {
	off, isOff := strings.CutPrefix(name, "no")
	switch {
	case name == "ro":
		return "rw"
	case name == "rw":
		return "ro"
	case isOff && slices.Contains(switches, off):
		return off
	case slices.Contains(switches, name):
		return "no" + name
	}
	return ""
}

// implied are what an option turns on with it (mount(8), "user" and "owner").
func implied(name string) []string {
	switch name {
	case "user", "users":
		return []string{"noexec", "nosuid", "nodev"}
	case "owner", "group":
		return []string{"nosuid", "nodev"}
	}
	return nil
}

// has tells whether an option is in force: "nodev", "hidepid=2", or "size" with
// any value. What the kernel does without being told is not in force.
func (o options) has(want string) bool {
	name, value, valued := strings.Cut(want, "=")
	in := false
	for _, option := range o {
		n, v, _ := strings.Cut(option, "=")
		switch {
		case n == name:
			in = !valued || same(name, v, value)
		case opposite(name) != "" && n == opposite(name):
			in = false
		case slices.Contains(implied(n), name):
			in = true
		case slices.Contains(implied(n), opposite(name)):
			in = false
		}
	}
	return in
}

// hidepid are the names that proc(5)'s numbers have had since Linux 5.8.
var hidepid = map[string]string{"0": "off", "1": "noaccess", "2": "invisible", "4": "ptraceable"}

// same tells whether two values of an option mean the same.
func same(name, a, b string) bool {
	if name == "hidepid" {
		if word, ok := hidepid[a]; ok {
			a = word
		}
		if word, ok := hidepid[b]; ok {
			b = word
		}
	}
	return strings.Trim(a, `"`) == strings.Trim(b, `"`)
}

// with puts an option in force and leaves what does not contradict it.
func (o options) with(want string) options {
	if o.has(want) {
		return o
	}
	name, _, _ := strings.Cut(want, "=")
	return append(o.drop(func(n, _ string) bool { return n == name || n == opposite(name) }), want)
}

// without takes an option out of force.
func (o options) without(unwanted string) options {
	if !o.has(unwanted) {
		return o
	}
	name, value, valued := strings.Cut(unwanted, "=")
	left := o.drop(func(n, v string) bool { return n == name && (!valued || same(name, v, value)) })
	if left.has(unwanted) && opposite(name) != "" {
		left = append(left, opposite(name))
	}
	return left
}

func (o options) drop(which func(name, value string) bool) options {
	return slices.DeleteFunc(slices.Clone(o), func(option string) bool {
		name, value, _ := strings.Cut(option, "=")
		return which(name, value)
	})
}
