// Package inventory takes stock of a system: its packages, users, groups, units,
// jobs and listening sockets. It reads the system's own files, runs nothing and
// changes nothing. Of what files say it tells names and digests alone: no
// password, and no command with its arguments.
package inventory

import (
	"context"
	"fmt"

	"imgbuild/provisioners/account"
	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// Inventory is what a system has, each list sorted.
type Inventory struct {
	Packages []dpkg.Installed      `json:"packages"`
	Users    []account.Listed      `json:"users"`
	Groups   []account.ListedGroup `json:"groups"`
	Units    []service.Listed      `json:"units"`
	Jobs     []Job                 `json:"jobs"`
	// Running says that the system runs: only then Ports are known.
	Running bool   `json:"running"`
	Ports   []Port `json:"ports"`
	// Chosen are the alternatives that a person chose (update-alternatives(1),
	// "manual"), by name.
	Chosen []string `json:"chosen,omitempty"`
	// Made are paths that scripts of packages made and keep account of, relative
	// to the root: what of Apache they enabled.
	Made []string `json:"made,omitempty"`
}

// Take takes the inventory of a system, of which files may be opened by several
// goroutines at once.
func Take(ctx context.Context, r system.Reader) (*Inventory, error) {
	i := &Inventory{}
	for _, step := range []func() error{
		func() (err error) { i.Packages, err = dpkg.ReadInstalled(ctx, r); return err },
		func() (err error) { i.Users, i.Groups, err = account.List(r); return err },
		func() (err error) { i.Units, err = service.List(r); return err },
		func() (err error) { i.Jobs, err = jobs(r); return err },
		func() (err error) { i.Ports, i.Running, err = ports(ctx, r); return err },
		func() (err error) { i.Chosen, err = chosen(r); return err },
		func() (err error) { i.Made, err = made(r); return err },
	} {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := step(); err != nil {
			return nil, fmt.Errorf("taking the inventory: %w", err)
		}
	}
	return i, i.Check()
}

// The limits of an inventory: entries of each list, and the files of all
// packages.
const (
	maxEntries = 200_000
	maxFiles   = 4 << 20
)

// Check refuses an inventory that is larger than that of any system, such as
// one that a hostile server answers.
func (i *Inventory) Check() error {
	files := 0
	for _, p := range i.Packages {
		files += len(p.Files) + len(p.Conffiles) + len(p.Altered)
	}
	for _, l := range []struct {
		what        string
		count, most int
	}{
		{"packages", len(i.Packages), maxEntries}, {"users", len(i.Users), maxEntries}, {"groups", len(i.Groups), maxEntries},
		{"units", len(i.Units), maxEntries}, {"jobs", len(i.Jobs), maxEntries}, {"ports", len(i.Ports), maxEntries},
		{"alternatives", len(i.Chosen), maxEntries}, {"links", len(i.Made), maxEntries}, {"files of packages", files, 3 * maxFiles},
	} {
		if l.count > l.most {
			return fmt.Errorf("an inventory with %d %s, at most %d are read", l.count, l.what, l.most)
		}
	}
	return nil
}
