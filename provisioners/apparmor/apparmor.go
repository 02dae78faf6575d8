// Package apparmor holds the resource that all profiles of AppArmor are
// enforced. It reads the headers of profiles (apparmor.d(5)), the rest and what
// they include as far as telling whether the parser would take it, and what a
// running kernel says of those it has loaded; it never loads one.
package apparmor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Where profiles are, and the limit of files below it.
const (
	dir      = "/etc/apparmor.d"
	maxFiles = 20_000
)

// aside are the directories of dir without profiles of their own: parts that
// profiles include, and the parser's cache. Those of disable and
// force-complain say which profiles are not enforced.
var aside = []string{"abi", "abstractions", "cache", "cache.d", "disable", "force-complain", "local", "tunables"}

// Enforced demands that every profile of the system is in enforce mode: none
// has the flag complain or unconfined, none is linked in disable/ or
// force-complain/. Kill mode, which is stricter, is as good.
//
// On a live host that has AppArmor, the same goes for the profiles that the
// kernel has; every profile must be loaded, and a process of a program that a
// profile is for must run under one.
//
// Apply takes the flag complain and the links away. A profile that is
// unconfined on purpose has no rules to enforce: it is an error until it is
// removed, excepted or allowed.
type Enforced struct {
	Name            string `json:"-"`
	ComplainAllowed bool   `json:"complain-allowed,omitempty" jsonschema_description:"complain mode will do"`
	// Debian 13 has a hundred profiles that confine nothing: they name a program
	// so that it alone may make user namespaces.
	UnconfinedAllowed bool     `json:"unconfined-allowed,omitempty" jsonschema_description:"profiles that confine nothing on purpose will do"`
	Except            []string `json:"except,omitempty" jsonschema_description:"names of profiles, or of their files in /etc/apparmor.d"`
}

// New decodes the one entry that there is, "enforced".
func New(e node.Entry) (*Enforced, error) {
	r := &Enforced{Name: e.Key}
	p := &node.Problems{}
	p.Add(node.Decode(e.Value, r))
	if e.Key != "enforced" {
		p.Addf(e.Pos, "unknown state %q%s", e.Key, node.Suggest(e.Key, []string{"enforced"}))
	}
	for _, name := range r.Except {
		if name == "" || strings.ContainsAny(name, "\x00\n") {
			p.Addf(e.Value.At("except"), "%q is not the name of a profile", name)
		}
	}
	return r, p.Err()
}

// Identity is the same for all.
func (r *Enforced) Identity() string { return "apparmor " + r.Name }

// file is one file with profiles.
type file struct {
	path     string
	text     string
	profiles []Profile
}

