package sweep

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Sweep is one demand on every file of a system, called by what is looked for.
//
// Apply mends what can be mended without knowing what a file is for: it takes
// permissions away, it sets the sticky bit, it gives root back what must be
// root's. The rest waits for a person, as an Undecided error.
type Sweep struct {
	Name   string   `json:"-"`
	Except []string `json:"except,omitempty" jsonschema_description:"paths that are left out: shell patterns, or a directory with /** for all below it"`
	Allow  []string `json:"allow,omitempty" jsonschema_description:"setuid and capabilities: paths that may have them, as in except; a program of Debian among them lends what Debian lets it, and no more"`
	Clear  bool     `json:"clear,omitempty" jsonschema_description:"setuid: take the bits off what is not allowed"`

	kind kind
}

// Undecided is the error of applying a sweep whose findings only a person can
// judge. What could be mended has been.
type Undecided struct {
	// Sweep is the name of it.
	Sweep string
	// Found is what is left.
	Found []system.Difference
}

func (u *Undecided) Error() string {
	const shown = 5
	var list []string
	for _, d := range u.Found[:min(shown, len(u.Found))] {
		list = append(list, d.String())
	}
	if more := len(u.Found) - shown; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return fmt.Sprintf("sweep %s: %d findings need a decision: %s", u.Sweep, len(u.Found), strings.Join(list, "; "))
}

// Unwrap gives the error its kind and hint.
func (u *Undecided) Unwrap() error {
	return fault.Worldf("sweep %s", u.Sweep).WithHint(`mend or remove the files, or list them under "except" or "allow"`)
}

// New decodes the sweep called e.Key.
func New(e node.Entry) (*Sweep, error) {
	s := &Sweep{Name: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(e.Value, s))
	k, ok := kinds()[e.Key]
	if !ok {
		p.Addf(e.Pos, "unknown sweep %q%s", e.Key, node.Suggest(e.Key, Names()))
		return s, p.Err()
	}
	s.kind = k
	if len(s.Allow) > 0 && !k.allows {
		p.Addf(e.Value.At("allow"), `"allow" is for setuid and capabilities; write "except"`)
	}
	if s.Clear && e.Key != setuid {
		p.Addf(e.Value.At("clear"), `"clear" is for setuid`)
	}
	for key, list := range map[string][]string{"except": s.Except, "allow": s.Allow} {
		for _, pattern := range list {
			if err := checkPattern(pattern); err != nil {
				p.Addf(e.Value.At(key), "%q: %v", pattern, err)
			}
		}
	}
	return s, p.Err()
}

// Names are the sweeps that there are.
func Names() []string {
	var list []string
	for name := range kinds() {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

// Identity is the name's.
func (s *Sweep) Identity() string { return "sweep " + s.Name }

func checkPattern(pattern string) error {
	if !strings.HasPrefix(pattern, "/") || len(pattern) > 1024 {
		return fmt.Errorf("expected a pattern of absolute paths")
	}
	_, err := path.Match(strings.TrimSuffix(pattern, "/**"), "/")
	return err
}

// matches tells whether one of the patterns means a path.
func matches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		dir, below := strings.CutSuffix(pattern, "/**")
		if !below {
			if ok, err := path.Match(pattern, name); ok && err == nil {
				return true
			}
			continue
		}
		for at := path.Dir(name); ; at = path.Dir(at) {
			if ok, err := path.Match(dir, at); ok && err == nil || dir == "" {
				return true
			}
			if at == "/" {
				break
			}
		}
	}
	return false
}

// finding is what is wrong with one file, and what would be right: want is nil
// where only a person can tell.
type finding struct {
	entry      Entry
	difference system.Difference
	want       *system.Attr
}

// find runs the sweep over a walk.
func (s *Sweep) find(ctx context.Context, r system.Reader) ([]finding, error) {
	tree, err := Of(ctx, r)
	if err != nil {
		return nil, err
	}
	look, err := s.kind.prepare(r, s)
	if err != nil {
		return nil, err
	}
	var list []finding
	for _, e := range tree.Entries {
		found, err := look(e)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 && !matches(s.Except, e.Path) {
			list = append(list, found...)
		}
	}
	return list, nil
}

// Check lists the files that are not as they should be, in path order.
func (s *Sweep) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	found, err := s.find(ctx, r)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, f := range found {
		list = append(list, f.difference)
	}
	return list, nil
}

// Apply mends what is safe to mend; what is left is an Undecided error.
func (s *Sweep) Apply(ctx context.Context, sys system.System) (bool, error) {
	found, err := s.find(ctx, sys)
	if err != nil {
		return false, err
	}
	changed := false
	left := &Undecided{Sweep: s.Name}
	for _, f := range found {
		if f.want == nil {
			left.Found = append(left.Found, f.difference)
			continue
		}
		// Another finding on the same file may have changed it since.
		now, err := sys.Lstat(f.entry.Path)
		if err != nil {
			return changed, err
		}
		if now.UID != f.want.UID || now.GID != f.want.GID {
			if err := sys.Chown(f.entry.Path, f.want.UID, f.want.GID); err != nil {
				return changed, err
			}
			changed = true
		}
		if system.Bits(now.Mode) != system.Bits(f.want.Mode) {
			if err := sys.Chmod(f.entry.Path, f.want.Mode); err != nil {
				return changed, err
			}
			changed = true
		}
	}
	if len(left.Found) > 0 {
		return changed, left
	}
	return changed, nil
}

// octal writes the changeable bits of a mode as chmod(1) takes them.
func octal(mode fs.FileMode) string {
	bits := uint64(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return fmt.Sprintf("%04s", strconv.FormatUint(bits, 8))
}
