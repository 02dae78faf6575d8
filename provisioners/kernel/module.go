package kernel

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// The states of a module.
const (
	blocked = "blocked"
	loaded  = "loaded"
)

// The files that Apply writes. The first install command counts, so that of
// modprobe.d sorts before what packages bring.
const (
	modprobeFile = "00-imgbuild.conf"
	loadFile     = "imgbuild.conf"
	modprobeHead = "# Kernel modules that the recipe of this image blocks; modprobe.d(5).\n"
	loadHead     = "# Kernel modules that the recipe of this image loads; modules-load.d(5).\n"
)

var moduleName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$`)

// Module is whether a kernel module is loaded at boot or can be loaded at all.
//
// Blocked takes two lines of modprobe.d: "install" keeps modprobe, and modules
// that depend on this one, from loading it, "blacklist" the kernel's own requests
// for what it stands for. They are wanted of a system whose kernels lack the
// module too, for the next kernel may have it. What is built into a kernel cannot
// be blocked: Check says so, and Apply can only write the lines.
//
// Loaded takes a line of modules-load.d, kernels that have the module, and that
// nothing blocks it.
type Module struct {
	// Name is as it was written; dashes and underscores are the same.
	Name  string `json:"-"`
	State string `json:"state" jsonschema:"required,enum=blocked,enum=loaded"`
}

// NewModule decodes the module called e.Key; a text is its state.
func NewModule(e node.Entry) (*Module, error) {
	value := e.Value
	if value.Kind == node.String {
		value = term.Under("state", value)
	}
	m := &Module{Name: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(value, m))
	if !moduleName.MatchString(e.Key) {
		p.Addf(e.Pos, "%q is not the name of a kernel module", e.Key)
	}
	return m, p.Err()
}

// module is the name as the kernel spells it.
func (m *Module) module() string { return strings.ReplaceAll(m.Name, "-", "_") }

// Identity is the module's, as the kernel spells it.
func (m *Module) Identity() string { return "kernel module " + m.module() }

// Inputs is the name as it is written into files, for stage ids.
func (m *Module) Inputs() any { return m.Name }

// modulePlan is the configuration as it should be, with how it differs.
type modulePlan struct {
	modprobe, load *set
	differences    []system.Difference
}

func (p *modulePlan) differ(subject, have, want string) {
	p.differences = append(p.differences, system.Difference{Subject: subject, Have: have, Want: want})
}

func (m *Module) plan(ctx context.Context, r system.Reader) (*modulePlan, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &modulePlan{}
	var err error
	if p.modprobe, err = readSet(r, "modprobe.d", false); err != nil {
		return nil, err
	}
	if p.load, err = readSet(r, "modules-load.d", false); err != nil {
		return nil, err
	}
	if m.State == blocked {
		return p, m.block(p)
	}
	return p, m.open(p)
}

// block plans the two lines.
func (m *Module) block(p *modulePlan) error {
	t := p.modprobe
	command, err := t.install(m.module())
	if err != nil {
		return err
	}
	list, err := t.directives("blacklist", m.module())
	if err != nil {
		return err
	}
	if command == nil || !refuses(command.rest) {
		subject, have := "modprobe.d: install "+m.Name, "not there"
		if command != nil {
			subject, have = t.sources[command.source].path+": install "+command.module, command.rest
		}
		p.differ(subject, have, "/bin/false")
	}
	if len(list) == 0 {
		p.differ("modprobe.d: blacklist "+m.Name, "not there", "there")
	}
	if len(p.differences) == 0 {
		return nil
	}
	m.insert(t)
	// A command in a file that is read even before is taken out of the way.
	for range len(t.sources) {
		command, err = t.install(m.module())
		if err != nil || refuses(command.rest) {
			return err
		}
		end := command.end
		if system.IsPattern(command.module) {
			end = command.start // it decides on other modules too
		}
		t.change(command.source, command.start, end, "install "+m.Name+" /bin/false\n")
	}
	return nil
}

// insert writes both lines into the managed file, which is sorted by module.
func (m *Module) insert(t *set) {
	i := t.at(modprobeFile)
	if t.sources[i].text == "" {
		t.change(i, 0, 0, modprobeHead)
	}
	for _, d := range slices.Backward(parseModprobe(t.sources[i].text)) {
		if d.module == m.module() && (d.verb == "install" || d.verb == "blacklist") {
			t.change(i, d.start, d.end, "")
		}
	}
	text := t.sources[i].text
	at, separator := len(text), ""
	if !strings.HasSuffix(text, "\n") {
		separator = "\n"
	}
	for _, d := range parseModprobe(text) {
		if d.module > m.module() {
			at, separator = d.start, ""
			break
		}
	}
	t.change(i, at, at, fmt.Sprintf("%sinstall %s /bin/false\nblacklist %s\n", separator, m.Name, m.Name))
}

// open plans the line of modules-load.d and takes back what blocks the module.
func (m *Module) open(p *modulePlan) error {
	t := p.modprobe
	list, err := t.directives("blacklist", m.module())
	if err != nil {
		return err
	}
	commands, err := t.directives("install", m.module())
	if err != nil {
		return err
	}
	for _, d := range commands {
		if refuses(d.rest) && !system.IsPattern(d.module) {
			list = append(list, d)
		}
	}
	// The last first, so that what is before it stays where it is.
	slices.SortFunc(list, func(a, b placed) int { return cmp.Or(b.source-a.source, b.start-a.start) })
	for _, d := range list {
		p.differ(t.sources[d.source].path+": "+d.verb+" "+d.module, "there", "absent")
		t.change(d.source, d.start, d.end, "")
	}
	if command, err := t.install(m.module()); err != nil {
		return err
	} else if command != nil && refuses(command.rest) {
		return fault.Failedf("loading %s: %s blocks every module called %s", m.Name, t.sources[command.source].path, command.module).
			WithHint("take that line out of the file by an entry of the recipe's files or lines")
	}
	if slices.ContainsFunc(p.load.sources, func(s source) bool { return slices.Contains(parseLoad(s.text), m.module()) }) {
		return nil
	}
	p.differ("modules-load.d: "+m.Name, "not there", "there")
	i := p.load.at(loadFile)
	if p.load.sources[i].text == "" {
		p.load.change(i, 0, 0, loadHead)
	}
	text := p.load.sources[i].text
	head, names := "", []string{m.Name}
	for line := range strings.Lines(text) {
		if len(parseLoad(line)) > 0 {
			names = append(names, strings.TrimSpace(line))
		} else {
			head += strings.TrimSuffix(line, "\n") + "\n"
		}
	}
	slices.Sort(names)
	p.load.change(i, 0, len(text), head+strings.Join(names, "\n")+"\n")
	return nil
}

// parseLoad lists the modules of a file of modules-load.d(5).
func parseLoad(text string) []string {
	var list []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && line[0] != ';' {
			list = append(list, strings.ReplaceAll(line, "-", "_"))
		}
	}
	return list
}

// Check tells how the configuration differs, which kernels cannot have the
// module in that state, and whether a running one has not.
func (m *Module) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	p, err := m.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	releases, err := kernels(r)
	if err != nil {
		return nil, err
	}
	within := false
	for _, release := range releases {
		inside, err := builtIn(r, release, m.module())
		if err != nil {
			return nil, err
		}
		within = within || inside
		dir := path.Join("/lib/modules", release)
		if m.State == blocked && inside {
			p.differ(dir+"/modules.builtin: "+m.Name, "built into the kernel, which nothing blocks", "a module or absent")
		}
		if m.State == loaded && !inside {
			there, err := hasModule(r, release, m.module())
			if err != nil {
				return nil, err
			}
			if !there {
				p.differ(dir+"/modules.dep: "+m.Name, "not there", "a module of the kernel")
			}
		}
	}
	live, is, err := running(r, m.module())
	switch {
	case err != nil:
		return nil, err
	case live && m.State == blocked && is:
		p.differ("/proc/modules: "+m.Name, "loaded", "not loaded")
	case live && m.State == loaded && !is && !within:
		p.differ("/proc/modules: "+m.Name, "not loaded", "loaded")
	}
	return p.differences, nil
}

// Apply makes the configuration block or load the module at every boot to
// come.
func (m *Module) Apply(ctx context.Context, s system.System) (bool, error) {
	p, err := m.plan(ctx, s)
	if err != nil || len(p.differences) == 0 {
		return false, err
	}
	if err := p.modprobe.write(s); err != nil {
		return false, err
	}
	return true, p.load.write(s)
}
