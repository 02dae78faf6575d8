package compare

import (
	"slices"
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/provisioners/dpkg"
)

// Package is a package that both have not alike.
type Package struct {
	Kind         Kind   `json:"kind"`
	Name         string `json:"name"`
	Architecture string `json:"architecture"`
	// Server and Image are the versions.
	Server string `json:"server,omitempty"`
	Image  string `json:"image,omitempty"`
	// Newer is "server" or "image", whose version is the later one.
	Newer string `json:"newer,omitempty"`
	// Chosen says that it is on the server for its own sake: apt did not install
	// it because another package needs it, and none that was chosen does.
	Chosen bool `json:"chosen,omitempty"`
	// Base says that it is of Debian's base system, which installers choose.
	Base bool `json:"base,omitempty"`
}

// packages are one side's.
type packages struct {
	list []dpkg.Installed
	// named are by name and architecture, names those of every architecture.
	named map[[2]string]*dpkg.Installed
	names map[string]bool
	// owners are the packages of files: the first by name, as a directory has
	// many.
	owners map[string]*dpkg.Installed
	// conffiles and altered are by path.
	conffiles, altered map[string]bool
}

func newPackages(list []dpkg.Installed) *packages {
	p := &packages{list: list, named: map[[2]string]*dpkg.Installed{}, names: map[string]bool{}, owners: map[string]*dpkg.Installed{}, conffiles: map[string]bool{}, altered: map[string]bool{}}
	for i := range list {
		p.names[list[i].Name] = true
		p.named[[2]string{list[i].Name, list[i].Architecture}] = &list[i]
		for _, file := range list[i].Files {
			if p.owners[file] == nil {
				p.owners[file] = &list[i]
			}
		}
		for _, file := range list[i].Conffiles {
			p.conffiles[file] = true
		}
		for _, file := range list[i].Altered {
			p.altered[file] = true
		}
	}
	return p
}

// ownerOf is the name of the package that brought a file, or "".
func (p *packages) ownerOf(file string) string {
	if owner := p.owners[file]; owner != nil {
		return owner.Name
	}
	return ""
}

// like is the same package on this side, in whatever version; nil without one.
func (p *packages) like(other *dpkg.Installed) *dpkg.Installed {
	return p.named[[2]string{other.Name, other.Architecture}]
}

func (d *Difference) packages(here, there *packages) {
	more := slices.DeleteFunc(slices.Clone(here.list), func(p dpkg.Installed) bool { return p.Automatic || there.names[p.Name] })
	chosen, base := onlyWanted(more), []string{}
	pairs(here.list, there.list, func(p *dpkg.Installed) string { return p.Name + "\x00" + p.Architecture }, func(s, i *dpkg.Installed) {
		if s != nil && i != nil && s.Version == i.Version {
			return
		}
		p := Package{Kind: kindOf(s, i)}
		if i != nil {
			p.Name, p.Architecture, p.Image = i.Name, i.Architecture, i.Version
		}
		if s != nil {
			p.Name, p.Architecture, p.Server = s.Name, s.Architecture, s.Version
			p.Chosen = p.Kind == Added && slices.Contains(chosen, s.Name)
			p.Base = p.Chosen && slices.Contains(basePriorities, s.Priority)
			if p.Base {
				base = append(base, s.Name)
			}
		}
		if p.Kind == Changed {
			p.Newer = "image"
			if deb822.CompareVersions(p.Server, p.Image) > 0 {
				p.Newer = "server"
			}
		}
		d.Packages = append(d.Packages, p)
	})
	d.Recipe = snippet(chosen, base)
}

// basePriorities are of packages that an installation has unless somebody removes
// them (Debian Policy 2.5).
var basePriorities = []string{"required", "important", "standard"}

// onlyWanted are the names of packages that none of the others needs; of those
// that need each other it is the first.
func onlyWanted(list []dpkg.Installed) []string {
	needing := map[string][]string{}
	for _, p := range list {
		for _, name := range p.Needs {
			needing[name] = append(needing[name], p.Name)
		}
	}
	var names []string
	for _, p := range list {
		if !slices.ContainsFunc(needing[p.Name], func(other string) bool {
			return other != p.Name && (other < p.Name || !slices.Contains(p.Needs, other))
		}) {
			names = append(names, p.Name)
		}
	}
	return slices.Compact(names)
}

// ofMachines begin the names of packages that a recipe's boot layer brings: a
// kernel and what starts it.
var ofMachines = []string{"linux-image-", "linux-headers-", "grub-", "shim-"}

// snippet is a part of a recipe: what somebody chose, and then what an installer
// may have.
func snippet(chosen, base []string) string {
	var b strings.Builder
	add := func(name string) {
		if slices.ContainsFunc(ofMachines, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			return
		}
		if b.Len() == 0 {
			b.WriteString("packages:\n")
		}
		b.WriteString("  - " + name + "\n")
	}
	for _, name := range chosen {
		if !slices.Contains(base, name) {
			add(name)
		}
	}
	for i, name := range base {
		if i == 0 && b.Len() > 0 {
			b.WriteString("  # of Debian's base system, which installers choose:\n")
		}
		add(name)
	}
	return b.String()
}
