// Package compare tells what a server has that an image lacks, and the reverse:
// what whoever takes over a server made by hand has to write into a recipe. What
// follows from another difference is not told again: files that an added package
// brought as they are, links that enable a unit. It compares what was read
// elsewhere, and reads nothing itself.
package compare

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/account"
	"imgbuild/provisioners/inventory"
	"imgbuild/provisioners/service"
)

// Side is one of the two systems.
type Side struct {
	// Name is what its user calls it, Platform such as "debian-12".
	Name, Platform string
	Inventory      *inventory.Inventory
	// Manifest is of its files, of both sides by the same rules; of neither when
	// files are not compared.
	Manifest integrity.Manifest
	// Declared are the ports that an image is to listen on by its recipe, "80/tcp";
	// nil when that is not known.
	Declared []string
}

// Kind is how the server differs.
type Kind string

// The kinds: the server has it and the image does not, or the reverse, or both
// have it and not the same.
const (
	Added   Kind = "added"
	Missing Kind = "missing"
	Changed Kind = "changed"
)

// Section is a kind of thing that is compared.
type Section string

// The sections, in the order in which they are told.
const (
	Packages Section = "packages"
	Users    Section = "users"
	Files    Section = "files"
	Services Section = "services"
	Ports    Section = "ports"
	Jobs     Section = "jobs"
)

// Sections are all of them.
func Sections() []Section { return []Section{Packages, Users, Files, Services, Ports, Jobs} }

// ParseSections reads names of sections; none means all.
func ParseSections(names []string) ([]Section, error) {
	if len(names) == 0 {
		return Sections(), nil
	}
	var list []Section
	for _, name := range names {
		s := Section(strings.TrimSpace(name))
		if !slices.Contains(Sections(), s) {
			var all []string
			for _, known := range Sections() {
				all = append(all, string(known))
			}
			return nil, fault.Inputf("there is nothing called %q to compare", name).WithHint("use some of %s", strings.Join(all, ", "))
		}
		list = append(list, s)
	}
	return list, nil
}

// Difference is all in which two systems differ, each list sorted. Of a section
// that was not asked for it is empty.
type Difference struct {
	Server         string    `json:"server"`
	ServerPlatform string    `json:"server_platform"`
	Image          string    `json:"image"`
	ImagePlatform  string    `json:"image_platform"`
	Compared       []Section `json:"compared"`
	Packages       []Package `json:"packages"`
	Users          []User    `json:"users"`
	Groups         []Group   `json:"groups"`
	Files          []File    `json:"files"`
	Services       []Unit    `json:"services"`
	Ports          []Port    `json:"ports"`
	Jobs           []Job     `json:"jobs"`
	// Recipe is what the packages that a person chose on the server come to in a
	// recipe, as YAML; empty without any.
	Recipe string `json:"recipe,omitempty"`
}

// Empty tells whether nothing differs.
func (d *Difference) Empty() bool {
	return len(d.Packages)+len(d.Users)+len(d.Groups)+len(d.Files)+len(d.Services)+len(d.Ports)+len(d.Jobs) == 0
}

// User is a user whom both have not alike.
type User struct {
	Kind   Kind            `json:"kind"`
	Name   string          `json:"name"`
	Server *account.Listed `json:"server,omitempty"`
	Image  *account.Listed `json:"image,omitempty"`
}

// Group is a group that both have not alike.
type Group struct {
	Kind   Kind                 `json:"kind"`
	Name   string               `json:"name"`
	Server *account.ListedGroup `json:"server,omitempty"`
	Image  *account.ListedGroup `json:"image,omitempty"`
}

// Unit is a unit that does not start on both, or not for the same reason.
type Unit struct {
	Kind Kind   `json:"kind"`
	Name string `json:"name"`
	// Package brought the unit; empty for one that no package brought.
	Package string          `json:"package,omitempty"`
	Server  *service.Listed `json:"server,omitempty"`
	Image   *service.Listed `json:"image,omitempty"`
}

// Port is a port on which the server waits for others and the image would not,
// as far as that can be told of an image that does not run: its unit is not
// enabled there, or the image's recipe does not speak of the port.
type Port struct {
	inventory.Port
	// Why says which.
	Why string `json:"why"`
}

// Job is a job of cron that only one has. A job that was changed is two.
type Job struct {
	Kind Kind `json:"kind"`
	inventory.Job
	// Package brought the file; empty for one that no package brought. Altered
	// says that the file is not as the package brought it.
	Package string `json:"package,omitempty"`
	Altered bool   `json:"altered,omitempty"`
}

// Systems compares a server with an image by sections.
func Systems(server, image Side, sections []Section) *Difference {
	d := &Difference{
		Server: server.Name, ServerPlatform: server.Platform, Image: image.Name, ImagePlatform: image.Platform, Compared: sections,
		Packages: []Package{}, Users: []User{}, Groups: []Group{}, Files: []File{}, Services: []Unit{}, Ports: []Port{}, Jobs: []Job{},
	}
	here, there := newPackages(server.Inventory.Packages), newPackages(image.Inventory.Packages)
	for _, s := range sections {
		switch s {
		case Packages:
			d.packages(here, there)
		case Users:
			d.accounts(server.Inventory, image.Inventory)
		case Files:
			f := &files{server: newTree(server, here), image: newTree(image, there)}
			d.Files = f.compare()
		case Services:
			d.services(server.Inventory.Units, image.Inventory.Units, here, there)
		case Ports:
			d.ports(server.Inventory, image)
		case Jobs:
			d.jobs(server.Inventory.Jobs, image.Inventory.Jobs, here, there)
		}
	}
	return d
}