// load reads all files with profiles, and the variables of them and of the
// tunables.
func load(r system.Reader) ([]file, Variables, error) {
	var list []file
	variables := Variables{}
	count := 0
	in := &includes{from: r, read: map[includeKey][]part{}}
	var walk func(at string, tunables bool, depth int) error
	walk = func(at string, tunables bool, depth int) error {
		names, err := r.ReadDir(at)
		if err != nil {
			return err
		}
		for _, name := range names {
			full := path.Join(at, name)
			info, err := r.Stat(full)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a link to nowhere
			}
			if err != nil {
				return err
			}
			if count++; count > maxFiles || depth > 8 {
				return fmt.Errorf("%s: more than %d files or 8 directories deep", dir, maxFiles)
			}
			switch {
			case info.Mode.IsDir() && at == dir && name == "tunables":
				err = walk(full, true, depth+1)
			case info.Mode.IsDir() && (at != dir || !slices.Contains(aside, name)):
				err = walk(full, tunables, depth+1)
			case info.Mode.IsRegular() && !ignored(name):
				f, values, bad := in.one(full, tunables)
				for name, v := range values {
					variables[name] = append(variables[name], v...)
				}
				if err = bad; !tunables && len(f.profiles) > 0 {
					list = append(list, f)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err := walk(dir, false, 0)
	if errors.Is(err, fs.ErrNotExist) && count == 0 {
		return nil, variables, nil
	}
	return list, variables, err
}

// one reads a file of profiles. In a directory of its own it is a part that a
// profile includes, or nothing does.
func (in *includes) one(full string, tunables bool) (file, Variables, error) {
	text, err := in.text(full)
	if err != nil {
		return file{}, nil, err
	}
	where := outside
	if path.Dir(full) != dir && !tunables {
		where = anywhere
	}
	p, err := parse(text, where)
	if err == nil && path.Dir(full) == dir {
		err = in.within(full, p)
	} else if err != nil {
		err = fmt.Errorf("%s: %w", full, err)
	}
	return file{full, text, p.profiles}, p.variables, err
}

// ignored are names of files that the parser passes over: hidden ones, and
// those that editors and package managers leave behind.
func ignored(name string) bool {
	if strings.HasPrefix(name, ".") || name == "README" {
		return true
	}
	for _, end := range []string{"~", ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".dpkg-bak", ".dpkg-remove", ".pacsave", ".pacnew", ".rpmnew", ".rpmsave", ".orig", ".rej"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// excepted tells whether a profile is left out.
func (r *Enforced) excepted(f file, name string) bool {
	return slices.Contains(r.Except, name) || slices.Contains(r.Except, f.path) || slices.Contains(r.Except, strings.TrimPrefix(f.path, dir+"/"))
}

func (r *Enforced) fine(mode string) bool {
	switch mode {
	case "complain":
		return r.ComplainAllowed
	case "unconfined", "default_allow":
		return r.UnconfinedAllowed
	}
	return mode == "enforce" || mode == "kill"
}

func (r *Enforced) want() string {
	if r.ComplainAllowed {
		return "enforce or complain"
	}
	return "enforce"
}

// links are the names in disable/ and force-complain/ that switch off a file.
func (r *Enforced) links(from system.Reader, f file) ([]string, error) {
	kinds := []string{"disable", "force-complain"}
	if r.ComplainAllowed {
		kinds = kinds[:1]
	}
	var list []string
	for _, kind := range kinds {
		name := path.Join(dir, kind, path.Base(f.path))
		_, err := from.Lstat(name)
		if err == nil && path.Dir(f.path) == dir {
			list = append(list, name)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return list, nil
}

// Check lists the profiles that are not enforced.
func (r *Enforced) Check(ctx context.Context, from system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files, variables, err := load(from)
	if err != nil {
		return nil, fmt.Errorf("reading AppArmor profiles: %w", err)
	}
	var list []system.Difference
	for _, f := range files {
		all := true
		for _, p := range f.profiles {
			if r.excepted(f, p.Name) {
				all = false
				continue
			}
			if mode := p.Mode(); !r.fine(mode) {
				list = append(list, system.Difference{Subject: fmt.Sprintf("%s:%d: profile %s", f.path, p.Line, p.Name), Have: mode, Want: r.want()})
			}
		}
		links, err := r.links(from, f)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			if all {
				list = append(list, system.Difference{Subject: l, Have: "there", Want: "absent"})
			}
		}
	}
	live, err := r.live(ctx, from, files, variables)
	if err != nil {
		return nil, fmt.Errorf("reading what the kernel says of AppArmor: %w", err)
	}
	return append(list, live...), nil
}

// Apply takes the flag complain and the links away.
func (r *Enforced) Apply(ctx context.Context, sys system.System) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	files, _, err := load(sys)
	if err != nil {
		return false, fmt.Errorf("reading AppArmor profiles: %w", err)
	}
	changed := false
	var left []string
	for _, f := range files {
		var complaining []Profile
		all := true
		for _, p := range f.profiles {
			switch mode := p.Mode(); {
			case r.excepted(f, p.Name):
				all = false
			case r.fine(mode):
			case mode == "complain":
				complaining = append(complaining, p)
			default:
				left = append(left, p.Name+" ("+mode+")")
			}
		}
		if len(complaining) > 0 {
			info, err := sys.Lstat(f.path)
			if err != nil {
				return changed, err
			}
			if !info.Mode.IsRegular() {
				return changed, fmt.Errorf("%s is a link; mend the file that it points at", f.path)
			}
			if err := system.Replace(sys, f.path, withoutComplain(f.text, complaining), 0o644); err != nil {
				return changed, err
			}
			changed = true
		}
		links, err := r.links(sys, f)
		if err != nil {
			return changed, err
		}
		for _, l := range links {
			if !all {
				continue
			}
			if err := sys.Remove(l); err != nil {
				return changed, err
			}
			changed = true
		}
	}
	if len(left) > 0 {
		return changed, fault.Worldf("enforcing AppArmor profiles: %s cannot be enforced", strings.Join(left, ", ")).
			WithHint(`remove the profiles, name them under "except", or write "unconfined-allowed: true"`)
	}
	return changed, nil
}
