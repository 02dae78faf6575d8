package install

import (
	"fmt"
	"strings"

	"imgbuild/builder/accounts"
	"imgbuild/builder/debian/deb"
)

// diversion is where the files of other packages than by are put instead.
type diversion struct {
	to, by string
}

// placement says where entries are put and whose they are.
type placement struct {
	diversions map[string]diversion
	overrides  map[string]override
	users      map[string]int
	groups     map[string]int
}

// override is one line of dpkg-statoverride(1).
type override struct {
	uid, gid int
	mode     uint32
}

// readPlacement reads the diversions, overrides and accounts of the root as
// they are now.
func readPlacement(r *root) (*placement, error) {
	pl := &placement{diversions: map[string]diversion{}, overrides: map[string]override{}}
	all, err := accounts.Read(r.path)
	if err != nil {
		return nil, err
	}
	pl.users, pl.groups = all.Users, all.Groups
	data, err := r.read(adminDir + "/diversions")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	for ; len(lines) >= 3; lines = lines[3:] {
		pl.diversions[strings.TrimPrefix(lines[0], "/")] = diversion{to: strings.TrimPrefix(lines[1], "/"), by: lines[2]}
	}
	if data, err = r.read(adminDir + "/statoverride"); err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if err := pl.addOverride(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("reading /%s/statoverride: %w", adminDir, err)
		}
	}
	return pl, nil
}

func (pl *placement) addOverride(line string) error {
	var user, group, path string
	var o override
	if line == "" {
		return nil
	}
	if _, err := fmt.Sscanf(line, "%s %s %o %s", &user, &group, &o.mode, &path); err != nil {
		return fmt.Errorf("%q: %w", line, err)
	}
	var err error
	if o.uid, err = number(user, pl.users); err != nil {
		return err
	}
	if o.gid, err = number(group, pl.groups); err != nil {
		return err
	}
	pl.overrides[strings.TrimPrefix(path, "/")] = o
	return nil
}

// number reads a name, or a number written as #number.
func number(name string, names map[string]int) (int, error) {
	var n int
	if strings.HasPrefix(name, "#") {
		_, err := fmt.Sscanf(name, "#%d", &n)
		return n, err
	}
	n, ok := names[name]
	if !ok {
		return 0, fmt.Errorf("there is no account %q", name)
	}
	return n, nil
}

// path returns where p's file of that path is put.
func (pl *placement) path(p *pkg, path string) string {
	if d, ok := pl.diversions[path]; ok && d.by != p.locked.Name {
		return d.to
	}
	return path
}

// attributes returns the owner and mode that an entry gets: names count before
// numbers where the root knows them, as for dpkg.
func (pl *placement) attributes(e *deb.Entry) (uid, gid int, mode uint32) {
	if o, ok := pl.overrides[e.Path]; ok {
		return o.uid, o.gid, o.mode
	}
	uid, gid = e.UID, e.GID
	if n, ok := pl.users[e.User]; ok {
		uid = n
	}
	if n, ok := pl.groups[e.Group]; ok {
		gid = n
	}
	return uid, gid, e.Mode
}
