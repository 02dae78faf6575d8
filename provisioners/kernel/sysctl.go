package kernel

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// sysctlFile is the file that Apply writes: by its name it comes after the files
// of Debian, 99-sysctl.conf and 99-protect-links.conf among them.
const sysctlFile = "99-zz-imgbuild.conf"

// sysctlHead begins a new file.
const sysctlHead = "# The kernel's parameters that the recipe of this image states; sysctl.d(5).\n"

// Sysctl is a parameter of the running kernel, as the last assignment of
// sysctl.d sets it at boot. That nothing assigns it is a difference: what the
// kernel does by default is nobody's decision. Another value below /etc is a
// difference even where it loses, for it waits for a file to be renamed.
type Sysctl struct {
	// Key has slashes between its parts.
	Key string `json:"-"`
	term.Bounds
}

// NewSysctl decodes the parameter called e.Key; a text is its value.
func NewSysctl(e node.Entry) (*Sysctl, error) {
	value := term.Short(e.Value)
	s := &Sysctl{Key: sysctlKey(e.Key)}
	p := &node.Problems{}
	p.Add(node.Decode(value, s))
	if !keyWord(e.Key, s.Key) {
		p.Addf(e.Pos, "%q is not the name of a kernel parameter such as net.ipv4.ip_forward", e.Key)
	}
	if s.Absent {
		p.Addf(value.At("absent"), "sysctl %s: a parameter always has a value; state one", e.Key)
	}
	for _, text := range s.Texts() {
		v := string(text)
		if v == "" || len(v) > 1024 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) || v != strings.TrimSpace(v) {
			p.Addf(value.Pos, "sysctl %s: %q is not a value that sysctl.d can hold", e.Key, v)
		}
	}
	p.Add(s.CheckNumbers(value, sysctlSense()))
	return s, p.Err()
}

// sysctlSense is how the kernel reads values: words, many of them numbers.
func sysctlSense() term.Sense {
	return term.Sense{
		Separator: " ",
		Equal:     func(a, b string) bool { return slices.Equal(strings.Fields(a), strings.Fields(b)) },
		Measure: func(text string) (list []int64, ok bool) {
			for _, word := range strings.Fields(text) {
				n, ok := term.Decimal(word)
				if !ok {
					return nil, false
				}
				list = append(list, n...)
			}
			return list, len(list) > 0
		},
	}
}

// keyWord tells whether a name is one parameter's: no pattern, and no path that
// leads elsewhere.
func keyWord(written, key string) bool {
	if len(key) > 255 || strings.HasPrefix(written, "-") || !strings.Contains(key, "/") || path.Clean("/"+key) != "/"+key || strings.Contains(key, "..") {
		return false
	}
	return !strings.ContainsFunc(key, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("*?[]{}=#;\\", r)
	})
}

// Identity is the parameter's, with dots between its parts.
func (s *Sysctl) Identity() string { return "sysctl " + dotted(s.Key) }

// fits tells whether a value is what the state asks for.
func (s *Sysctl) fits(value string) bool { return s.Holds(value, sysctlSense()) }

// plan tells how the configuration differs and changes it in memory.
func (s *Sysctl) plan(ctx context.Context, r system.Reader) (*sysctls, []system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	c, err := readSysctls(r)
	if err != nil {
		return nil, nil, err
	}
	value, err := s.Write("", sysctlSense())
	if err != nil {
		return nil, nil, err
	}
	differences, err := s.contradictions(c, value)
	if err != nil {
		return nil, nil, err
	}
	// The first turn states the value; each that follows takes one file out of
	// the way that decides otherwise all the same.
	for turn := range maxTurns {
		wrong, decided, err := s.loses(c)
		if err != nil || decided {
			return c, differences, err
		}
		if turn == 0 {
			d := system.Difference{Subject: c.kind + ": " + dotted(s.Key), Have: "not set", Want: s.String()}
			if wrong != nil && wrong.assigns {
				d.Subject, d.Have = c.file(wrong.source).path+": "+dotted(s.Key), wrong.value
			}
			differences = append(differences, d)
		}
		managed := c.at(sysctlFile)
		written, err := s.insert(c, managed, value)
		switch {
		case err != nil:
			return nil, nil, err
		case written: // whether that is enough, the next turn tells
		case wrong == nil || system.IsPattern(wrong.key):
			return nil, nil, fmt.Errorf("setting %s: %s has no effect", dotted(s.Key), c.sources[managed].path)
		default:
			c.replace(*wrong, s.spelled(*wrong, value))
			if wrong.source >= 0 && !administered(c.sources[wrong.source].path) {
				// The copy in /etc, like any file there, has no other value.
				c.sources[wrong.source].path = path.Join("/etc", c.kind, c.sources[wrong.source].name())
				if _, err := s.contradictions(c, value); err != nil {
					return nil, nil, err
				}
			}
		}
	}
	return nil, nil, fmt.Errorf("setting %s: more than %d files of sysctl.d decide otherwise", dotted(s.Key), maxTurns)
}

