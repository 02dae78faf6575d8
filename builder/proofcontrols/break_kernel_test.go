package proofcontrols_test

import (
	"regexp"
	"slices"
	"strings"
)

var sysctlDirs = []string{"/etc/sysctl.d", "/usr/lib/sysctl.d", "/usr/local/lib/sysctl.d"}

func sysctls(name string, s state) []way {
	slashed := strings.ReplaceAll(name, ".", "/")
	is := regexp.MustCompile(`^\s*-?\s*(` + regexp.QuoteMeta(name) + `|` + regexp.QuoteMeta(slashed) + `)\s*=`)
	var list []way
	for _, value := range s.wrong() {
		list = append(list,
			way{name: "set to " + value + " in a later file", subject: name, do: func(h hand) bool {
				h.write("/etc/sysctl.d/zz-local.conf", name+" = "+value+"\n")
				return true
			}},
			way{name: "set to " + value + " in a later file of a package", subject: name, do: func(h hand) bool {
				h.write("/usr/lib/sysctl.d/zz-vendor.conf", name+" = "+value+"\n")
				return true
			}},
			way{name: "set to " + value + " in a later file, with slashes", subject: name, do: func(h hand) bool {
				h.write("/etc/sysctl.d/zz-local.conf", "-"+slashed+"="+value+"\n")
				return true
			}},
			way{name: "set to " + value + " further down in the file", subject: name, do: func(h hand) bool {
				return everywhere(h.files(sysctlDirs...), func(file string) bool {
					return h.edit(file, func(line string) string {
						if is.MatchString(line) {
							return line + "\n" + name + "=" + value
						}
						return line
					})
				})
			}},
			way{name: "set to " + value + " in sysctl.conf, linked as the last", subject: name, do: func(h hand) bool {
				h.append("/etc/sysctl.conf", name+"="+value+"\n")
				h.link("../sysctl.conf", "/etc/sysctl.d/zzz.conf")
				return true
			}},
		)
	}
	hide := func(how func(h hand, name string)) func(h hand) bool {
		return func(h hand) bool {
			return everywhere(h.files(sysctlDirs...), func(file string) bool {
				if !slices.ContainsFunc(strings.Split(h.text(file), "\n"), is.MatchString) {
					return false
				}
				how(h, file)
				return true
			})
		}
	}
	return append(list,
		way{name: "taken out of every file", subject: name, do: func(h hand) bool {
			return everywhere(h.files(append(sysctlDirs, "/etc/sysctl.conf")...), func(file string) bool { return h.out(file, is) })
		}},
		way{name: "its files removed", subject: name, do: hide(func(h hand, file string) { h.remove(file) })},
		way{name: "its files hidden by links to nothing", subject: name, do: hide(func(h hand, file string) {
			h.link("/dev/null", "/etc/sysctl.d/"+file[strings.LastIndex(file, "/")+1:])
		})},
	)
}

var modprobeDirs = []string{"/etc/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"}

func modules(name string, s state) []way {
	spelled := `(?:` + strings.ReplaceAll(regexp.QuoteMeta(name), "_", "[-_]") + `)`
	install := regexp.MustCompile(`^\s*install\s+` + spelled + `\s`)
	blacklist := regexp.MustCompile(`^\s*blacklist\s+` + spelled + `\s*$`)
	all := func(h hand) []string { return h.files(modprobeDirs...) }
	return []way{
		{name: "no longer kept from being installed", subject: name, do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool { return h.out(file, install) })
		}},
		{name: "taken off the blacklist", subject: name, do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool { return h.comment(file, blacklist) })
		}},
		{name: "installed by a file that comes first", subject: name, do: func(h hand) bool {
			h.write("/etc/modprobe.d/0-local.conf", "install "+name+" /sbin/modprobe --ignore-install "+name+"\n")
			return true
		}},
		{name: "let in where it was kept out", subject: name, do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool {
				return h.replace(file, install, "install "+name+" /sbin/modprobe --ignore-install "+name+" #")
			})
		}},
	}
}

const bootMenu = "/boot/grub/grub.cfg"

var kernelLine = regexp.MustCompile(`^\s*linux\s`)

