package proofcontrols_test

import (
	"io/fs"
	"path"
	"regexp"
	"strings"

	"imgbuild/provisioners/system"
)

func packages(name string, s state) []way {
	if s.Absent {
		return []way{
			{name: "installed", subject: name, do: func(h hand) bool { installed(h, name); return true }},
			{name: "installed and held", subject: name, do: func(h hand) bool {
				installed(h, name)
				return h.edit(dpkgStatus, onceAfter("Package: "+name, "Status: install ok installed", "Status: hold ok installed"))
			}},
		}
	}
	names := append([]string{name}, s.Or...)
	return []way{
		{name: "purged", subject: name, do: func(h hand) bool {
			return everywhere(names, func(n string) bool { return uninstall(h, n) })
		}},
		{name: "removed, its configuration left", subject: name, do: func(h hand) bool {
			return everywhere(names, func(n string) bool {
				return h.edit(dpkgStatus, onceAfter("Package: "+n, "Status: install ok installed", "Status: deinstall ok config-files"))
			})
		}},
		{name: "left half installed", subject: name, do: func(h hand) bool {
			return everywhere(names, func(n string) bool {
				return h.edit(dpkgStatus, onceAfter("Package: "+n, "Status: install ok installed", "Status: install reinstreq half-installed"))
			})
		}},
	}
}

// onceAfter replaces the first line that is old after one that is start.
func onceAfter(start, old, with string) func(line string) string {
	after := false
	return func(line string) string {
		switch {
		case line == start:
			after = true
		case after && line == old:
			after = false
			return with
		}
		return line
	}
}

// attributes are the ways of changing who may do what with a path.
func attributes(name string, s state) []way {
	mode := func(bits fs.FileMode) func(h hand) bool {
		return func(h hand) bool {
			info, err := h.s.Stat(name)
			if err != nil || info.Mode.Perm()|bits == info.Mode.Perm() {
				return false
			}
			h.chmod(name, system.Bits(info.Mode)|bits)
			return true
		}
	}
	owner := func(uid, gid int) func(h hand) bool {
		return func(h hand) bool {
			info, err := h.s.Stat(name)
			if err != nil {
				return false
			}
			if uid < 0 {
				uid = info.UID
			}
			if gid < 0 {
				gid = info.GID
			}
			h.chown(name, uid, gid)
			return true
		}
	}
	var list []way
	if s.Mode != "" {
		list = append(list,
			way{name: "written to by everyone", subject: name, do: mode(0o002)},
			way{name: "written to by its group", subject: name, do: mode(0o020)},
			way{name: "run with its owner's rights", subject: name, do: func(h hand) bool {
				info, err := h.s.Stat(name)
				if err != nil || !info.Mode.IsRegular() {
					return false
				}
				h.chmod(name, system.Bits(info.Mode)|fs.ModeSetuid)
				return true
			}})
		if len(s.Mode) > 0 && (s.Mode[len(s.Mode)-1]-'0')&4 == 0 {
			list = append(list, way{name: "read by everyone", subject: name, do: mode(0o004)})
		}
	}
	if s.Owner != "" {
		list = append(list, way{name: "given to a user", subject: name, do: owner(1000, -1)})
	}
	if s.Group != "" {
		list = append(list, way{name: "given to a group", subject: name, do: owner(-1, 1000)})
	}
	return list
}

func files(name string, s state) []way {
	if s.Absent {
		return []way{
			{name: "made", subject: name, do: func(h hand) bool { h.create(name, "", system.Attr{Mode: 0o644}); return true }},
			{name: "made a link", subject: name, do: func(h hand) bool { h.link("/etc/passwd", name); return true }},
		}
	}
	list := append(attributes(name, s),
		way{name: "removed", subject: name, do: func(h hand) bool { h.remove(name); return true }},
		way{name: "replaced by a link to a copy", subject: name, do: func(h hand) bool {
			info, err := h.s.Stat(name)
			if err != nil {
				return false
			}
			h.create("/srv/copy", h.text(name), system.Attr{Mode: system.Bits(info.Mode), UID: info.UID, GID: info.GID})
			h.link("/srv/copy", name)
			return true
		}},
	)
	if s.Content != nil {
		list = append(list,
			way{name: "added to", subject: name, unreadable: true, do: func(h hand) bool { h.append(name, "Debian GNU/Linux \\r\n"); return true }},
			way{name: "cut by a byte", subject: name, unreadable: true, do: func(h hand) bool {
				text := h.text(name)
				h.write(name, text[:len(text)-1])
				return true
			}},
			way{name: "changed to a text of the same length", subject: name, unreadable: true, do: func(h hand) bool {
				h.write(name, "#"+h.text(name)[1:])
				return true
			}})
	}
	return list
}

func directories(name string, s state) []way {
	return append(attributes(name, s),
		way{name: "removed", subject: name, do: func(h hand) bool { h.remove(name); return true }},
		way{name: "replaced by a file", subject: name, unreadable: true, do: func(h hand) bool {
			h.remove(name)
			h.create(name, "", system.Attr{Mode: 0o640})
			return true
		}})
}

