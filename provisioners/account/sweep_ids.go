package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// unique finds records of a table that share a field.
func (v *survey) unique(t *table, what string, index int) {
	names := map[string][]string{}
	var order []string
	for _, record := range t.lines {
		key := record[index]
		if index > 0 {
			n, _ := t.id(record, index) // whole has read it
			key = strconv.Itoa(n)
		}
		if names[key] == nil {
			order = append(order, key)
		}
		names[key] = append(names[key], record[0])
	}
	for _, key := range order {
		list := slices.DeleteFunc(names[key], v.excepted)
		if len(list) > 1 {
			v.differ(t.name+": "+what+" "+key, fmt.Sprintf("that of %d records (%s)", len(list), strings.Join(list, ", ")), "that of one")
		}
	}
}

func (v *survey) uniqueUIDs() error   { v.unique(v.passwd, "uid", 2); return nil }
func (v *survey) uniqueGIDs() error   { v.unique(v.group, "gid", 2); return nil }
func (v *survey) uniqueUsers() error  { v.unique(v.passwd, "user", 0); return nil }
func (v *survey) uniqueGroups() error { v.unique(v.group, "group", 0); return nil }

func (v *survey) primaryGroups() error {
	used := v.group.ids()
	for _, record := range v.passwd.lines {
		gid, err := v.passwd.id(record, 3)
		if err != nil {
			return err
		}
		if !used[gid] && !v.excepted(record[0]) {
			v.differ(passwdFile+": "+record[0]+": gid", record[3]+", which no group has", "that of a group")
		}
	}
	return nil
}

func (v *survey) rootUID() error {
	for _, record := range v.passwd.lines {
		if uid(record) == 0 && record[0] != "root" && !v.excepted(record[0]) {
			v.differ(passwdFile+": "+record[0]+": uid", "0", "that of no other than root")
		}
	}
	if record := v.passwd.find("root"); record == nil || uid(record) != 0 {
		v.differ(passwdFile+": root", "absent or with another number", "uid 0")
	}
	return nil
}

func (v *survey) rootGID() error {
	for _, record := range v.passwd.lines {
		gid, err := v.passwd.id(record, 3)
		if err != nil {
			return err
		}
		switch {
		case record[0] == "root" && gid != 0:
			v.differ(passwdFile+": root: gid", record[3], "0")
		case record[0] != "root" && gid == 0 && !v.excepted(record[0]):
			v.differ(passwdFile+": "+record[0]+": gid", "0", "that of no other than root")
		}
	}
	return nil
}

func (v *survey) rootGroup() error {
	for _, record := range v.group.lines {
		if uid(record) == 0 && record[0] != "root" && !v.excepted(record[0]) {
			v.differ(groupFile+": "+record[0]+": gid", "0", "that of no other than group root")
		}
	}
	return nil
}

func (v *survey) shadowed() error {
	for _, record := range v.passwd.lines {
		if record[1] != "x" && !v.excepted(record[0]) {
			v.differ(passwdFile+": "+record[0]+": password", "here", "x, for one in "+shadowFile)
		}
	}
	for _, record := range v.group.lines {
		if groupHash(record) && !v.excepted(record[0]) {
			v.differ(groupFile+": "+record[0]+": password", "here", "x, for one in "+gshadowFile)
		}
	}
	return nil
}

// groupHash tells whether a record of group(5) has a password itself; an empty
// field lets in nobody (newgrp(1)).
func groupHash(record []string) bool {
	return record[1] != "" && record[1] != "x" && usable(record[1])
}

// mendShadowed moves passwords to shadow(5) and gshadow(5) as pwconv(8) and
// grpconv(8) do; one that is there stays.
func (v *survey) mendShadowed(sys system.System) error {
	for _, record := range v.passwd.lines {
		if record[1] == "x" || v.excepted(record[0]) {
			continue
		}
		if v.shadow.find(record[0]) == nil {
			v.shadow.put([]string{record[0], record[1], "", "", "", "", "", "", ""})
		}
		record[1] = "x"
	}
	for _, record := range v.group.lines {
		if !groupHash(record) || v.excepted(record[0]) {
			continue
		}
		if v.gshadow.find(record[0]) == nil {
			v.gshadow.put([]string{record[0], record[1], "", record[3]})
		}
		record[1] = "x"
	}
	return v.write(sys)
}

