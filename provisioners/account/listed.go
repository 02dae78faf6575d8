package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// maxListed bounds the records of each file, and the members of a group.
const maxListed = 100_000

// Listed is a user of a system as passwd(5), group(5) and shadow(5) have it.
type Listed struct {
	Name    string `json:"name"`
	UID     int    `json:"uid"`
	Group   string `json:"group"`
	Home    string `json:"home"`
	Shell   string `json:"shell"`
	Comment string `json:"comment,omitempty"`
	// Groups are those that it is a member of besides, sorted.
	Groups []string `json:"groups,omitempty"`
	// Password is PasswordLocked, PasswordSet or PasswordNone; the password
	// itself is not told.
	Password string `json:"password"`
}

// What a user's password may be: none that is accepted, one, or none needed.
const (
	PasswordLocked = "locked"
	PasswordSet    = "set"
	PasswordNone   = "none"
)

// ListedGroup is a group of a system.
type ListedGroup struct {
	Name string `json:"name"`
	GID  int    `json:"gid"`
}

// List reads the users and groups of a system, sorted by name. Of a name that is
// there twice the first record counts, as for programs that look it up.
func List(r system.Reader) ([]Listed, []ListedGroup, error) {
	d, err := open(r)
	if err != nil {
		return nil, nil, err
	}
	names, joined := map[int]string{}, map[string][]string{}
	var groups []ListedGroup
	for _, record := range d.group.lines {
		if len(record) < 4 || !isName(record[0]) {
			continue
		}
		gid, err := d.group.id(record, 2)
		if err != nil {
			return nil, nil, fmt.Errorf("reading accounts: %w", err)
		}
		if _, known := names[gid]; !known {
			names[gid] = record[0]
		}
		groups = append(groups, ListedGroup{Name: record[0], GID: gid})
		for _, user := range members(record) {
			joined[user] = append(joined[user], record[0])
		}
	}
	var users []Listed
	for _, record := range d.passwd.lines {
		if len(record) < 7 || !isName(record[0]) {
			continue
		}
		uid, err := d.passwd.id(record, 2)
		if err != nil {
			return nil, nil, fmt.Errorf("reading accounts: %w", err)
		}
		gid, err := d.passwd.id(record, 3)
		if err != nil {
			return nil, nil, fmt.Errorf("reading accounts: %w", err)
		}
		u := Listed{Name: record[0], UID: uid, Group: names[gid], Comment: record[4], Home: record[5], Shell: record[6], Groups: joined[record[0]]}
		if u.Group == "" {
			u.Group = strconv.Itoa(gid)
		}
		slices.Sort(u.Groups)
		u.Groups = slices.Compact(u.Groups)
		u.Password = passwordOf(record, d.shadow.find(record[0]))
		users = append(users, u)
	}
	if len(users) > maxListed || len(groups) > maxListed {
		return nil, nil, fmt.Errorf("reading accounts: more than %d users or groups", maxListed)
	}
	slices.SortStableFunc(users, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(groups, func(a, b ListedGroup) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(users, func(a, b Listed) bool { return a.Name == b.Name }),
		slices.CompactFunc(groups, func(a, b ListedGroup) bool { return a.Name == b.Name }), nil
}

// passwordOf tells by a record of passwd and one of shadow, which may be nil.
func passwordOf(passwd, shadow []string) string {
	field := passwd[1]
	if field == "x" {
		if len(shadow) < 2 {
			return PasswordLocked
		}
		field = shadow[1]
	}
	switch {
	case field == "":
		return PasswordNone
	case strings.HasPrefix(field, "!") || strings.HasPrefix(field, "*"):
		return PasswordLocked
	}
	return PasswordSet
}

// nis tells whether a record is one of NIS: it names accounts that are elsewhere
// (nsswitch.conf(5), compat).
func nis(record []string) bool { return record[0] != "" && strings.ContainsAny(record[0][:1], "+-") }

// isName tells what begins a record from comments and the + and - of NIS.
func isName(text string) bool { return text != "" && !strings.ContainsAny(text[:1], "+-#") }
