package dpkg

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// The further places of the database: what packages brought (dpkg-query(1),
// --listfiles), which names are diverted (dpkg-divert(1)), what apt installed
// because another package needs it (apt-mark(8)), and the files that ucf(1)
// keeps as dpkg keeps conffiles.
const (
	infoDir        = "/var/lib/dpkg/info"
	diversionsPath = "/var/lib/dpkg/diversions"
	automaticPath  = "/var/lib/apt/extended_states"
	ucfSumsPath    = "/var/lib/ucf/hashfile"
	ucfOwnersPath  = "/var/lib/ucf/registry"
)

// The limits of an inventory.
const (
	maxPackages = 50_000
	maxFiles    = 4 << 20
	maxList     = 32 << 20
)

// Installed is a package that is there, configured or not.
type Installed struct {
	Name         string `json:"name"`
	Architecture string `json:"architecture"`
	Version      string `json:"version"`
	// Priority is Debian's, such as "important" (Debian Policy 2.5).
	Priority string `json:"priority,omitempty"`
	// Needs are the packages that its dependencies name, alternatives too, sorted.
	Needs []string `json:"needs,omitempty"`
	// Automatic says that apt installed it because another package needs it.
	Automatic bool `json:"automatic,omitempty"`
	// Files are the paths that it brought, directories too, relative to the
	// root, where they lie now: behind a merged /usr and diversions. Sorted.
	Files []string `json:"files,omitempty"`
	// Conffiles are those of Files that are an administrator's to change.
	Conffiles []string `json:"conffiles,omitempty"`
	// Altered are those of Files that are there and not as the package brought
	// them, by the MD5 digests that dpkg and ucf keep. They tell what was left
	// alone from what was not, not who made it.
	Altered []string `json:"altered,omitempty"`
}

// ReadInstalled reads what is installed, sorted by name and architecture, and
// holds its files against the digests that they came with. A system without a
// database has no package. Files of the system may be opened by several
// goroutines at once.
func ReadInstalled(ctx context.Context, r system.Reader) ([]Installed, error) {
	d := &database{reader: r, packages: map[[2]string]*Installed{}, there: map[[2]string]bool{}, tops: map[string]string{}, sums: map[string]string{}}
	if err := d.read(ctx); err != nil {
		return nil, fmt.Errorf("reading dpkg's database: %w", err)
	}
	altered, err := alteredOf(ctx, r, d.sums)
	if err != nil {
		return nil, fmt.Errorf("holding files against dpkg's digests: %w", err)
	}
	var list []Installed
	for _, p := range d.packages {
		p.Files = sorted(p.Files)
		p.Conffiles = sorted(p.Conffiles)
		for _, file := range p.Files {
			if altered[file] {
				p.Altered = append(p.Altered, file)
			}
		}
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b Installed) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Architecture, b.Architecture))
	})
	return list, nil
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// database is dpkg's while it is read.
type database struct {
	reader system.Reader
	// packages are by name and architecture; there says whether they are.
	packages map[[2]string]*Installed
	there    map[[2]string]bool
	// diverted are by path: where to, and the package that is exempt.
	diverted map[string]diversion
	// tops are where the directories of the root lead: "bin" to "usr/bin".
	tops map[string]string
	// sums are MD5 digests by path, in lower-case hex.
	sums  map[string]string
	count int
}

type diversion struct{ to, by string }

