package account

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// validName is what useradd(8) of Debian accepts and every tool can write down.
var validName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// The ranges of login.defs(5) as Debian ships it.
const (
	systemMin, systemMax   = 101, 999
	regularMin, regularMax = 1000, 60000
)

// maxID is the largest number that no program takes for "none".
const maxID = 1<<32 - 2

// Group is a local group.
type Group struct {
	Name string `json:"-"`
	// GID is chosen as groupadd(8) does when nil.
	GID    *int `json:"gid,omitempty" jsonschema_description:"number; chosen when not given"`
	System bool `json:"system,omitempty" jsonschema_description:"choose the number below 1000"`
	// Empty asks that nobody is in the group or can get into it.
	Empty  bool `json:"empty,omitempty" jsonschema_description:"nobody is in it, by name or as his own group, and it has neither a password nor people who look after it"`
	Absent bool `json:"absent,omitempty" jsonschema_description:"the group must not exist"`
}

// NewGroup decodes the group called e.Key.
func NewGroup(e node.Entry) (*Group, error) {
	g := &Group{Name: e.Key}
	if err := node.Decode(e.Value, g); err != nil {
		return nil, err
	}
	return g, checkAccount(e, "group", g.GID, g.Absent)
}

// checkAccount checks what users and groups have alike.
func checkAccount(e node.Entry, what string, id *int, absent bool) error {
	switch {
	case !validName.MatchString(e.Key):
		return node.Errorf(e.Pos, "%q is not the name of a %s: a lower-case letter, then letters, digits, _ and -, 32 at most", e.Key, what)
	case absent && len(e.Value.Entries) > 1:
		return node.Errorf(e.Pos, `%s %q: nothing goes with "absent"`, what, e.Key)
	case absent && e.Key == "root":
		return node.Errorf(e.Pos, "%s root cannot be absent", what)
	case id != nil && (*id < 0 || *id > maxID || *id == 1<<16-1):
		return node.Errorf(e.Pos, "%d is not the number of a %s", *id, what)
	}
	return nil
}

// Stated names the group when its number is stated.
func (g *Group) Stated() (users, groups []string) {
	if g.GID == nil || g.Absent {
		return nil, nil
	}
	return nil, []string{g.Name}
}

// Identity is the group's.
func (g *Group) Identity() string { return "group " + g.Name }

// Check tells how the system's group differs.
func (g *Group) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := open(r)
	if err != nil {
		return nil, err
	}
	record := d.group.find(g.Name)
	subject := g.Identity()
	switch {
	case g.Absent && record == nil && d.gshadow.find(g.Name) == nil:
		return nil, nil
	case g.Absent:
		return []system.Difference{{Subject: subject, Have: "there", Want: "absent"}}, nil
	case record == nil:
		return []system.Difference{{Subject: subject, Have: "absent", Want: "there"}}, nil
	}
	gid, err := d.group.id(record, 2)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	if g.GID != nil && gid != *g.GID {
		list = append(list, system.Difference{Subject: subject + ": gid", Have: strconv.Itoa(gid), Want: strconv.Itoa(*g.GID)})
	}
	if g.Empty {
		found, _, err := d.entrances(g.Name)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// Apply makes the group as it should be. Files that belong to a group whose
// number changes keep the old number.
func (g *Group) Apply(ctx context.Context, s system.System) (bool, error) {
	differences, err := g.Check(ctx, s)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	d, err := open(s)
	if err != nil {
		return false, err
	}
	if g.Absent {
		d.group.remove(g.Name)
		d.gshadow.remove(g.Name)
		return true, d.write(s)
	}
	if _, err := d.ensureGroup(g.Name, g.GID, g.System); err != nil {
		return false, err
	}
	if g.Empty {
		if err := d.vacate(g.Name); err != nil {
			return false, err
		}
	}
	return true, d.write(s)
}

// ensureGroup makes a group, or gives it the number id, and returns its number.
func (d *database) ensureGroup(name string, id *int, systemRange bool) (int, error) {
	record := d.group.find(name)
	if record != nil && id == nil {
		return d.group.id(record, 2)
	}
	used := d.group.ids()
	var gid int
	switch {
	case id == nil:
		var err error
		if gid, err = free(systemRange, used); err != nil {
			return 0, fmt.Errorf("making group %s: %w", name, err)
		}
	case used[*id]:
		return 0, fmt.Errorf("making group %s: number %d is taken", name, *id)
	default:
		gid = *id
	}
	if record == nil {
		record = []string{name, "x", "", ""}
		d.gshadow.put([]string{name, "!", "", ""})
	}
	for len(record) < 4 {
		record = append(record, "")
	}
	record[2] = strconv.Itoa(gid)
	d.group.put(record)
	return gid, nil
}

// free chooses a number that none of used has, as useradd(8) does: in the
// system range one below the lowest in use, in the regular range one above the
// highest, and where that leaves the range the first free one from the far end.
func free(systemRange bool, used ...map[int]bool) (int, error) {
	first, last, step := regularMax, regularMin, 1
	if systemRange {
		first, last, step = systemMin, systemMax, -1
	}
	taken := func(id int) bool {
		return slices.ContainsFunc(used, func(u map[int]bool) bool { return u[id] })
	}
	// Walk against step to the outermost number in use; beyond it all are free.
	id := first
	for ; id != last-step && !taken(id); id -= step {
	}
	if id != first {
		return id + step, nil
	}
	for id := last; id != first+step; id += step {
		if !taken(id) {
			return id, nil
		}
	}
	return 0, fmt.Errorf("no number from %d to %d is free", min(first, last), max(first, last))
}
