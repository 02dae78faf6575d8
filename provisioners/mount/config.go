package mount

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// dropInFile is the drop-in that Apply writes; it sorts after what packages and
// people bring.
const dropInFile = "zz-imgbuild.conf"

// api are the file systems that systemd mounts before anything else, whether
// they are configured or not, with the types they have. Of the configuration it
// takes a line of /etc/fstab and no unit (systemd-remount-fs.service(8)).
var api = map[string]string{
	"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/dev/shm": "tmpfs", "/dev/pts": "devpts", "/run": "tmpfs",
}

// config is all that decides on one mount at boot. Changes to it are made in
// memory: to table and to dropIn.
type config struct {
	point, unit string
	// table is /etc/fstab; written is what it was before any change.
	table, written string
	dropIn         *options
	// above and below are the unit files that win and lose against /etc/fstab;
	// nil without one.
	above, below *section
	dropIns      []section
	pulledIn     bool
}

// mounted is what a boot makes of a config.
type mounted struct {
	// there is false when nothing is mounted; then because says why, and mask
	// is the unit file that forbids it, if that is why.
	there         bool
	because, mask string
	// origin is the place that decides on the options, a file or its line.
	origin  string
	kind    string
	options options
	// unit is true when a unit file or a drop-in decides on the options.
	unit bool
}

// readConfig reads what there is about a mount point.
func readConfig(r system.Reader, point string) (*config, error) {
	c := &config{point: point, unit: unitName(point)}
	var err error
	if c.table, _, err = system.ReadText(r, fstabPath, maxFstab); err != nil {
		return nil, err
	}
	c.written = c.table
	if api[point] != "" {
		return c, nil
	}
	for _, place := range []struct {
		dirs []string
		into **section
	}{{dirsAbove, &c.above}, {dirsBelow, &c.below}} {
		s, ok, err := fragment(r, place.dirs, c.unit)
		if err != nil {
			return nil, err
		}
		if ok {
			*place.into = &s
		}
	}
	if c.dropIns, err = dropIns(r, c.unit); err != nil {
		return nil, err
	}
	c.pulledIn, err = pulledIn(r, c.unit)
	return c, err
}

// entries are the lines of the table about the mount point.
func (c *config) entries() ([]entry, error) {
	all, err := parseFstab(c.table)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", fstabPath, err)
	}
	return slices.DeleteFunc(all, func(e entry) bool { return e.point != c.point }), nil
}

// result tells what a boot makes of it.
func (c *config) result() (mounted, error) {
	entries, err := c.entries()
	if err != nil {
		return mounted{}, err
	}
	var m mounted
	enabled := c.pulledIn
	fromTable := func() {
		e := entries[0]
		m.origin, m.kind, m.options = fmt.Sprintf("%s:%d", fstabPath, e.line), e.kind, e.options
	}
	for _, e := range entries {
		enabled = enabled || !e.options.has("noauto") || e.options.has("x-systemd.automount")
	}
	if kind := api[c.point]; kind != "" {
		m.there, m.kind, m.origin = true, kind, fstabPath
		if len(entries) > 0 {
			fromTable()
		}
		return m, nil
	}
	var unit *section
	switch {
	case c.above != nil:
		unit = c.above
	case len(entries) > 0:
		fromTable()
	case c.below != nil:
		unit = c.below
	default:
		m.because = "not a mount of its own"
		return m, nil
	}
	if unit != nil {
		m.origin, m.kind, m.unit = unit.file, unit.kind, true
		if unit.options != nil {
			m.options = *unit.options
		}
		if unit.masked {
			m.because, m.mask = "masked by "+unit.file, unit.file
			return m, nil
		}
	}
	for _, d := range c.dropIns {
		if path.Base(d.file) == dropInFile && c.dropIn != nil {
			continue
		}
		if d.options != nil {
			m.origin, m.options, m.unit = d.file, *d.options, true
		}
		if d.kind != "" {
			m.kind = d.kind
		}
	}
	if c.dropIn != nil {
		m.origin, m.options, m.unit = c.dropInPath(), *c.dropIn, true
	}
	if m.there = enabled; !enabled {
		m.because = "not mounted at boot"
	}
	return m, nil
}

func (c *config) dropInPath() string {
	return path.Join(dirsAbove[0], c.unit+".d", dropInFile)
}

// beaten is a drop-in that states options and would win over Apply's; "" is
// none.
func (c *config) beaten() string {
	for _, d := range c.dropIns {
		if d.options != nil && path.Base(d.file) > dropInFile {
			return d.file
		}
	}
	return ""
}

// write puts the changes that were made in memory into the system.
func (c *config) write(s system.System) error {
	if c.table != c.written {
		if err := system.Replace(s, fstabPath, c.table, 0o644); err != nil {
			return err
		}
	}
	if c.dropIn == nil {
		return nil
	}
	text := "[Mount]\nOptions=" + strings.ReplaceAll(c.dropIn.String(), "%", "%%") + "\n"
	return system.Replace(s, c.dropInPath(), text, 0o644)
}