func (d *database) read(ctx context.Context) error {
	if err := d.diversions(); err != nil {
		return err
	}
	text, there, err := system.ReadText(d.reader, statusPath, maxStatus)
	if err != nil || !there {
		return err
	}
	if err := paragraphs(text, d.add, statusFields...); err != nil {
		return fmt.Errorf("%s: %w", statusPath, err)
	}
	if err := d.journal(); err != nil {
		return err
	}
	for key, p := range d.packages {
		if !d.there[key] {
			delete(d.packages, key)
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.contents(p); err != nil {
			return err
		}
	}
	if err := d.automatic(); err != nil {
		return err
	}
	return d.ucf()
}

// add takes a paragraph of the status file.
func (d *database) add(fields map[string]string) error {
	state, err := stateOf(fields)
	if err != nil {
		return err
	}
	key := [2]string{fields["package"], fields["architecture"]}
	d.there[key] = !gone(state)
	if gone(state) {
		return nil
	}
	if len(d.packages) == maxPackages {
		return fmt.Errorf("more than %d packages", maxPackages)
	}
	p := &Installed{Name: fields["package"], Architecture: fields["architecture"], Version: fields["version"], Priority: fields["priority"]}
	p.Needs = needs(fields["pre-depends"] + "," + fields["depends"])
	if !packageName.MatchString(p.Name) {
		return fmt.Errorf("%q is not the name of a package", p.Name)
	}
	for line := range strings.Lines(fields["conffiles"]) {
		// "name digest", or "name digest obsolete"; a name may have spaces.
		words := strings.TrimSpace(line)
		for _, flag := range []string{" obsolete", " remove-on-upgrade"} {
			words = strings.TrimSuffix(words, flag)
		}
		cut := strings.LastIndexByte(words, ' ')
		if cut < 0 {
			continue
		}
		file, err := d.place(p.Name, words[:cut])
		if err != nil {
			return err
		}
		p.Conffiles = append(p.Conffiles, file)
		if sum := words[cut+1:]; len(sum) == 32 {
			d.sums[file] = sum
		}
	}
	d.packages[key] = p
	return nil
}

// needs are the names in a field of dependencies (Debian Policy 7.1), each once.
// What is none is passed over: dpkg's own database is not judged by it.
func needs(field string) []string {
	var names []string
	for _, relation := range strings.FieldsFunc(field, func(r rune) bool { return r == ',' || r == '|' }) {
		name, _, _ := strings.Cut(strings.TrimSpace(relation), " ")
		name, _, _ = strings.Cut(name, ":")
		if name, _, _ = strings.Cut(name, "("); packageName.MatchString(name) {
			names = append(names, name)
		}
	}
	return sorted(names)
}

// statusFields are those of a paragraph that are looked at.
var statusFields = []string{"package", "status", "architecture", "version", "priority", "depends", "pre-depends", "conffiles"}

// journal reads the changes that dpkg has not yet written into its status file.
func (d *database) journal() error {
	names, err := system.Names(d.reader, updatesPath)
	if err != nil {
		return err
	}
	if len(names) > maxUpdates {
		return fmt.Errorf("more than %d files in its journal", maxUpdates)
	}
	for _, name := range names {
		if strings.Trim(name, "0123456789") != "" {
			continue // tmp.i, which dpkg has not finished
		}
		text, _, err := system.ReadText(d.reader, path.Join(updatesPath, name), maxStatus)
		if err != nil {
			return err
		}
		if err := paragraphs(text, d.add, statusFields...); err != nil {
			return fmt.Errorf("%s: %w", path.Join(updatesPath, name), err)
		}
	}
	return nil
}

// contents reads what a package brought. dpkg names its lists with the
// architecture where the package can be there for several.
func (d *database) contents(p *Installed) error {
	for _, name := range []string{p.Name + ":" + p.Architecture, p.Name} {
		text, there, err := system.ReadText(d.reader, path.Join(infoDir, name+".list"), maxList)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		for line := range strings.Lines(text) {
			if d.count++; d.count > maxFiles {
				return fmt.Errorf("more than %d files", maxFiles)
			}
			file, err := d.place(p.Name, strings.TrimSuffix(line, "\n"))
			if err != nil {
				return err
			}
			p.Files = append(p.Files, file)
		}
		sums, _, err := system.ReadText(d.reader, path.Join(infoDir, name+".md5sums"), maxList)
		if err != nil {
			return err
		}
		// Files that another package took over are in its list, and in the
		// digests of both.
		own := map[string]bool{}
		for _, file := range p.Files {
			own[file] = true
		}
		for _, file := range p.Conffiles {
			own[file] = false // the status file has theirs
		}
		for line := range strings.Lines(sums) {
			sum, file, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
			if !ok || len(sum) != 32 {
				continue // dpkg -V passes over it as well
			}
			if file, err = d.place(p.Name, "/"+file); err != nil {
				return err
			}
			if own[file] {
				d.sums[file] = sum
			}
		}
		return nil
	}
	return nil
}

// place is where a path of a package lies: diverted, and behind the links of a
// merged /usr.
func (d *database) place(owner, name string) (string, error) {
	if to, ok := d.diverted[name]; ok && to.by != owner {
		name = to.to
	}
	if name == "/." {
		return ".", nil
	}
	if !strings.HasPrefix(name, "/") || path.Clean(name) != name || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("package %s: %q is not the name of a file", owner, name)
	}
	top, below, deep := strings.Cut(name[1:], "/")
	if !deep {
		return name[1:], nil
	}
	to, known := d.tops[top]
	if !known {
		to = top
		if info, err := d.reader.Lstat("/" + top); err == nil && info.Mode&fs.ModeSymlink != 0 {
			target, err := d.reader.Readlink("/" + top)
			if err != nil {
				return "", err
			}
			to = strings.TrimPrefix(path.Join("/", target), "/")
		}
		d.tops[top] = to
	}
	return path.Join(to, below), nil
}