// contradictions takes other values out of the files below /etc.
func (s *Sysctl) contradictions(c *sysctls, value string) ([]system.Difference, error) {
	list, err := c.assignments()
	if err != nil {
		return nil, err
	}
	var differences []system.Difference
	for _, a := range slices.Backward(list) { // what is before a place stays where it is
		file := c.file(a.source).path
		if a.key != s.Key || !a.assigns || s.fits(a.value) || !administered(file) {
			continue
		}
		if len(differences) == maxRepeats {
			return nil, fmt.Errorf("reading %s: %s is assigned more than %d times", c.kind, dotted(s.Key), maxRepeats)
		}
		differences = append(differences, system.Difference{Subject: file + ": " + dotted(s.Key), Have: a.value, Want: s.String()})
		c.replace(a, s.spelled(a, value))
	}
	slices.Reverse(differences)
	return differences, nil
}

// spelled is the assignment with the value it should have.
func (s *Sysctl) spelled(a found, value string) string {
	line := a.name + " = " + value
	if a.forgiving && a.assigns {
		return "-" + line
	}
	return line
}

// loses tells whether both systemd-sysctl and procps set a value that is all
// right, and else what decides instead.
func (s *Sysctl) loses(c *sysctls) (wrong *found, decided bool, err error) {
	list, err := c.assignments()
	if err != nil {
		return nil, false, err
	}
	systemd := slices.DeleteFunc(slices.Clone(list), func(a found) bool { return !c.systemd(a.source) })
	for _, order := range [][]found{systemd, list} {
		if a := effective(order, s.Key); a == nil || !a.assigns || !s.fits(a.value) {
			return a, false, nil
		}
	}
	return nil, true, nil
}

// insert adds the line to the managed file, which is sorted by key, unless it
// is there.
func (s *Sysctl) insert(c *sysctls, managed int, value string) (bool, error) {
	if c.sources[managed].text == "" {
		c.change(managed, 0, 0, sysctlHead)
	}
	text := c.sources[managed].text
	parsed, err := parseSysctl(text)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", c.sources[managed].path, err)
	}
	at, separator := len(text), ""
	if !strings.HasSuffix(text, "\n") {
		separator = "\n"
	}
	for _, a := range slices.Backward(parsed) {
		if a.key == s.Key && a.assigns {
			return false, nil
		}
		if a.key > s.Key {
			at, separator = a.start, ""
		}
	}
	c.change(managed, at, at, separator+dotted(s.Key)+" = "+value+"\n")
	return true, nil
}

// Check tells how the configuration, and the running kernel where there is
// one, differ.
func (s *Sysctl) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	_, differences, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	// A kernel without the parameter has nothing to agree with.
	running, runs, err := system.ReadText(r, "/proc/sys/"+s.Key, maxFile)
	if err != nil {
		return nil, fmt.Errorf("asking the running kernel: %w", err)
	}
	if value := strings.TrimSpace(running); runs && !s.fits(value) {
		differences = append(differences, system.Difference{Subject: "/proc/sys/" + s.Key, Have: value, Want: s.String()})
	}
	return differences, nil
}

// Apply makes the configuration set the value at every boot to come.
func (s *Sysctl) Apply(ctx context.Context, sys system.System) (bool, error) {
	c, differences, err := s.plan(ctx, sys)
	if err != nil || len(differences) == 0 {
		return false, err
	}
	return true, c.write(sys)
}
