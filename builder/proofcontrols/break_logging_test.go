package proofcontrols_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

const rsyslogMain = "/etc/rsyslog.conf"

// rsyslogs are the ways of undoing what rsyslogd must be configured to do.
func rsyslogs(_ string, s state) []way {
	var texts []string
	switch {
	case s.Listens != nil:
		texts = []string{
			"module(\n  load=\"imtcp\"\n  maxSessions=\"5\" # ) none\n)\n", "$ModLoad imudp.so\n$UDPServerRun 514\n", "input( port=\"514\"\n  TYPE = \"imptcp\" )\n",
			"module(load=\"imuxsock\") module(load=\"im\\\nrelp\")\n", "/* off */ $modload /usr/lib/rsyslog/imgssapi.so\n",
		}
	case s.FileMode != "":
		texts = []string{
			"$FileCreateMode 0644\n", "  $filecreatemode \\\n 0666 # for all\n", "$ResetConfigVariables\n", "*.* action(\n  type=\"omfile\"\n  file=\"/var/log/all\"\n  fileCreateMode=\"0644\")\n",
			// The directive is not for these.
			"mail.* action(type=\"omfile\" file=\"/var/log/mails\")\n", "module(load=\"builtin:omfile\" fileCreateMode=\"0660\")\nif 1 then {\n action(type=\"omfile\" dynaFile=\"a\")\n}\n",
		}
	case s.Forwards != "":
		texts = []string{
			"*.* @logs.example.com\n", "auth.*@@(o)[2001:db8::1]:514;RSYSLOG_ForwardFormat\n", "*.* action(\n  type=\"omfwd\"\n  target=\"logs.example.com\" # in clear\n  protocol=\"tcp\"\n)\n",
			"ruleset(name=\"away\") {\n if prifilt(\"auth.*\") then\n  action(type=\"omrelp\" target=\"logs.example.com\" port=\"2514\")\n}\n",
			"*.* action(type=\"omfwd\" target=\"logs.example.com\" protocol=\"tcp\" streamDriver=\"gtls\" streamDriverMode=\"0\" streamDriverAuthMode=\"x509/name\")\n",
			"*.* action(type=\"omfwd\" target=\"logs.example.com\" protocol=\"tcp\" streamDriver=\"gtls\" streamDriverMode=\"1\")\n",
			"*.* action(type=\"omkafka\" broker=\"logs.example.com\" topic=\"a\")\n",
		}
	}
	var list []way
	for _, text := range texts {
		for _, name := range []string{rsyslogMain, "/etc/rsyslog.d/zz-local.conf"} {
			list = append(list, way{name: "written to " + name + ": " + text, subject: name, do: func(h hand) bool { h.append(name, text); return true }})
		}
	}
	list = append(list, way{name: "started with another configuration", subject: "rsyslog.service", do: func(h hand) bool {
		h.write("/etc/systemd/system/rsyslog.service.d/local.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/rsyslogd -n -iNONE -f/srv/rsyslog.conf\n")
		return true
	}})
	for including, name := range map[string]string{
		"$IncludeConfig /srv/log/*\n": "/srv/log/a", "include(\n  file=\"/srv/log/\"\n)\n": "/srv/log/below/a", "include(file=\"/srv/log/a\" mode=\"optional\")\n": "/srv/log/a",
	} {
		list = append(list, way{name: "included by " + including, subject: name, do: func(h hand) bool {
			h.write(name, texts[0])
			h.append(rsyslogMain, including)
			return true
		}})
	}
	list = append(list, way{name: "in a text that is included", subject: rsyslogMain, do: func(h hand) bool {
		h.append(rsyslogMain, "include(text=\""+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(texts[0])+"\")\n")
		return true
	}})
	if s.FileMode != "" {
		is := regexp.MustCompile(`(?i)^\s*\$FileCreateMode\b`)
		all := func(h hand) []string { return h.files(rsyslogMain, "/etc/rsyslog.d") }
		list = append(list,
			way{name: "taken out", subject: rsyslogMain, do: func(h hand) bool {
				return everywhere(all(h), func(file string) bool { return h.out(file, is) })
			}},
			way{name: "commented out", subject: rsyslogMain, do: func(h hand) bool {
				return everywhere(all(h), func(file string) bool { return h.comment(file, is) })
			}},
			way{name: "swallowed by a comment before it", subject: rsyslogMain, do: func(h hand) bool {
				return h.edit(rsyslogMain, func(line string) string {
					if is.MatchString(line) {
						return "# the mode: \\\n" + line
					}
					return line
				})
			}},
			way{name: "changed", subject: rsyslogMain, do: func(h hand) bool {
				return everywhere(all(h), func(file string) bool {
					return h.replace(file, regexp.MustCompile(`(?i)^\s*\$FileCreateMode\s.*`), "$$FileCreateMode 0644")
				})
			}})
	}
	for _, damage := range []string{"module(load=\"imuxsock\"\n", "garbage\n", "include(file=\"/srv/nowhere.conf\")\n", "*.nothing /var/log/x\n", "if $msg contains then stop\n", "$FileCreateMod 0640\n", "}\n"} {
		list = append(list, way{name: "damaged by " + damage, subject: rsyslogMain, unreadable: true, do: func(h hand) bool { h.append(rsyslogMain, damage); return true }})
	}
	return append(list,
		way{name: "a drop-in that leads nowhere", subject: "/etc/rsyslog.d/zz.conf", unreadable: true, do: func(h hand) bool { h.link("nowhere", "/etc/rsyslog.d/zz.conf"); return true }},
		way{name: "removed", subject: rsyslogMain, unreadable: true, do: func(h hand) bool { h.remove(rsyslogMain); return true }})
}