func arguments(name string, s state) []way {
	given := regexp.MustCompile(`\s` + regexp.QuoteMeta(name) + `(=\S*)?(\s|$)`)
	line := func(to func(line string) string) func(h hand) bool {
		return func(h hand) bool {
			return h.edit(bootMenu, func(line string) string {
				if kernelLine.MatchString(line) {
					return to(line)
				}
				return line
			})
		}
	}
	list := []way{{name: "taken off the kernel's line", subject: name, do: line(func(line string) string { return given.ReplaceAllString(line, " ") })}}
	for _, value := range append(s.wrong(), "") {
		text := " " + name
		if value != "" {
			text += "=" + value
		}
		if value == "" && s.Value != nil && *s.Value == "1" {
			continue // a bare word counts as one for some
		}
		list = append(list, way{name: "contradicted by a later" + text, subject: name, do: line(func(line string) string { return line + text })},
			way{name: "changed to" + text, subject: name, do: line(func(line string) string { return given.ReplaceAllString(line, text+" ") })})
	}
	first := true
	return append(list, way{name: "taken off one entry of several", subject: name, do: func(h hand) bool {
		first = true
		if strings.Count(h.text(bootMenu), "\tlinux") < 2 {
			return false
		}
		return h.edit(bootMenu, func(line string) string {
			if kernelLine.MatchString(line) && first {
				first = false
				return given.ReplaceAllString(line, " ")
			}
			return line
		})
	}})
}

// byItself is a mount that systemd makes whatever its unit says; it takes the
// options of fstab alone.
const byItself = "/dev/shm"

func mounts(name string, s state) []way {
	point := regexp.MustCompile(`^\s*\S+\s+` + regexp.QuoteMeta(name) + `\s`)
	const fstab = "/etc/fstab"
	options := func(h hand, to func(list []string) []string) bool {
		return h.edit(fstab, func(line string) string {
			if fields := strings.Fields(line); point.MatchString(line) && !strings.HasPrefix(fields[0], "#") && len(fields) > 3 {
				fields[3] = strings.Join(to(strings.Split(fields[3], ",")), ",")
				return strings.Join(fields, " ")
			}
			return line
		})
	}
	unit := strings.ReplaceAll(strings.TrimPrefix(name, "/"), "/", "-") + ".mount"
	if s.Separate {
		return []way{
			{name: "taken out of fstab", subject: name, do: func(h hand) bool { return name != byItself && h.out(fstab, point) }},
			{name: "commented out", subject: name, do: func(h hand) bool { return name != byItself && h.comment(fstab, point) }},
			{name: "mounted by hand only", subject: name, do: func(h hand) bool {
				return name != byItself && options(h, func(list []string) []string { return append(list, "noauto") })
			}},
			{name: "its unit masked", subject: name, do: func(h hand) bool {
				if name != byItself {
					h.link("/dev/null", unitDir+"/"+unit)
				}
				return name != byItself
			}},
		}
	}
	var list []way
	for _, option := range s.Options {
		allowed := map[string]string{"nodev": "dev", "nosuid": "suid", "noexec": "exec"}[option]
		list = append(list,
			way{name: "dropped " + option, subject: name, do: func(h hand) bool {
				return options(h, func(list []string) []string {
					list = slices.DeleteFunc(list, func(o string) bool { return o == option })
					return append(list, "defaults")
				})
			}},
			way{name: "taken back by " + allowed, subject: name, do: func(h hand) bool {
				return options(h, func(list []string) []string { return append(list, allowed) })
			}})
		if name == byItself {
			continue
		}
		list = append(list,
			way{name: "covered by a second mount", subject: name, do: func(h hand) bool {
				h.append(fstab, "tmpfs "+name+" tmpfs defaults 0 0\n")
				return true
			}},
			way{name: "mounted by a unit of its own", subject: name, do: func(h hand) bool {
				h.write(unitDir+"/"+unit, "[Mount]\nWhat=/dev/vdb1\nWhere="+name+"\nType=ext4\nOptions=defaults\n")
				h.link("../"+unit, unitDir+"/local-fs.target.wants/"+unit)
				return true
			}},
			way{name: "changed by a drop-in of its unit", subject: name, do: func(h hand) bool {
				h.write(unitDir+"/"+unit+".d/local.conf", "[Mount]\nOptions=defaults\n")
				return true
			}},
		)
	}
	return list
}
