package account

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
	"imgbuild/provisioners/system"
)

// User is a local user. It has no password; how people log in is a matter of
// the first boot.
type User struct {
	Name string `json:"-"`
	// UID is chosen like a group's number when nil, equal to the GID where free.
	UID *int `json:"uid,omitempty" jsonschema_description:"number; chosen when not given"`
	// Group is the primary group's name; one of the user's own name, made when
	// it is missing, when empty.
	Group string `json:"group,omitempty" jsonschema_description:"primary group; by default one of the same name"`
	// Groups are further ones; membership in others is left alone.
	Groups []string `json:"groups,omitempty" jsonschema_description:"further groups"`
	System bool     `json:"system,omitempty" jsonschema_description:"an account of a service: number below 1000, no home, no shell"`
	// Home, Shell and Comment are left as they are when empty and the user exists.
	Home    string `json:"home,omitempty" jsonschema_description:"home directory; default /home/NAME, or /nonexistent for a system user"`
	Shell   string `json:"shell,omitempty" jsonschema_description:"login shell; default /bin/bash, or /usr/sbin/nologin for a system user"`
	Comment string `json:"comment,omitempty" jsonschema_description:"full name or purpose"`
	Absent  bool   `json:"absent,omitempty" jsonschema_description:"the user must not exist; its files are left"`
}

// NewUser decodes the user called e.Key.
func NewUser(e node.Entry) (*User, error) {
	u := &User{Name: e.Key}
	if err := node.Decode(e.Value, u); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	p.Add(checkAccount(e, "user", u.UID, u.Absent))
	for _, field := range []struct{ key, value string }{
		{"home", u.Home}, {"shell", u.Shell},
	} {
		if field.value != "" && (!path.IsAbs(field.value) || strings.ContainsAny(field.value, ":\n")) {
			p.Addf(e.Value.At(field.key), "expected an absolute path for %q, found %q", field.key, field.value)
		}
	}
	if strings.ContainsAny(u.Comment, ":\n") {
		p.Addf(e.Value.At("comment"), "a comment has no colon and one line")
	}
	for _, name := range append([]string{u.Group}, u.Groups...) {
		if name != "" && !validName.MatchString(name) {
			p.Addf(e.Pos, "%q is not the name of a group", name)
		}
	}
	return u, p.Err()
}

// Stated names the user when its number is stated, and the group of its own
// that is numbered after it.
func (u *User) Stated() (users, groups []string) {
	if u.UID == nil || u.Absent {
		return nil, nil
	}
	if u.Group == "" {
		groups = []string{u.Name}
	}
	return []string{u.Name}, groups
}

// Identity is the user's.
func (u *User) Identity() string { return "user " + u.Name }

// Check tells how the system's user differs.
func (u *User) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := open(r)
	if err != nil {
		return nil, err
	}
	record := d.passwd.find(u.Name)
	subject := u.Identity()
	switch {
	case u.Absent && record == nil && d.shadow.find(u.Name) == nil:
		return nil, nil
	case u.Absent:
		return []system.Difference{{Subject: subject, Have: "there", Want: "absent"}}, nil
	case record == nil:
		return []system.Difference{{Subject: subject, Have: "absent", Want: "there"}}, nil
	case len(record) != 7:
		return nil, fmt.Errorf("reading %s: the record of %q has %d fields", passwdFile, u.Name, len(record))
	}
	var list []system.Difference
	differ := func(what, have, want string) {
		if want != "" && have != want {
			list = append(list, system.Difference{Subject: subject + ": " + what, Have: have, Want: want})
		}
	}
	if u.UID != nil {
		differ("uid", record[2], strconv.Itoa(*u.UID))
	}
	if u.Group != "" {
		want := "that of missing group " + u.Group
		if g := d.group.find(u.Group); g != nil {
			gid, err := d.group.id(g, 2)
			if err != nil {
				return nil, err
			}
			want = strconv.Itoa(gid)
		}
		differ("gid", record[3], want)
	}
	if u.System && u.UID == nil {
		ofService, err := u.ofService(r, d, record)
		if err != nil {
			return nil, err
		}
		if !ofService {
			differ("uid", record[2], aService)
		}
	}
	differ("comment", record[4], u.Comment)
	differ("home", record[5], u.Home)
	differ("shell", record[6], u.Shell)
	for _, name := range u.Groups {
		if !slices.Contains(members(d.group.find(name)), u.Name) {
			differ("group "+name, "not a member", "a member")
		}
	}
	if !u.System && u.wantsHome() {
		if _, err := r.Stat(record[5]); errors.Is(err, fs.ErrNotExist) {
			differ("home "+record[5], "absent", "there")
		} else if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// aService is what the number of a system user should be.
const aService = "that of a service"

// ofService tells whether a record's number is one that services have: not root's
// and below those of people.
func (u *User) ofService(r system.Reader, d *database, record []string) (bool, error) {
	uid, err := d.passwd.id(record, 2)
	if err != nil {
		return false, err
	}
	values, err := defs(r)
	if err != nil {
		return false, err
	}
	people, err := firstRegular(values)
	const nobody = 65534
	return (uid != 0 || u.Name == "root") && (uid < people || uid == nobody), err
}

func (u *User) wantsHome() bool { return !u.System && u.Home != "/nonexistent" }

// members are the names in a group's record.
func members(group []string) []string {
	if len(group) < 4 || group[3] == "" {
		return nil
	}
	return strings.Split(group[3], ",")
}

// Apply makes the user as it should be. Files that belong to a user whose
// number changes keep the old number.
func (u *User) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := u.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	for _, d := range differences {
		if d.Want == aService {
			return false, fault.Failedf("%s; its files would go to another with it", d).WithHint(`state its number in "uid", and give its files to that`)
		}
	}
	d, err := open(s)
	if err != nil {
		return false, err
	}
	if u.Absent {
		d.dropUser(u.Name)
		return true, d.write(s)
	}
	record, err := u.record(d)
	if err != nil {
		return false, fmt.Errorf("making user %s: %w", u.Name, err)
	}
	d.passwd.put(record)
	if d.shadow.find(u.Name) == nil {
		// The day of the last change stays empty: it would be the day of the bake.
		record := []string{u.Name, "!", "", "0", "99999", "7", "", "", ""}
		if u.System {
			record = []string{u.Name, "!", "", "", "", "", "", "", ""}
		}
		d.shadow.put(record)
	}
	if err := d.write(s); err != nil {
		return false, err
	}
	if u.wantsHome() {
		if err := makeHome(s, record); err != nil {
			return false, fmt.Errorf("making home of user %s: %w", u.Name, err)
		}
	}
	return true, nil
}

