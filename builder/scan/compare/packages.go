package compare

import (
	"slices"
	"strings"

	"imgbuild/builder/debian/deb822"
	"imgbuild/images/baseline/node"
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
	// Chosen says that a person installed it on the server, not apt because
	// another package needs it.
	Chosen bool `json:"chosen,omitempty"`
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
	var chosen []string
	pairs(here.list, there.list, func(p *dpkg.Installed) string { return p.Name + ":" + p.Architecture }, func(s, i *dpkg.Installed) {
		if s != nil && i != nil && s.Version == i.Version {
			return
		}
		p := Package{Kind: kindOf(s, i)}
		if i != nil {
			p.Name, p.Architecture, p.Image = i.Name, i.Architecture, i.Version
		}
		if s != nil {
			p.Name, p.Architecture, p.Server = s.Name, s.Architecture, s.Version
			if p.Chosen = p.Kind == Added && !s.Automatic; p.Chosen && !there.names[s.Name] {
				chosen = append(chosen, s.Name)
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
	d.Recipe = snippet(chosen)
}

// ofMachines begin the names of packages that a recipe's boot layer brings: a
// kernel and what starts it.
var ofMachines = []string{"linux-image-", "linux-headers-", "grub-", "shim-"}

// snippet is a part of a recipe.
func snippet(names []string) string {
	names = slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(ofMachines, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
	})
	if len(names) == 0 {
		return ""
	}
	list := &node.Node{Kind: node.List}
	for _, name := range slices.Compact(names) {
		list.Items = append(list.Items, &node.Node{Kind: node.String, Text: name})
	}
	var b strings.Builder
	for _, line := range node.Lines(&node.Node{Kind: node.Map, Entries: []node.Entry{{Key: "packages", Value: list}}}) {
		b.WriteString(line.Text + "\n")
	}
	return b.String()
}
