package debian

import (
	"context"
	"slices"

	"imgbuild/builder/debian/repo"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Request says what to lock.
type Request struct {
	// Baseline names the recipe, Suite is the release's code name and
	// Architecture the Debian name of the machine.
	Baseline, Suite, Architecture string
	// Generations are the chain of recipes, the oldest ancestor first.
	Generations []Generation
	// Boot are the names of packages for outputs that boot, on top of the root.
	Boot []string
	// Tools are the names of packages for the tools root, which stands alone.
	Tools []string
	// Sources are the suites to resolve from, in the order that apt's sources
	// would have. DebianSources makes the usual ones.
	Sources []repo.Source
	// Locals are package files of the project.
	Locals []Local
	// Previous is the lock to stay close to; nil for a first one.
	Previous *updates.Lock
	// Fresh takes the latest of every package; Previous then only keeps the
	// numbers of accounts.
	Fresh bool
	// Update names the packages that are to move to their latest version,
	// with what that demands; everything else stays.
	Update []string
	// Control returns the control paragraph of a locked package file that the
	// indexes list no more, so that it can stay. Without it, or when it
	// fails, such a package moves.
	Control func(ctx context.Context, p updates.Package) (string, error)
	// Allowed says of a package that is offered whether the lock may have it; nil
	// allows all. With it, a lock that neither Fresh nor Update moves takes the latest
	// allowed version of every package it has. The project's own files are the
	// recipe's, and not asked about.
	Allowed func(p updates.Package) bool
	// Archived are package files that are offered whether or not the indexes still
	// list them, by the control paragraph that Control returns.
	Archived []updates.Package
}

// Generation is what one recipe of the chain adds to its parent.
type Generation struct {
	// Name is the recipe's, and names the layers.
	Name string
	// Packages are names: "nginx", "nginx=1.22.1-9", "nginx/bookworm", "-nginx".
	Packages []string
	// Priorities add every package of these priorities.
	Priorities []string
	// Recommends has Recommends followed.
	Recommends bool
}

// Local is one package file of the project.
type Local struct {
	// Path is relative to the project.
	Path string
	// SHA256 is the file's digest in hex, Size its length in bytes.
	SHA256 string
	Size   int64
	// Control is its control paragraph.
	Control string
}

// The names of Debian's own archives, as locks have them.
const (
	ArchiveDebian   = "debian"
	ArchiveSecurity = "debian-security"
)

// DebianSources returns the suites of a Debian release: itself, its updates
// and its security updates. mirror and security are the roots of the archives.
func DebianSources(suite, mirror, security string, components []string, keys repo.Keyring) []repo.Source {
	if len(components) == 0 {
		components = []string{"main"}
	}
	source := func(archive, url, suite string) repo.Source {
		return repo.Source{Archive: archive, URL: url, Mirrored: true, Suite: suite, Components: components, Keys: keys}
	}
	return []repo.Source{
		source(ArchiveDebian, mirror, suite),
		source(ArchiveDebian, mirror, suite+"-updates"),
		source(ArchiveSecurity, security, suite+"-security"),
	}
}

// DefaultTools are the packages whose programs make file systems and boot
// loaders, for machines of architecture arch.
func DefaultTools(arch string) []string {
	tools := []string{"e2fsprogs", "dosfstools", "mtools", "grub-common", "grub2-common", "shim-signed"}
	switch arch {
	case "amd64":
		tools = append(tools, "grub-pc-bin", "grub-efi-amd64-bin", "grub-efi-amd64-signed")
	case "arm64":
		tools = append(tools, "grub-efi-arm64-bin", "grub-efi-arm64-signed")
	}
	slices.Sort(tools)
	return tools
}

// The layers of the boot set.
const (
	bootLayer = "boot"
	leaf      = "-leaf"
)

// check finds what is wrong with a request before any work.
func (r *Request) check() error {
	if !repo.IsArchitecture(r.Architecture) {
		return fault.Inputf("locking %s: %.60q is no architecture", r.Baseline, r.Architecture)
	}
	if len(r.Sources) == 0 {
		return fault.Inputf("locking %s: there is no source to resolve from", r.Baseline)
	}
	if len(r.Generations) == 0 {
		return fault.Inputf("locking %s: it has no generation of packages", r.Baseline)
	}
	taken := map[string]string{bootLayer: "the boot set", bootLayer + leaf: "the boot set"}
	for _, g := range r.Generations {
		for _, layer := range []string{g.Name, g.Name + leaf} {
			if by, ok := taken[layer]; ok {
				return fault.Inputf("locking %s: baseline %s and %s would both have a layer %q", r.Baseline, g.Name, by, layer).
					WithHint("rename the baseline")
			}
			taken[layer] = "baseline " + g.Name
		}
	}
	return nil
}