func lines(name string, s state) []way {
	pattern := s.Match
	if pattern == "" {
		pattern = "^" + regexp.QuoteMeta(s.Line) + "$"
	}
	match := regexp.MustCompile(pattern)
	if s.Absent {
		var list []way
		s.Path = strings.Replace(s.Path, "*", "zz-local", 1)
		for _, text := range examples(pattern) {
			for where, add := range map[string]func(h hand){
				"at the end": func(h hand) { h.append(s.Path, text+"\n") }, "at the top": func(h hand) { h.prepend(s.Path, text+"\n") },
				"without a newline": func(h hand) { h.append(s.Path, text) },
			} {
				list = append(list, way{name: "written " + where + ": " + text, subject: s.Path, do: func(h hand) bool { add(h); return true }})
			}
		}
		return list
	}
	// Another value of what the line says.
	end := strings.LastIndexAny(s.Line, " =")
	other := s.Line[:end+1] + "broken"
	list := []way{
		{name: "taken out", subject: s.Path, do: func(h hand) bool { return h.out(s.Path, match) }},
		{name: "commented out", subject: s.Path, do: func(h hand) bool { return h.comment(s.Path, match) }},
		{name: "made to say something else", subject: s.Path, do: func(h hand) bool {
			return h.edit(s.Path, func(line string) string {
				if match.MatchString(line) {
					return other
				}
				return line
			})
		}},
	}
	if match.MatchString(other) {
		list = append(list, way{name: "contradicted by a later line", subject: s.Path, do: func(h hand) bool {
			h.append(s.Path, other+"\n")
			return true
		}})
	}
	return list
}

func symlinks(name string, s state) []way {
	if s.Absent {
		return []way{
			{name: "linked", subject: name, do: func(h hand) bool { h.link("/dev/null", name); return true }},
		}
	}
	return []way{
		{name: "removed", subject: name, do: func(h hand) bool { h.remove(name); return true }},
		{name: "led elsewhere", subject: name, do: func(h hand) bool { h.link("/srv/elsewhere", name); return true }},
		{name: "replaced by a file", subject: name, do: func(h hand) bool {
			h.remove(name)
			h.create(name, "", system.Attr{Mode: 0o644})
			return true
		}},
	}
}

// unitDirs are where administrators put what they decide on units.
const unitDir = "/etc/systemd/system"

func services(name string, s state) []way {
	unlink := func(h hand) bool {
		// systemctl disable: every link to the unit, and those that are called as
		// it is.
		found := false
		for _, link := range h.linksBelow(unitDir) {
			target, err := h.s.Readlink(link)
			if err == nil && (path.Base(link) == name || path.Base(target) == name) && target != "/dev/null" {
				h.remove(link)
				found = true
			}
		}
		return found
	}
	mask := way{name: "masked", subject: name, do: func(h hand) bool {
		unlink(h)
		h.link("/dev/null", unitDir+"/"+name)
		return true
	}}
	switch s.State {
	case "masked":
		return []way{
			{name: "unmasked", subject: name, do: func(h hand) bool { h.remove(unitDir + "/" + name); return true }},
			{name: "written anew", subject: name, do: func(h hand) bool {
				h.remove(unitDir + "/" + name)
				h.write(unitDir+"/"+name, "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
				return true
			}},
			{name: "linked to another unit", subject: name, do: func(h hand) bool {
				h.link("/usr/lib/systemd/system/ssh.service", unitDir+"/"+name)
				return true
			}},
		}
	case "disabled":
		return []way{{name: "enabled", subject: name, do: func(h hand) bool {
			h.link("/usr/lib/systemd/system/"+name, unitDir+"/multi-user.target.wants/"+name)
			return true
		}}}
	}
	return []way{
		{name: "disabled", subject: name, do: unlink},
		mask,
		{name: "masked beside its links", subject: name, do: func(h hand) bool {
			// A unit file of one's own cannot be masked so.
			if info, err := h.s.Lstat(unitDir + "/" + name); err == nil && info.Mode.IsRegular() {
				return false
			}
			h.link("/dev/null", unitDir+"/"+name)
			return true
		}},
		{name: "masked by an empty file", subject: name, do: func(h hand) bool {
			h.remove(unitDir + "/" + name)
			h.create(unitDir+"/"+name, "", system.Attr{Mode: 0o644})
			return true
		}},
		{name: "its unit removed", subject: name, do: func(h hand) bool {
			found := false
			for _, dir := range []string{"/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"} {
				if info, err := h.s.Lstat(dir + "/" + name); err == nil && info.Mode.IsRegular() {
					h.remove(dir + "/" + name)
					found = true
				}
			}
			return found
		}},
	}
}

// linksBelow lists the symbolic links below a directory.
func (h hand) linksBelow(dir string) []string {
	h.t.Helper()
	var list []string
	for _, name := range h.names(dir) {
		switch info, err := h.s.Lstat(name); {
		case err != nil:
		case info.Mode.IsDir():
			list = append(list, h.linksBelow(name)...)
		case info.Mode&fs.ModeSymlink != 0:
			list = append(list, name)
		}
	}
	return list
}