// pairs calls do for every key of two lists, in the order of keys; the entry of a
// list that lacks it is nil.
func pairs[T any](server, image []T, key func(*T) string, do func(server, image *T)) {
	of := func(list []T) map[string]*T {
		m := make(map[string]*T, len(list))
		for i := range list {
			m[key(&list[i])] = &list[i]
		}
		return m
	}
	a, b := of(server), of(image)
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if a[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		do(a[k], b[k])
	}
}

// kindOf is by which of two there is.
func kindOf[T any](server, image *T) Kind {
	switch {
	case image == nil:
		return Added
	case server == nil:
		return Missing
	}
	return Changed
}

func (d *Difference) accounts(server, image *inventory.Inventory) {
	pairs(server.Users, image.Users, func(u *account.Listed) string { return u.Name }, func(s, i *account.Listed) {
		if s == nil || i == nil || len(userFields(s, i)) > 0 {
			d.Users = append(d.Users, User{Kind: kindOf(s, i), Name: cmp.Or(s, i).Name, Server: s, Image: i})
		}
	})
	pairs(server.Groups, image.Groups, func(g *account.ListedGroup) string { return g.Name }, func(s, i *account.ListedGroup) {
		if s == nil || i == nil || *s != *i {
			d.Groups = append(d.Groups, Group{Kind: kindOf(s, i), Name: cmp.Or(s, i).Name, Server: s, Image: i})
		}
	})
}

// userFields are what of a user differs. The comment is nobody's concern.
func userFields(s, i *account.Listed) []Field {
	var list []Field
	add := func(name, server, image string) {
		if server != image {
			list = append(list, Field{name, server, image})
		}
	}
	add("uid", fmt.Sprint(s.UID), fmt.Sprint(i.UID))
	add("group", s.Group, i.Group)
	add("groups", strings.Join(s.Groups, " "), strings.Join(i.Groups, " "))
	add("home", s.Home, i.Home)
	add("shell", s.Shell, i.Shell)
	add("password", s.Password, i.Password)
	return list
}

// services tells of units that start by themselves, or must not, on one side
// alone. A unit that is merely there, or not, is its file's matter.
func (d *Difference) services(server, image []service.Listed, here, there *packages) {
	matters := func(u *service.Listed) bool { return u != nil && u.Chosen() }
	pairs(server, image, func(u *service.Listed) string { return u.Name }, func(s, i *service.Listed) {
		same := s != nil && i != nil && s.State == i.State && slices.Equal(s.By, i.By)
		if same || !matters(s) && !matters(i) {
			return
		}
		unit := Unit{Kind: kindOf(s, i), Name: cmp.Or(s, i).Name, Server: s, Image: i}
		if s != nil {
			unit.Package = here.ownerOf(s.File)
		} else {
			unit.Package = there.ownerOf(i.File)
		}
		d.Services = append(d.Services, unit)
	})
}

func (d *Difference) ports(server *inventory.Inventory, image Side) {
	on := startedBy(image.Inventory.Units)
	// systemd waits in the place of units whose socket it has, and does not say
	// of which: the server's sockets tell whether there is one more.
	on["init.scope"] = true
	for _, u := range server.Units {
		if strings.HasSuffix(u.Name, ".socket") && u.On() && !on[u.Name] {
			on["init.scope"] = false
		}
	}
	same := map[inventory.Port]bool{}
	for _, p := range image.Inventory.Ports {
		same[p] = true
	}
	for _, p := range server.Ports {
		declared := slices.Contains(image.Declared, fmt.Sprintf("%d/%s", p.Port, p.Protocol))
		known := on[p.Unit]
		local := strings.HasPrefix(p.Address, "127.") || p.Address == "::1"
		switch {
		case same[p], declared && (known || p.Unit == ""):
		case !known:
			d.Ports = append(d.Ports, Port{p, "the image does not start what has it open"})
		case p.Protocol == "tcp" && !local && image.Declared != nil && !declared:
			d.Ports = append(d.Ports, Port{p, "the image's recipe does not declare it"})
		}
	}
}

// startedBy are the units that a system may start: those that are enabled, and
// those that others pull in.
func startedBy(units []service.Listed) map[string]bool {
	on := map[string]bool{}
	for _, u := range units {
		on[u.Name] = u.On() || u.PulledIn()
	}
	return on
}

func (d *Difference) jobs(server, image []inventory.Job, here, there *packages) {
	type key struct{ file, user, when, program, sum string }
	of := func(j inventory.Job) key { return key{j.File, j.User, j.When, j.Program, j.SHA256} }
	count := map[key]int{}
	for _, j := range image {
		count[of(j)]++
	}
	for _, j := range server {
		if count[of(j)]--; count[of(j)] < 0 {
			d.Jobs = append(d.Jobs, Job{Added, j, here.ownerOf(j.File), here.altered[j.File]})
		}
	}
	for _, j := range image {
		if count[of(j)] > 0 {
			count[of(j)]--
			d.Jobs = append(d.Jobs, Job{Missing, j, there.ownerOf(j.File), there.altered[j.File]})
		}
	}
	slices.SortStableFunc(d.Jobs, func(a, b Job) int { return cmp.Compare(a.File, b.File) })
}
