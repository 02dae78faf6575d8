package apparmor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"imgbuild/provisioners/system"
)

// What a running kernel says.
const (
	enabledFile  = "/sys/module/apparmor/parameters/enabled"
	profilesFile = "/sys/kernel/security/apparmor/profiles"
	maxProcesses = 1 << 22
)

// line is one of profilesFile, or a process's own: NAME (MODE).
var line = regexp.MustCompile(`^(.+) \(([a-z]+)\)$`)

// live compares what a running kernel has with the files. A system that is
// not running, or a container without a view of AppArmor, has nothing to say.
func (r *Enforced) live(ctx context.Context, from system.Reader, files []file, variables Variables) ([]system.Difference, error) {
	var list []system.Difference
	differ := func(subject, have, want string) {
		list = append(list, system.Difference{Subject: subject, Have: have, Want: want})
	}
	enabled, runs, err := system.ReadText(from, enabledFile, 1<<10)
	if err != nil {
		return nil, err
	}
	if runs && strings.TrimSpace(enabled) != "Y" {
		differ(enabledFile, "off", "on")
		return list, nil
	}
	text, there, err := system.ReadText(from, profilesFile, maxFile)
	if err != nil {
		return nil, err
	}
	if !there {
		return list, nil
	}
	modes := map[string]string{}
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if l == "" {
			continue
		}
		parts := line.FindStringSubmatch(l)
		if parts == nil {
			return nil, fmt.Errorf("%s: %q is not a name and a mode", profilesFile, l)
		}
		modes[parts[1]] = parts[2]
		if name := parts[1]; !r.fine(parts[2]) && !r.exceptedName(files, name) {
			differ(profilesFile+": "+name, parts[2], r.want())
		}
	}
	var guards []guard
	for _, f := range files {
		for _, p := range f.profiles {
			if r.excepted(f, p.Name) || strings.Contains(p.Name, "//") || path.Dir(f.path) != dir {
				continue
			}
			if _, loaded := modes[p.Name]; !loaded && !strings.Contains(p.Name, "@{") {
				differ(profilesFile+": "+p.Name, "not loaded", "loaded")
			}
			if p.Attachment != "" {
				expression, err := pattern(p.Attachment, variables)
				if err != nil {
					return nil, fmt.Errorf("%s:%d: %w", f.path, p.Line, err)
				}
				guards = append(guards, guard{p.Name, expression})
			}
		}
	}
	return list, processes(ctx, from, guards, differ)
}

func (r *Enforced) exceptedName(files []file, name string) bool {
	for _, f := range files {
		for _, p := range f.profiles {
			if p.Name == name && r.excepted(f, name) {
				return true
			}
		}
	}
	return r.excepted(file{}, name)
}

// guard is a profile with the programs it is for.
type guard struct {
	name     string
	programs *regexp.Regexp
}

// processes finds those that run unconfined though a profile is for their
// program: they were started before it was loaded.
func processes(ctx context.Context, from system.Reader, guards []guard, differ func(subject, have, want string)) error {
	names, err := system.Names(from, "/proc")
	if err != nil || len(guards) == 0 {
		return err
	}
	if len(names) > maxProcesses {
		return fmt.Errorf("more than %d processes", maxProcesses)
	}
	for _, pid := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.Trim(pid, "0123456789") != "" {
			continue
		}
		exe, err := from.Readlink(path.Join("/proc", pid, "exe"))
		if err != nil {
			continue // a thread of the kernel, or a process that ended
		}
		exe = strings.TrimSuffix(exe, " (deleted)")
		for _, g := range guards {
			if !g.programs.MatchString(exe) {
				continue
			}
			current, err := confinement(from, pid)
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return err
			}
			if current == "unconfined" {
				differ(path.Join("/proc", pid)+": "+exe, "unconfined", "confined by "+g.name)
			}
			break
		}
	}
	return nil
}

// confinement is a process's profile. With several security modules,
// attr/current may be another one's.
func confinement(from system.Reader, pid string) (string, error) {
	for _, name := range []string{"attr/apparmor/current", "attr/current"} {
		text, there, err := system.ReadText(from, path.Join("/proc", pid, name), 1<<16)
		if there || err != nil {
			return strings.TrimRight(text, "\n\x00"), err
		}
	}
	return "", fs.ErrNotExist
}