// record makes the user's line of passwd(5), and the groups that it needs.
func (u *User) record(d *database) ([]string, error) {
	record := d.passwd.find(u.Name)
	fresh := record == nil
	if fresh {
		home, shell := "/home/"+u.Name, "/bin/bash"
		if u.System {
			home, shell = "/nonexistent", "/usr/sbin/nologin"
		}
		record = []string{u.Name, "x", "", "", "", home, shell}
	}
	uid := u.UID
	if fresh && uid == nil {
		id, err := u.chooseID(d)
		if err != nil {
			return nil, err
		}
		uid = &id
	}
	if uid != nil && record[2] != strconv.Itoa(*uid) {
		if d.passwd.ids()[*uid] {
			return nil, fmt.Errorf("number %d is taken", *uid)
		}
		record[2] = strconv.Itoa(*uid)
	}
	switch {
	case u.Group != "":
		g := d.group.find(u.Group)
		if g == nil {
			return nil, fmt.Errorf("there is no group %q%s", u.Group, node.Suggest(u.Group, d.group.names()))
		}
		record[3] = g[2]
	case fresh:
		own := uid
		if d.group.find(u.Name) != nil || d.group.ids()[*uid] {
			own = nil
		}
		gid, err := d.ensureGroup(u.Name, own, u.System)
		if err != nil {
			return nil, err
		}
		record[3] = strconv.Itoa(gid)
	}
	for index, value := range map[int]string{4: u.Comment, 5: u.Home, 6: u.Shell} {
		if value != "" {
			record[index] = value
		}
	}
	for _, name := range u.Groups {
		if err := d.join(u.Name, name); err != nil {
			return nil, err
		}
	}
	return record, nil
}

// chooseID takes a number that is free for user and group alike, or the one of
// a group of the user's name.
func (u *User) chooseID(d *database) (int, error) {
	if own := d.group.find(u.Name); own != nil && u.Group == "" {
		if id, err := d.group.id(own, 2); err == nil && !d.passwd.ids()[id] {
			return id, nil
		}
	}
	if u.Group != "" {
		return free(u.System, d.passwd.ids())
	}
	return free(u.System, d.passwd.ids(), d.group.ids())
}

// join makes a user a member of a group in both files.
func (d *database) join(user, name string) error {
	group := d.group.find(name)
	if group == nil {
		return fmt.Errorf("there is no group %q%s", name, node.Suggest(name, d.group.names()))
	}
	for _, t := range []*table{d.group, d.gshadow} {
		if record := t.find(name); len(record) == 4 && !slices.Contains(members(record), user) {
			record[3] = strings.Join(append(members(record), user), ",")
		}
	}
	return nil
}

// dropUser removes a user, its memberships, and the group of its own name when
// nobody else is in it, as userdel(8) does.
func (d *database) dropUser(name string) {
	record := d.passwd.find(name)
	d.passwd.remove(name)
	d.shadow.remove(name)
	for _, t := range []*table{d.group, d.gshadow} {
		for _, group := range t.lines {
			if len(group) == 4 {
				group[3] = strings.Join(slices.DeleteFunc(members(group), func(m string) bool { return m == name }), ",")
			}
		}
	}
	own := d.group.find(name)
	if record == nil || own == nil || len(members(own)) > 0 || len(record) < 4 || own[2] != record[3] {
		return
	}
	for _, other := range d.passwd.lines {
		if len(other) > 3 && other[3] == own[2] {
			return
		}
	}
	d.group.remove(name)
	d.gshadow.remove(name)
}

// skeleton is copied into new homes.
const skeleton = "/etc/skel"

// makeHome makes a missing home directory, mode 0700 as Debian's adduser(8)
// has it, and the files of the skeleton in it.
func makeHome(s system.System, record []string) error {
	home := record[5]
	if _, err := s.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	uid, err := strconv.Atoi(record[2])
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(record[3])
	if err != nil {
		return err
	}
	if err := system.MkdirAll(s, path.Dir(home)); err != nil {
		return err
	}
	if err := s.Mkdir(home, system.Attr{Mode: 0o700, UID: uid, GID: gid}); err != nil {
		return err
	}
	names, err := system.Names(s, skeleton)
	if err != nil {
		return err
	}
	for _, name := range names {
		from := path.Join(skeleton, name)
		info, err := s.Lstat(from)
		if err != nil {
			return err
		}
		if !info.Mode.IsRegular() {
			continue
		}
		content, err := s.Open(from)
		if err != nil {
			return err
		}
		err = s.WriteFile(path.Join(home, name), content, system.Attr{Mode: info.Mode, UID: uid, GID: gid})
		if closeErr := content.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}