func (v *survey) noEmpty() error {
	for _, record := range v.shadow.lines {
		if record[1] == "" && !v.excepted(record[0]) {
			v.differ(shadowFile+": "+record[0]+": password", "empty", "set or locked", func() { record[1] = "!" })
		}
	}
	for _, record := range v.passwd.lines {
		if record[1] == "" && !v.excepted(record[0]) {
			v.differ(passwdFile+": "+record[0]+": password", "empty", "x", func() {
				record[1] = "x"
				if v.shadow.find(record[0]) == nil {
					v.shadow.put([]string{record[0], "!", "", "", "", "", "", "", ""})
				}
			})
		}
	}
	return nil
}

func (v *survey) rootPassword() error {
	record := v.shadow.find("root")
	switch {
	case record == nil:
		v.differ(shadowFile+": root", "absent", "with a password or locked", func() {
			v.shadow.put([]string{"root", "*", "", "", "", "", "", "", ""})
		})
	case record[1] == "":
		v.differ(shadowFile+": root: password", "empty", "set or locked", func() { record[1] = "*" })
	}
	// What stands here wins over the other file.
	if record := v.passwd.find("root"); record != nil && record[1] == "" {
		v.differ(passwdFile+": root: password", "empty", "x, for one in "+shadowFile, func() { record[1] = "x" })
	}
	return nil
}

// strong are the beginnings of hashes that cost a guesser time: yescrypt, its
// relative of GOST, scrypt, bcrypt and SHA-512 (crypt(5)).
var strong = []string{"$y$", "$gy$", "$7$", "$2b$", "$2y$", "$6$"}

func (v *survey) strongHashes() error {
	for _, record := range v.shadow.lines {
		weak := !slices.ContainsFunc(strong, func(prefix string) bool { return strings.HasPrefix(record[1], prefix) })
		if weak && record[1] != "" && usable(record[1]) && !v.excepted(record[0]) {
			v.differ(shadowFile+": "+record[0]+": password", "hashed in a way that is quick to guess", "hashed with yescrypt")
		}
	}
	return nil
}

func (v *survey) shadowGroup() error {
	found, mends, err := v.entrances("shadow", v.sweep.Except...)
	v.found, v.mends = append(v.found, found...), append(v.mends, mends...)
	return err
}

func (v *survey) systemShells() error {
	for _, record := range v.passwd.lines {
		if v.isSystem(record) && !nologin(record[6]) && !v.excepted(record[0]) {
			v.differ(passwdFile+": "+record[0]+": shell", loginShell(record), "/usr/sbin/nologin", func() { record[6] = "/usr/sbin/nologin" })
		}
	}
	return nil
}

// lock notes accounts whose password lets somebody in.
func (v *survey) lock(of func(record []string) bool) {
	for _, user := range v.passwd.lines {
		record := v.shadow.find(user[0])
		if record == nil || user[0] == "root" || !of(user) || !usable(record[1]) || v.excepted(user[0]) {
			continue
		}
		// As usermod(8) -L does: the password is kept behind the mark.
		v.differ(shadowFile+": "+user[0]+": password", "usable", "locked", func() { record[1] = "!" + record[1] })
	}
}

func (v *survey) systemLocked() error { v.lock(v.isSystem); return nil }

func (v *survey) noShellLocked() error {
	v.lock(func(record []string) bool { return !v.shells[loginShell(record)] })
	return nil
}

func (v *survey) nologinListed() error {
	text, _, err := system.ReadText(v.r, shellsFile, maxText)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(text, "\n") {
		if listed(line) {
			v.differ(shellsFile+": "+strings.TrimSpace(line), "there", "absent")
		}
	}
	return nil
}

func listed(line string) bool {
	line, _, _ = strings.Cut(line, "#")
	return strings.HasSuffix(strings.TrimSpace(line), "/nologin")
}

func (v *survey) mendShells(sys system.System) error {
	text, _, err := system.ReadText(v.r, shellsFile, maxText)
	if err != nil {
		return err
	}
	lines := slices.DeleteFunc(strings.SplitAfter(text, "\n"), listed)
	return system.Replace(sys, shellsFile, strings.Join(lines, ""), 0o644)
}
