package account

import (
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// entrances tells who is in a group, and how others get into it: by its password
// (newgrp(1)), or through those who may add members (gpasswd(1)). mend takes out
// what may be taken out; whoever has the group for his own is left to a person.
// except are members that may be there.
func (d *database) entrances(name string, except ...string) (found []system.Difference, mend []func(), err error) {
	differ := func(file, what, have, want string, do func()) {
		found = append(found, system.Difference{Subject: file + ": " + name + ": " + what, Have: have, Want: want})
		if do != nil {
			mend = append(mend, do)
		}
	}
	list := func(t *table, record []string, field int, what string) {
		if len(record) <= field || record[field] == "" {
			return
		}
		names := strings.Split(record[field], ",")
		stays := func(one string) bool { return slices.Contains(except, one) }
		if left := slices.DeleteFunc(slices.Clone(names), stays); len(left) > 0 {
			differ(t.name, what, strings.Join(left, ", "), "none", func() {
				record[field] = strings.Join(slices.DeleteFunc(names, func(one string) bool { return !stays(one) }), ",")
			})
		}
	}
	for _, t := range []*table{d.group, d.gshadow} {
		// Of a name that is there twice every record counts for some program.
		for _, record := range t.lines {
			if record[0] != name || len(record) < 4 {
				continue
			}
			locked, open := "!", usable(record[1]) && record[1] != ""
			if t == d.group {
				// x stands for the one in gshadow(5).
				locked, open = "x", open && record[1] != "x"
			} else {
				list(t, record, 2, "administrators")
			}
			if open {
				differ(t.name, "password", "usable", "locked", func() { record[1] = locked })
			}
			list(t, record, 3, "members")
		}
	}
	group := d.group.find(name)
	if group == nil {
		return found, mend, nil
	}
	gid, err := d.group.id(group, 2)
	if err != nil {
		return nil, nil, err
	}
	for _, record := range d.passwd.lines {
		own, err := d.passwd.id(record, 3)
		if err != nil {
			return nil, nil, err
		}
		if own == gid && !slices.Contains(except, record[0]) {
			found = append(found, system.Difference{Subject: passwdFile + ": " + record[0] + ": gid", Have: "that of group " + name, Want: "another"})
		}
	}
	return found, mend, nil
}

// vacate empties a group.
func (d *database) vacate(name string) error {
	_, mend, err := d.entrances(name)
	if err != nil {
		return err
	}
	for _, do := range mend {
		do()
	}
	left, _, err := d.entrances(name)
	if err != nil || len(left) == 0 {
		return err
	}
	return fault.Failedf("%s; a person has to say which", left[0]).WithHint("give that user a group of its own")
}
