// Package mount holds the resource of mount points: whether a path is a mount
// of its own, of what type and with which options. It edits /etc/fstab and
// drop-ins of systemd's mount units; it never mounts anything, and never makes or
// resizes a partition.
package mount

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

var (
	optionWord = regexp.MustCompile(`^[A-Za-z0-9_.+-]+(=[A-Za-z0-9_.:/@%+=-]+)?$`)
	typeWord   = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,31}$`)
)

// Mount is a mount point with what must be true of it at boot, as /etc/fstab
// and systemd's mount units have it. Whatever else is asked, the path must be a
// mount point: options of a directory that is part of a larger file system are in
// force nowhere. It belongs to what boots: the disk's plan writes /etc/fstab
// before the packages that boot it, over whatever was there.
type Mount struct {
	Point    string   `json:"-"`
	Options  []string `json:"options,omitempty" jsonschema_description:"options that must be in force"`
	Without  []string `json:"without,omitempty" jsonschema_description:"options that must not be in force"`
	Type     string   `json:"type,omitempty" jsonschema_description:"the file system's type; a tmpfs is added where nothing is mounted"`
	Separate bool     `json:"separate,omitempty" jsonschema_description:"the path must be a file system of its own"`
}

// New decodes the mount at the path e.Key.
func New(e node.Entry) (*Mount, error) {
	m := &Mount{Point: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(e.Value, m))
	if !path.IsAbs(e.Key) || path.Clean(e.Key) != e.Key || len(e.Key) > 255 || strings.ContainsFunc(e.Key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		p.Addf(e.Pos, "%q is not a mount point: expected an absolute path without . and ..", e.Key)
	}
	if len(m.Options) == 0 && len(m.Without) == 0 && m.Type == "" && !m.Separate {
		p.Addf(e.Value.Pos, `mount %s: expected "options", "without", "type" or "separate"`, e.Key)
	}
	if m.Type != "" && !typeWord.MatchString(m.Type) {
		p.Addf(e.Value.At("type"), "mount %s: %q is not the type of a file system", e.Key, m.Type)
	}
	for _, o := range slices.Concat(m.Options, m.Without) {
		if !optionWord.MatchString(o) || len(o) > 255 || o == "defaults" {
			p.Addf(e.Value.Pos, "mount %s: %q is not one option of a mount", e.Key, o)
		}
	}
	if len(m.Options)+len(m.Without) > 64 {
		p.Addf(e.Value.Pos, "mount %s: more than 64 options", e.Key)
	}
	for _, o := range m.wrong(options(m.Options)) {
		p.Addf(e.Value.At("options"), "mount %s: the options contradict each other or \"without\": %s", e.Key, o)
	}
	return m, p.Err()
}

// Identity is the mount point's.
func (m *Mount) Identity() string { return "mount " + m.Point }

// wrong lists what options lack, and what they have too much.
func (m *Mount) wrong(o options) []string {
	var list []string
	for _, want := range m.Options {
		if !o.has(want) {
			list = append(list, want)
		}
	}
	for _, unwanted := range m.Without {
		if o.has(unwanted) {
			list = append(list, "no "+unwanted)
		}
	}
	return list
}

// mend changes options as little as it takes.
func (m *Mount) mend(o options) options {
	for _, unwanted := range m.Without {
		o = o.without(unwanted)
	}
	for _, want := range m.Options {
		o = o.with(want)
	}
	return o
}

// plan tells how the configuration differs, and changes it in memory as far as
// that is possible; refusal says why it is not.
func (m *Mount) plan(ctx context.Context, r system.Reader) (c *config, differences []system.Difference, refusal error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, nil, err
	}
	if c, err = readConfig(r, m.Point); err != nil {
		return nil, nil, nil, err
	}
	differ := func(subject, have, want string) {
		differences = append(differences, system.Difference{Subject: subject, Have: have, Want: want})
	}
	entries, err := c.entries()
	if err != nil {
		return nil, nil, nil, err
	}
	for _, e := range slices.Backward(entries) { // what is before a line stays where it is
		if wrong := m.wrong(e.options); len(wrong) > 0 {
			differ(fmt.Sprintf("%s:%d: %s: options", fstabPath, e.line, m.Point), e.options.String(), strings.Join(wrong, ", "))
			c.table = withOptions(c.table, e, m.mend(e.options))
		}
	}
	at, err := c.result()
	if err == nil && !at.there {
		differ(m.Point, at.because, m.want())
		if refusal = m.add(c, at, len(entries) > 0); refusal != nil {
			return c, differences, refusal, nil
		}
		at, err = c.result()
	}
	if err != nil {
		return nil, nil, nil, err
	}
	if m.Type != "" && at.kind != m.Type {
		differ(at.origin+": "+m.Point+": type", orNone(at.kind), m.Type)
		return c, differences, fault.Inputf("%s is a file system of type %s in %s, not %s", m.Point, orNone(at.kind), at.origin, m.Type).
			WithHint("change what makes that mount, or the type of the resource"), nil
	}
	wrong := m.wrong(at.options)
	switch {
	case len(wrong) == 0:
	case at.unit:
		differ(at.origin+": "+m.Point+": options", at.options.String(), strings.Join(wrong, ", "))
		if other := c.beaten(); other != "" {
			return c, differences, fault.Failedf("%s would win over %s", other, c.dropInPath()).WithHint("remove that drop-in by an entry of the recipe's files"), nil
		}
		mended := m.mend(at.options)
		c.dropIn = &mended
	case api[m.Point] == "" || len(entries) > 0:
		return nil, nil, nil, fmt.Errorf("changing options of %s in %s: %s cannot be had", m.Point, at.origin, strings.Join(wrong, ", "))
	default: // what systemd mounts by itself, without a line
		differ(at.origin+": "+m.Point+": options", "not there", strings.Join(wrong, ", "))
		c.table = withEntry(c.table, at.kind, m.Point, at.kind, m.mend(nil))
	}
	return c, differences, nil, nil
}

func orNone(kind string) string {
	if kind == "" {
		return "auto"
	}
	return kind
}

func (m *Mount) want() string {
	if m.Type != "" {
		return "a mount of type " + m.Type
	}
	return "a mount of its own"
}

// add mounts a file system that needs no partition; listed tells whether
// /etc/fstab has a line for it that is not mounted at boot.
func (m *Mount) add(c *config, at mounted, listed bool) error {
	switch {
	case at.mask != "":
		return fault.Inputf("%s is not mounted: %s is masked by %s", m.Point, c.unit, at.mask).
			WithHint("remove the mask by an entry of the recipe's symlinks: %s: {absent: true}", at.mask)
	case listed:
		return fault.Inputf("%s has a line in %s that is not mounted at boot", m.Point, fstabPath).
			WithHint("take noauto out of that line: without: [noauto]")
	case m.Type != "tmpfs" && at.unit:
		return fault.Inputf("%s is not mounted: nothing wants %s", m.Point, c.unit).WithHint("add to the recipe's services: %s: enabled", c.unit)
	case m.Type != "tmpfs":
		return fault.Inputf("%s is not a mount of its own, and a disk's layout is decided before anything is written to it", m.Point).
			WithHint("add a partition for %s to the recipe's outputs: vm:, or state type: tmpfs for one in memory", m.Point)
	}
	c.table = withEntry(c.table, "tmpfs", m.Point, "tmpfs", m.mend(nil))
	return nil
}

// Check tells how the configuration, and what the running kernel has mounted
// where there is one, differ.
func (m *Mount) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	_, differences, _, err := m.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	now, known, err := running(r, m.Point)
	if err != nil || !known {
		return differences, err
	}
	differ := func(subject, have, want string) {
		differences = append(differences, system.Difference{Subject: subject, Have: have, Want: want})
	}
	if now == nil {
		differ(mountinfoPath+": "+m.Point, "not mounted", m.want())
		return differences, nil
	}
	if now.kind == "autofs" {
		return differences, nil // it is mounted when somebody looks into it
	}
	if m.Type != "" && now.kind != m.Type {
		differ(mountinfoPath+": "+m.Point+": type", now.kind, m.Type)
	}
	for _, o := range m.Options {
		if shows(o) && !now.has(o) {
			differ(mountinfoPath+": "+m.Point+": options", now.options.String(), o)
		}
	}
	for _, o := range m.Without {
		if shows(o) && now.has(o) {
			differ(mountinfoPath+": "+m.Point+": options", now.options.String(), "no "+o)
		}
	}
	return differences, nil
}

// Apply edits the table's lines, adds one for a file system in memory, or
// writes a drop-in where a unit decides. A partition it cannot make: the error
// says where one is asked for.
func (m *Mount) Apply(ctx context.Context, s system.System) (bool, error) {
	c, differences, refusal, err := m.plan(ctx, s)
	if err != nil {
		return false, err
	}
	if refusal != nil {
		return false, refusal
	}
	if len(differences) == 0 {
		return false, nil
	}
	return true, c.write(s)
}
