package proofcontrols_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

func settings(name string, s state) []way {
	key, section := s.Key, ""
	is := word(key)
	assign := func(value string) string { return key + " = " + value }
	if strings.HasPrefix(s.Path, "/etc/default/") || s.Path == "/etc/ufw/ufw.conf" {
		assign = func(value string) string { return key + "=" + value } // as a shell has it
	}
	if s.Path == bootMenu {
		is, assign = regexp.MustCompile(`^\s*set `+key+`=`), func(value string) string { return "set " + key + "=" + value }
	}
	switch s.Format {
	case "ini":
		section, key, _ = strings.Cut(s.Key, ".")
		is = word(key)
		assign = func(value string) string { return key + "=" + value }
	case "words":
		if s.Path == "/etc/apt/apt.conf" {
			assign = func(value string) string { return key + " \"" + value + "\";" }
			break
		}
		assign = func(value string) string { return key + "\t" + value }
	case "iptables":
		_, rule, _ := strings.Cut(key, " ")
		chain, _, isRule := strings.Cut(rule, " ")
		is, assign = regexp.MustCompile(`^:`+chain+` `), func(value string) string { return ":" + chain + " " + value + " [0:0]" }
		if isRule {
			is, assign = quoted("-A "+rule), func(value string) string { return "-A " + rule + " -j " + value }
		}
	case "limits":
		fields := strings.Fields(key)
		for i, f := range fields {
			fields[i] = regexp.QuoteMeta(f)
		}
		is = regexp.MustCompile(`^\s*` + strings.Join(fields, `\s+`) + `\s`)
		assign = func(value string) string { return key + " " + value }
	}
	inSection := func(text string) string {
		if section == "" {
			return text
		}
		return "[" + section + "]\n" + text
	}
	// All files that the program reads for this one.
	all := func(h hand) []string {
		return h.files(s.Path, s.Path+".d", strings.Replace(s.Path, "/etc/", "/usr/lib/", 1)+".d", "/etc/security/limits.d")
	}
	list := []way{
		{name: "taken out", do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool { return h.out(file, is) })
		}},
		{name: "commented out", do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool { return h.comment(file, is) })
		}},
	}
	for _, value := range s.wrong() {
		list = append(list,
			way{name: "changed to " + value, do: func(h hand) bool {
				return everywhere(all(h), func(file string) bool {
					return h.edit(file, func(line string) string {
						if is.MatchString(line) {
							return assign(value)
						}
						return line
					})
				})
			}},
			way{name: "set again to " + value + " at the end", do: func(h hand) bool {
				files := all(h)
				last := slices.IndexFunc(files, func(file string) bool {
					return slices.ContainsFunc(strings.Split(h.text(file), "\n"), is.MatchString)
				})
				if last < 0 {
					return false
				}
				h.append(files[last], inSection(assign(value)+"\n"))
				return true
			}},
		)
		if s.Absent {
			list = append(list, way{name: "set to " + value, do: func(h hand) bool {
				h.append(s.Path, inSection(assign(value)+"\n"))
				return true
			}})
		}
		if dir := dropInsOf(s.Format, s.Path); dir != "" {
			list = append(list, way{name: "set to " + value + " in a later drop-in", do: func(h hand) bool {
				h.write(path.Join(dir, "zz-local.conf"), inSection(assign(value)+"\n"))
				return true
			}})
		}
	}
	if dropInsOf(s.Format, s.Path) != "" && s.Format == "ini" {
		list = append(list, way{name: "emptied in a later drop-in", do: func(h hand) bool {
			h.write(path.Join(s.Path+".d", "zz-local.conf"), inSection(assign("")+"\n"))
			return true
		}})
	}
	for i := range list {
		// A value that would not do may be one that the program does not know.
		list[i].subject, list[i].unreadable, list[i].file = key, true, s.Path
	}
	return list
}

// dropInsOf is the directory of drop-ins that are read after a file, "" without
// one. Those of pwquality.conf are read before it.
func dropInsOf(format, name string) string {
	switch {
	case format == "ini" && strings.HasPrefix(name, "/etc/systemd/"):
		return name + ".d"
	case format == "limits":
		return "/etc/security/limits.d"
	}
	return ""
}

const sshdMain = "/etc/ssh/sshd_config"

// sshdWrong are values that a keyword may have and must not have here.
var sshdWrong = map[string]string{
	"Banner": "none", "Ciphers": "aes256-ctr,aes128-cbc", "KexAlgorithms": "curve25519-sha256,diffie-hellman-group1-sha1", "MACs": "hmac-sha2-256,hmac-sha1",
	"ClientAliveInterval": "0", "ClientAliveCountMax": "0", "LoginGraceTime": "2m", "LogLevel": "QUIET", "MaxAuthTries": "6", "MaxSessions": "100",
	"MaxStartups": "100:30:200", "PermitEmptyPasswords": "yes", "DisableForwarding": "no", "GSSAPIAuthentication": "yes",
	"HostbasedAuthentication": "yes", "IgnoreRhosts": "no", "PermitRootLogin": "prohibit-password", "PermitUserEnvironment": "yes", "UsePAM": "no",
	"AllowTcpForwarding": "local", "AllowAgentForwarding": "yes", "X11Forwarding": "yes",
}

// sshdInMatch are the keywords that may stand below Match (sshd_config(5)).
var sshdInMatch = []string{
	"Banner", "ClientAliveInterval", "ClientAliveCountMax", "LogLevel", "MaxAuthTries", "MaxSessions", "PermitEmptyPasswords", "DisableForwarding",
	"GSSAPIAuthentication", "HostbasedAuthentication", "IgnoreRhosts", "PermitRootLogin", "AllowTcpForwarding", "AllowAgentForwarding", "X11Forwarding",
}