// diversions are three lines each: from, to, and the package that makes it, or
// ":" for the administrator.
func (d *database) diversions() error {
	text, _, err := system.ReadText(d.reader, diversionsPath, maxList)
	if err != nil {
		return err
	}
	d.diverted = map[string]diversion{}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i+2 < len(lines); i += 3 {
		d.diverted[lines[i]] = diversion{to: lines[i+1], by: lines[i+2]}
	}
	return nil
}

// automatic notes what apt installed by itself; without its file nothing was.
func (d *database) automatic() error {
	text, _, err := system.ReadText(d.reader, automaticPath, maxStatus)
	if err != nil {
		return err
	}
	auto := map[[2]string]bool{}
	err = paragraphs(text, func(fields map[string]string) error {
		auto[[2]string{fields["package"], fields["architecture"]}] = fields["auto-installed"] == "1"
		return nil
	}, "package", "architecture", "auto-installed")
	if err != nil {
		return fmt.Errorf("%s: %w", automaticPath, err)
	}
	native := ""
	for _, p := range d.packages {
		if p.Name == "dpkg" {
			native = p.Architecture
		}
	}
	for _, p := range d.packages {
		// apt writes the machine's architecture for packages of all.
		p.Automatic = auto[[2]string{p.Name, p.Architecture}] || p.Architecture == "all" && auto[[2]string{p.Name, native}]
	}
	return nil
}

// ucf takes the files that ucf keeps for packages.
func (d *database) ucf() error {
	owners, _, err := system.ReadText(d.reader, ucfOwnersPath, maxList)
	if err != nil {
		return err
	}
	byName := map[string]*Installed{}
	for _, p := range d.packages {
		byName[p.Name] = p
	}
	for line := range strings.Lines(owners) {
		words := strings.Fields(line)
		if len(words) != 2 || byName[words[0]] == nil {
			continue
		}
		file, err := d.place(words[0], words[1])
		if err != nil {
			return err
		}
		p := byName[words[0]]
		p.Files, p.Conffiles = append(p.Files, file), append(p.Conffiles, file)
	}
	sums, _, err := system.ReadText(d.reader, ucfSumsPath, maxList)
	if err != nil {
		return err
	}
	for line := range strings.Lines(sums) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !ok || len(sum) != 32 {
			continue
		}
		file, err := d.place("ucf", name)
		if err != nil {
			return err
		}
		d.sums[file] = sum
	}
	return nil
}
