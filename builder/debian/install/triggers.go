package install

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// triggers is what deb-triggers(5) is about: the interests of packages, and
// what has been activated but not yet acted upon.
type triggers struct {
	files    []string            // lines of triggers/File: path, package with options
	explicit map[string][]string // trigger name to packages with options
	active   map[string]bool
}

// addTriggers registers the interests of packages that were unpacked and
// activates what their unpacking activates. dpkg acts on it when it runs; for
// a package that is only unpacked its configuration stands for its triggers.
func (d *database) addTriggers(packages []*pkg) error {
	t := triggers{explicit: map[string][]string{}, active: map[string]bool{}}
	data, err := d.root.read(triggersDir + "/File")
	if err != nil {
		return err
	}
	t.files = strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	known := len(t.files)
	for _, p := range packages {
		if err := t.parse(p); err != nil {
			return err
		}
	}
	for _, p := range packages {
		t.activateFiles(p)
	}
	if len(t.files) > known {
		if err := d.root.write(triggersDir+"/File", []byte(strings.Join(t.files, "\n")+"\n"), 0o644); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.explicit)) {
		old, err := d.root.read(triggersDir + "/" + name)
		if err != nil {
			return err
		}
		lines := string(old) + strings.Join(t.explicit[name], "\n") + "\n"
		if err := d.root.write(triggersDir+"/"+name, []byte(lines), 0o644); err != nil {
			return err
		}
	}
	return d.activate(t.active)
}

// activate adds to the triggers that dpkg has not yet dealt with. "-" says
// that no package waits for it: all is done by the end of the layer anyway.
func (d *database) activate(names map[string]bool) error {
	if len(names) == 0 {
		return nil
	}
	old, err := d.root.read(triggersDir + "/Unincorp")
	if err != nil {
		return err
	}
	lines := strings.Builder{}
	lines.Write(old)
	for line := range strings.Lines(string(old)) {
		name, _, _ := strings.Cut(line, " ")
		delete(names, name)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(&lines, "%s -\n", name)
	}
	return d.root.write(triggersDir+"/Unincorp", []byte(lines.String()), 0o644)
}

// parse reads a package's triggers file.
func (t *triggers) parse(p *pkg) error {
	for line := range strings.Lines(string(p.Control["triggers"].Data)) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 || strings.Trim(words[1], "/") == "" || words[1][0] != '/' && strings.Contains(words[1], "/") {
			return fault.Worldf("package %s: triggers file has the line %q", p.locked.Name, strings.TrimSpace(line))
		}
		option := ""
		if strings.HasSuffix(words[0], "-noawait") {
			option = "/noawait"
		}
		switch name := words[1]; words[0] {
		case "activate", "activate-await", "activate-noawait":
			t.active[name] = true
		case "interest", "interest-await", "interest-noawait":
			if name[0] == '/' {
				t.files = append(t.files, name+" "+p.id+option)
			} else {
				t.explicit[name] = append(t.explicit[name], p.id+option)
			}
		default:
			return fault.Worldf("package %s: triggers file has the directive %q", p.locked.Name, words[0])
		}
	}
	return nil
}

// activateFiles activates the file triggers at or above the package's files.
func (t *triggers) activateFiles(p *pkg) {
	for _, line := range t.files {
		path, _, _ := strings.Cut(line, " ")
		below := strings.TrimPrefix(path, "/")
		for i := range p.Entries {
			if e := &p.Entries[i]; strings.HasPrefix(e.Path, below) && (len(e.Path) == len(below) || e.Path[len(below)] == '/') {
				t.active[path] = true
				break
			}
		}
	}
}
