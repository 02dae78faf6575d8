package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/deb822"
	"imgbuild/images/fault"
)

// The files of dpkg's database; see dpkg(1), FILES, and deb-triggers(5).
const (
	adminDir       = "var/lib/dpkg"
	statusFile     = adminDir + "/status"
	infoDir        = adminDir + "/info"
	triggersDir    = adminDir + "/triggers"
	extendedStates = "var/lib/apt/extended_states"
)

// database is the root's package database.
type database struct {
	root *root
	arch string
	// filter says which files of packages are not unpacked.
	filter filter
	// owners is made when the first file is in the way of another.
	owners map[string]*installed
}

// installed is a package of an earlier layer, or of an earlier round.
type installed struct {
	name, version, id string
	replaces          []deb822.Relation
}

func (p *installed) doesReplace(name, version string) bool {
	return (&pkg{replaces: p.replaces}).doesReplace(name, version)
}

// prepare makes an empty database in an empty root.
func (d *database) prepare(first bool) error {
	for _, dir := range []string{infoDir, triggersDir, adminDir + "/updates", adminDir + "/parts", adminDir + "/alternatives"} {
		if err := d.root.mkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if !first {
		return nil
	}
	for name, content := range map[string]string{
		statusFile: "", adminDir + "/arch": d.arch + "\n", infoDir + "/format": "1\n", adminDir + "/diversions": "",
		triggersDir + "/File": "", triggersDir + "/Unincorp": "",
	} {
		if err := d.root.write(name, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// add enters packages as unpacked: their control files, file lists, triggers,
// and their paragraphs in the status file.
func (d *database) add(packages []*pkg) error {
	status, err := d.root.read(statusFile)
	if err != nil {
		return err
	}
	paragraphs := bytes.NewBuffer(status)
	for _, p := range packages {
		writeStatus(paragraphs, p)
		if err := d.writeInfo(p); err != nil {
			return fmt.Errorf("entering package %s into the database: %w", p.locked.Name, err)
		}
	}
	if err := d.root.write(statusFile, paragraphs.Bytes(), 0o644); err != nil {
		return err
	}
	return d.addTriggers(packages)
}

// writeStatus writes the paragraph of an unpacked package. dpkg installs the
// conffiles marked new when it configures the package; one that is in place
// has its digest instead.
func writeStatus(w *bytes.Buffer, p *pkg) {
	for _, f := range p.paragraph.Fields {
		fmt.Fprintf(w, "%s: %s\n", f.Name, f.Value)
		if f.Name == "Package" {
			w.WriteString("Status: install ok unpacked\n")
		}
	}
	if len(p.conffiles) > 0 {
		w.WriteString("Conffiles:\n")
	}
	for _, c := range p.conffiles {
		digest := "newconffile"
		if e := p.entry(c.path); e != nil && p.inPlace {
			digest = e.MD5
		}
		fmt.Fprintf(w, " /%s %s", c.path, digest)
		if c.removed {
			w.WriteString(" remove-on-upgrade")
		}
		w.WriteByte('\n')
	}
	w.WriteByte('\n')
}

// entry returns the package's file of that path; nil when there is none.
func (p *pkg) entry(path string) *deb.Entry {
	for i := range p.Entries {
		if p.Entries[i].Path == path && p.Entries[i].Type == deb.File {
			return &p.Entries[i]
		}
	}
	return nil
}

func (d *database) writeInfo(p *pkg) error {
	prefix := infoDir + "/" + p.id + "."
	for name, file := range p.Control {
		if name == "control" {
			continue
		}
		if err := d.root.write(prefix+name, file.Data, file.Mode); err != nil {
			return err
		}
	}
	if !p.has("md5sums") {
		if err := d.root.write(prefix+"md5sums", p.digests(d.filter), 0o644); err != nil {
			return err
		}
	}
	var list bytes.Buffer
	for i := range p.Entries {
		path := p.Entries[i].Path
		switch {
		case path == "":
			list.WriteString("/.\n")
		case !p.elided[path]:
			list.WriteString("/" + path + "\n")
		}
	}
	return d.root.write(prefix+"list", list.Bytes(), 0o644)
}

// digests makes the md5sums that a package lacks, as dpkg does.
func (p *pkg) digests(f filter) []byte {
	var b bytes.Buffer
	sums := map[string]string{}
	for i := range p.Entries {
		e := &p.Entries[i]
		switch e.Type {
		case deb.File:
			sums[e.Path] = e.MD5
		case deb.HardLink:
			sums[e.Path] = sums[e.Target]
		default:
			continue
		}
		if !p.elided[e.Path] && !f.skips(e) {
			fmt.Fprintf(&b, "%s  %s\n", sums[e.Path], e.Path)
		}
	}
	return b.Bytes()
}

// owner returns the installed package that has the path; nil when none has.
func (d *database) owner(path string) (*installed, error) {
	if d.owners == nil {
		if err := d.readOwners(); err != nil {
			return nil, fmt.Errorf("reading the package database: %w", err)
		}
	}
	return d.owners[canonical(path)], nil
}

func (d *database) readOwners() error {
	d.owners = map[string]*installed{}
	return d.paragraphs(func(p *deb822.Paragraph) error {
		q := &installed{name: p.Get("Package"), version: p.Get("Version")}
		q.id = q.name
		if p.Get("Multi-Arch") == "same" {
			q.id += ":" + p.Get("Architecture")
		}
		var err error
		if q.replaces, err = deb822.AppendRelations(nil, p.Get("Replaces")); err != nil {
			return fmt.Errorf("package %s: %w", q.name, err)
		}
		list, err := d.root.read(infoDir + "/" + q.id + ".list")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(list)) {
			d.owners[canonical(strings.Trim(line, "/\n"))] = q
		}
		return nil
	})
}

// elide takes a path out of an installed package's list.
func (d *database) elide(p *installed, path string) error {
	name := infoDir + "/" + p.id + ".list"
	list, err := d.root.read(name)
	if err != nil {
		return err
	}
	lines := slices.DeleteFunc(strings.SplitAfter(string(list), "\n"), func(line string) bool { return line == "/"+path+"\n" })
	return d.root.write(name, []byte(strings.Join(lines, "")), 0o644)
}

// paragraphs calls do with each paragraph of the status file.
func (d *database) paragraphs(do func(*deb822.Paragraph) error) error {
	status, err := d.root.read(statusFile)
	if err != nil {
		return err
	}
	r := deb822.NewReader(bytes.NewReader(status))
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading /%s: %w", statusFile, err)
		}
		if err := do(p); err != nil {
			return err
		}
	}
}

// check makes sure that dpkg left nothing of the layer half-done.
func (d *database) check(packages []*pkg) error {
	missing := map[string]bool{}
	for _, p := range packages {
		missing[p.locked.Name+":"+p.locked.Architecture] = true
	}
	err := d.paragraphs(func(p *deb822.Paragraph) error {
		if status := p.Get("Status"); status != "install ok installed" {
			return fault.Failedf("package %s is left as %q by its scripts", p.Get("Package"), status)
		}
		delete(missing, p.Get("Package")+":"+p.Get("Architecture"))
		return nil
	})
	for name := range missing {
		err = errors.Join(err, fault.Failedf("package %s is not installed after dpkg ran", name))
	}
	return err
}

// writeExtendedStates adds the marks by which apt knows the packages that only
// a dependency asked for.
func (d *database) writeExtendedStates(packages []*pkg) error {
	var marks bytes.Buffer
	for _, p := range packages {
		if !p.locked.Auto {
			continue
		}
		arch := p.locked.Architecture
		if arch == "all" {
			arch = d.arch
		}
		fmt.Fprintf(&marks, "Package: %s\nArchitecture: %s\nAuto-Installed: 1\n\n", p.locked.Name, arch)
	}
	if marks.Len() == 0 {
		return nil
	}
	old, err := d.root.read(extendedStates)
	if err != nil {
		return err
	}
	if err := d.root.mkdirAll("var/lib/apt", 0o755); err != nil {
		return err
	}
	return d.root.write(extendedStates, append(old, marks.Bytes()...), 0o644)
}