func sshd(name string, s state) []way {
	fold := func(keyword string) *regexp.Regexp { return regexp.MustCompile(`(?i)^\s*` + keyword + `[\s=]`) }
	all := func(h hand) []string { return h.files(sshdMain, sshdMain+".d") }
	if s.AnyOf != nil {
		return []way{
			{name: "taken out", subject: "AllowGroups", do: func(h hand) bool {
				return everywhere(all(h), func(file string) bool {
					return everywhere(s.AnyOf, func(keyword string) bool { return h.out(file, fold(keyword)) })
				})
			}},
			{name: "said of some connections only", subject: "AllowGroups", do: func(h hand) bool {
				return everywhere(all(h), func(file string) bool {
					return everywhere(s.AnyOf, func(keyword string) bool { return h.out(file, fold(keyword)) })
				}) && everywhere([]string{sshdMain}, func(file string) bool {
					h.append(file, "Match Address 192.0.2.0/24\n\tAllowGroups sudo\n")
					return true
				})
			}},
		}
	}
	is, wrong := fold(name), sshdWrong[name]
	if wrong == "" {
		return nil
	}
	first := []way{
		{name: "set first, in another spelling", subject: name, do: func(h hand) bool {
			h.prepend(sshdMain, strings.ToUpper(name)+"="+wrong+"\n")
			return true
		}},
		{name: "set by a file that is included first", subject: name, do: func(h hand) bool {
			h.write(sshdMain+".d/00-a-local.conf", name+" "+wrong+"\n")
			return true
		}},
		{name: "set by a file of an Include at the top", subject: name, do: func(h hand) bool {
			h.write("/etc/ssh/local.conf", name+" "+wrong+"\n")
			h.prepend(sshdMain, "Include local.conf\n")
			return true
		}},
	}
	if name == "MaxStartups" {
		// The one keyword of which the last line counts.
		first = []way{{name: "set again at the end", subject: name, do: func(h hand) bool {
			h.append(sshdMain, name+" "+wrong+"\n")
			return true
		}}}
	}
	list := append(first, []way{
		{name: "taken out", subject: name, do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool { return h.out(file, is) })
		}},
		{name: "commented out", subject: name, do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool { return h.comment(file, is) })
		}},
		{name: "changed to " + wrong, subject: name, do: func(h hand) bool {
			return everywhere(all(h), func(file string) bool {
				return h.edit(file, func(line string) string {
					if is.MatchString(line) {
						return name + " " + wrong
					}
					return line
				})
			})
		}},
	}...)
	list = append(list, way{name: "set on the daemon's command line", subject: "SSHD_OPTS", do: func(h hand) bool {
		h.write("/etc/default/ssh", "# Options to pass to sshd\nSSHD_OPTS=\"-o "+name+"="+wrong+"\"\n")
		return true
	}})
	if slices.Contains(sshdInMatch, name) {
		list = append(list,
			way{name: "set for some users", subject: name, do: func(h hand) bool {
				h.append(sshdMain, "Match User deploy\n\t"+name+" "+wrong+"\n")
				return true
			}},
			way{name: "set for some addresses in an included file", subject: name, do: func(h hand) bool {
				h.write(sshdMain+".d/zz-local.conf", "Match Address 10.0.0.0/8\n    "+name+" "+wrong+"\n")
				return true
			}})
	}
	return list
}

// sudoWrong are settings as they must not be.
var sudoWrong = map[string][]string{
	"logfile": {"logfile=/tmp/sudo.log", "!logfile"}, "timestamp_timeout": {"timestamp_timeout=60", "timestamp_timeout=-1"}, "use_pty": {"!use_pty"},
	"!authenticate": {"!authenticate"}, "exempt_group": {"exempt_group=adm"}, "!log_allowed": {"!log_allowed"}, "!log_denied": {"!log_denied"},
}

func sudoers(name string, s state) []way {
	const main, drop = "/etc/sudoers", "/etc/sudoers.d/zz-local"
	var list []way
	add := func(what, line string) {
		list = append(list,
			way{name: what + " in a later file", subject: name, do: func(h hand) bool { h.write(drop, line+"\n"); return true }},
			way{name: what + " at the end of sudoers", subject: name, do: func(h hand) bool { h.append(main, line+"\n"); return true }},
			way{name: what + " in a file included elsewhere", subject: name, do: func(h hand) bool {
				h.write("/etc/sudo-local", line+"\n")
				h.append(main, "@include /etc/sudo-local\n")
				return true
			}})
	}
	if name == "NOPASSWD" {
		add("given", "deploy ALL=(ALL:ALL) NOPASSWD: ALL")
		add("given to a group, for one command", "%adm ALL=(root) /bin/ls, NOPASSWD: /usr/bin/systemctl")
		return list
	}
	for _, wrong := range sudoWrong[name] {
		for _, scope := range []string{"", ":deploy", "@web1", ">root", "!/usr/bin/id"} {
			add("Defaults"+scope+" "+wrong, "Defaults"+scope+" "+wrong)
		}
	}
	if s.Absent {
		return list
	}
	is := regexp.MustCompile(`^\s*Defaults\s+(.*,\s*)?` + regexp.QuoteMeta(name) + `(\s|=|,|$)`)
	return append(list, way{name: "taken out", subject: name, do: func(h hand) bool {
		return everywhere(h.files(main, "/etc/sudoers.d"), func(file string) bool { return h.out(file, is) })
	}})
}
