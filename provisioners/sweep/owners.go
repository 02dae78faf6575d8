package sweep

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"imgbuild/provisioners/passwd"
	"imgbuild/provisioners/system"
)

// database maps the numbers of passwd(5) or group(5) to names; a missing file
// has nobody.
func database(r system.Reader, name string) (map[int]string, error) {
	list, err := passwd.Read(r, name)
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, record := range list {
		id, err := strconv.ParseUint(record.Fields[2], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("reading %s: line %d: %w", name, record.Line, err)
		}
		if _, taken := names[int(id)]; !taken {
			names[int(id)] = record.Fields[0]
		}
	}
	return names, nil
}

// named is the name of a number, or the number.
func named(names map[int]string, id int) string {
	if name, known := names[id]; known {
		return name
	}
	return strconv.Itoa(id)
}

func databases(r system.Reader) (users, groups map[int]string, err error) {
	if users, err = database(r, passwd.Users); err != nil {
		return nil, nil, err
	}
	groups, err = database(r, passwd.Groups)
	return users, groups, err
}

// unowned finds files of users and groups that the system does not know: who
// gets the number next gets the file. Who they should belong to, nobody knows.
func unowned(r system.Reader, _ *Sweep) (look, error) {
	users, groups, err := databases(r)
	if err != nil {
		return nil, err
	}
	return func(e Entry) ([]finding, error) {
		var list []finding
		add := func(what string, id int) {
			list = append(list, finding{entry: e, difference: system.Difference{
				Subject: e.Path + ": " + what, Have: fmt.Sprintf("the unknown number %d", id), Want: "a known " + what,
			}})
		}
		if _, known := users[e.Info.UID]; !known {
			add("owner", e.Info.UID)
		}
		if _, known := groups[e.Info.GID]; !known {
			add("group", e.Info.GID)
		}
		return list, nil
	}, nil
}

// firstPerson is the lowest number that Debian gives to a person's account
// (UID_MIN in /etc/login.defs; Debian policy 9.2.2).
const firstPerson = 1000

// logs finds log files that others may read or a group may write to, or that
// belong to a person. The records of logins are for all to read and for group
// utmp to write, btmp but for all; the journal's directory gives its files to
// its own group. Debian's daemons own their own logs.
func logs(r system.Reader, _ *Sweep) (look, error) {
	users, groups, err := databases(r)
	if err != nil {
		return nil, err
	}
	return func(e Entry) ([]finding, error) {
		if !e.Info.Mode.IsRegular() || !below([]string{"/var/log"}, e.Path) {
			return nil, nil
		}
		most, group := logBounds(path.Base(e.Path))
		var list []finding
		if f := less(e, fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky|fs.ModePerm&^most); f != nil {
			list = append(list, *f)
		}
		owner, known := users[e.Info.UID]
		if !known || e.Info.UID >= firstPerson {
			list = append(list, finding{entry: e, difference: system.Difference{
				Subject: e.Path + ": owner", Have: strconv.Itoa(e.Info.UID), Want: "root or a daemon's account",
			}})
		}
		switch name := groups[e.Info.GID]; name {
		case "root", "adm", group:
		case "":
			list = append(list, stranger(e))
		default:
			if name != owner || e.Info.UID >= firstPerson {
				list = append(list, stranger(e))
			}
		}
		return list, nil
	}, nil
}

func stranger(e Entry) finding {
	return finding{entry: e, difference: system.Difference{
		Subject: e.Path + ": group", Have: strconv.Itoa(e.Info.GID), Want: "root, adm or the owner's own",
	}}
}

// logBounds are the most permissions that a log may have by its name, and a
// group of its own kind.
func logBounds(base string) (most fs.FileMode, group string) {
	stem, _, _ := strings.Cut(base, ".")
	switch {
	case stem == "wtmp" || stem == "lastlog":
		return 0o664, "utmp"
	case stem == "btmp":
		return 0o660, "utmp"
	case strings.HasSuffix(base, ".journal") || strings.HasSuffix(base, ".journal~"):
		return 0o640, "systemd-journal"
	}
	return 0o640, ""
}