// rotations are the ways of undoing how a log must be rotated.
func rotations(name string, s state) []way {
	const dir = "/etc/logrotate.d"
	// The file with the block of the log.
	file := func(h hand) string {
		files := h.files(dir)
		if i := slices.IndexFunc(files, func(file string) bool { return strings.Contains(h.text(file), name) }); i >= 0 {
			return files[i]
		}
		return ""
	}
	closing := regexp.MustCompile(`^\s*\}`)
	// ending adds a line to the end of each block of the file.
	ending := func(text string) func(h hand) bool {
		return func(h hand) bool {
			at := file(h)
			return at != "" && h.edit(at, func(line string) string {
				if closing.MatchString(line) {
					return "\t" + text + "\n" + line
				}
				return line
			})
		}
	}
	out := func(pattern string) func(h hand) bool {
		return func(h hand) bool {
			at := file(h)
			return at != "" && h.out(at, regexp.MustCompile(pattern))
		}
	}
	list := []way{
		{name: "its block hidden from logrotate", subject: name, do: func(h hand) bool {
			at := file(h)
			if at == "" {
				return false
			}
			h.write(at+".disabled", h.text(at))
			h.remove(at)
			return true
		}},
		{name: "started with another configuration", subject: "logrotate.service", do: func(h hand) bool {
			h.write("/etc/systemd/system/logrotate.service.d/local.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/logrotate /srv/logrotate.conf\n")
			return true
		}},
		{name: "nothing included", subject: name, do: func(h hand) bool { return h.comment("/etc/logrotate.conf", regexp.MustCompile(`^\s*include\b`)) }},
		{name: "made taboo", subject: name, do: func(h hand) bool {
			at := file(h)
			if at == "" {
				return false
			}
			h.prepend("/etc/logrotate.conf", "taboopat + "+path.Base(at)[:2]+"*\n")
			return true
		}},
	}
	var wrong []string
	if s.CreateMode != "" {
		wrong = []string{"create 0664 root utmp", "create", "nocreate", "create = 666"}
		list = append(list, way{name: "create taken out", subject: name, do: out(`^\s*create\b`)})
	}
	if s.Every != "" {
		wrong = []string{"daily", "size 1k", "size=10M", "maxsize 1M", "rotate 2", "rotate = 0", "maxage 7", "daily\n\trotate 7"}
		list = append(list, way{name: "rotate taken out", subject: name, do: out(`^\s*rotate\b`)})
	}
	for _, text := range wrong {
		list = append(list,
			way{name: "set to " + text + " at the end of its block", subject: name, do: ending(text)},
			way{name: "set to " + text + " in a block elsewhere", subject: name, do: func(h hand) bool {
				h.append("/etc/logrotate.conf", "include /srv/rotate/more\n")
				h.write("/srv/rotate/more", "# mine\n\""+name+"\"\n{\n\tignoreduplicates\n\t"+text+"\n}\n")
				return true
			}})
	}
	damaged := func(what string, do func(h hand, at string)) {
		list = append(list, way{name: what, subject: "/", unreadable: true, do: func(h hand) bool {
			at := file(h)
			if at != "" {
				do(h, at)
			}
			return at != ""
		}})
	}
	damaged("cut off", func(h hand, at string) { h.write(at, h.text(at)[:strings.LastIndexByte(h.text(at), '}')]) })
	damaged("damaged", func(h hand, at string) { h.append(at, "garbage\n") })
	damaged("a value that is none", func(h hand, at string) { ending("rotate 4 # weeks")(h) })
	damaged("a second block without a word", func(h hand, at string) { h.append(at, name+" {\n\tmissingok\n}\n") })
	damaged("writable by a group", func(h hand, at string) { h.chmod(at, 0o664) })
	damaged("another user's", func(h hand, at string) { h.chown(at, 1000, 0) })
	damaged("an include that leads nowhere", func(h hand, at string) { h.append("/etc/logrotate.conf", "include /srv/nowhere\n") })
	return list
}
