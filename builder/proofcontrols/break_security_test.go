package proofcontrols_test

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	nftMain = "/etc/nftables.conf"
	nftDir  = "/etc/nftables.d"
)

func nftables(name string, s state) []way {
	fields := strings.Fields(name) // family, table, chain
	table, chain := fields[0]+" "+fields[1], fields[2]
	all := func(h hand) []string { return h.files(nftMain, nftDir) }
	// Lines of the chain's own file alone.
	own := func(h hand, to func(line string) string) bool {
		return everywhere(all(h), func(file string) bool {
			return strings.Contains(h.text(file), "chain "+chain) && h.edit(file, to)
		})
	}
	last := func(text string) func(h hand) bool {
		return func(h hand) bool { h.append(nftMain, text+"\n"); return true }
	}
	list := []way{
		{name: "accepting by default", subject: chain, do: func(h hand) bool {
			return own(h, func(line string) string { return strings.ReplaceAll(line, "policy drop", "policy accept") })
		}},
		{name: "accepting by default, said last", subject: chain, do: last("table " + table + " { chain " + chain + " { type filter hook " + chain + " priority filter; policy accept; }; }")},
		{name: "flushed at the end", subject: chain, do: last("flush ruleset")},
		{name: "its table deleted at the end", subject: chain, do: last("delete table " + table)},
		{name: "no longer included", subject: chain, do: func(h hand) bool { return h.out(nftMain, regexp.MustCompile(`^\s*include\s`)) }},
		{name: "its files removed", subject: chain, do: func(h hand) bool {
			return everywhere(h.files(nftDir), func(file string) bool { h.remove(file); return true })
		}},
		{name: "the main file removed", subject: chain, do: func(h hand) bool { h.remove(nftMain); return true }},
		{name: "commented out", subject: chain, do: func(h hand) bool {
			return own(h, func(line string) string { return "# " + line })
		}},
	}
	if len(s.Rules) == 0 {
		return list
	}
	return append(list,
		way{name: "flushed of its rules at the end", subject: chain, do: last("flush chain " + table + " " + chain)},
		way{name: "everything accepted first", subject: chain, do: last("insert rule " + table + " " + chain + " accept")},
		way{name: "a rule taken out", subject: chain, do: func(h hand) bool {
			return own(h, func(line string) string {
				if strings.Contains(line, "established") {
					return gone
				}
				return line
			})
		}},
		way{name: "a rule widened", subject: chain, do: func(h hand) bool {
			return own(h, func(line string) string {
				return regexp.MustCompile(`tcp dport .* accept`).ReplaceAllString(line, "meta l4proto tcp accept")
			})
		}},
	)
}

const apparmorDir = "/etc/apparmor.d"

func apparmor(_ string, s state) []way {
	// A profile that is enforced: its file and header.
	header := regexp.MustCompile(`^(\s*(?:profile\s+\S+\s+)?(?:/\S+\s+)?)(flags=\([^)]*\)\s+)?\{`)
	pick := func(h hand) string {
		for _, file := range h.names(apparmorDir) {
			if info, err := h.s.Stat(file); err == nil && info.Mode.IsRegular() && slices.ContainsFunc(strings.Split(h.text(file), "\n"), func(line string) bool {
				return header.MatchString(line) && !strings.Contains(line, "flags=") && (strings.HasPrefix(line, "profile ") || strings.HasPrefix(line, "/"))
			}) {
				return file
			}
		}
		h.t.Fatal("no profile is enforced")
		return ""
	}
	flags := func(text string) func(h hand) bool {
		return func(h hand) bool { return h.replace(pick(h), header, "${1}flags=("+text+") {") }
	}
	list := []way{{name: "disabled", subject: "", do: func(h hand) bool {
		file := pick(h)
		h.link(file, apparmorDir+"/disable/"+path.Base(file))
		return true
	}}}
	if s.ComplainAllowed {
		return list
	}
	return append(list,
		way{name: "made to complain", do: flags("complain")},
		way{name: "made to complain, among other flags", do: flags("attach_disconnected,complain")},
		way{name: "forced to complain", do: func(h hand) bool {
			file := pick(h)
			h.link(file, apparmorDir+"/force-complain/"+path.Base(file))
			return true
		}},
		way{name: "a profile within one that complains", subject: "local-tool", do: func(h hand) bool {
			h.write(apparmorDir+"/local-tool", "profile local-tool /usr/local/bin/tool {\n  profile part flags=(complain) {\n  }\n}\n")
			return true
		}},
		way{name: "a new profile that complains", subject: "local-tool", do: func(h hand) bool {
			h.write(apparmorDir+"/local-tool", "profile local-tool /usr/local/bin/tool flags=(complain) {\n}\n")
			return true
		}},
	)
}

const (
	auditDir      = "/etc/audit/rules.d"
	auditCompiled = "/etc/audit/audit.rules"
)

func auditRules(name string, s state) []way {
	// What augenrules writes is changed the same way, as if it had run.
	both := func(h hand) []string { return h.files(auditDir, auditCompiled) }
	where := "/etc/audit"
	// added is a rule in a file of its own, compiled in its place.
	added := func(file, rule string) func(h hand) bool {
		return func(h hand) bool {
			h.write(auditDir+"/"+file, rule+"\n")
			if file < "10" {
				return h.edit(auditCompiled, first(rule))
			}
			h.append(auditCompiled, rule+"\n")
			return true
		}
	}
	list := []way{
		{name: "the compiled file removed", subject: where, do: func(h hand) bool { h.remove(auditCompiled); return true }},
		{name: "not compiled", subject: where, do: func(h hand) bool {
			h.write(auditCompiled, "## This file is automatically generated from /etc/audit/rules.d\n-D\n")
			return true
		}},
	}
	if len(s.Rules) > 0 && strings.HasPrefix(s.Rules[0], "-e") {
		return append(list,
			way{name: "taken out", subject: where, do: func(h hand) bool {
				return everywhere(both(h), func(file string) bool { return h.out(file, regexp.MustCompile(`^-e\s`)) })
			}},
			way{name: "not locked", subject: where, do: func(h hand) bool {
				return everywhere(both(h), func(file string) bool { return h.replace(file, regexp.MustCompile(`^-e\s+2`), "-e 1") })
			}},
			way{name: "turned off", subject: where, do: func(h hand) bool {
				return everywhere(both(h), func(file string) bool { return h.replace(file, regexp.MustCompile(`^-e\s+2`), "-e 0") })
			}})
	}
	var rules []string
	if s.Setuid {
		rules = []string{"/usr/bin/passwd", "/usr/bin/su"}
	}
	rules = append(rules, s.Rules...)
	for _, rule := range rules {
		is := quoted(rule)
		list = append(list, way{name: "taken out: " + rule, subject: where, do: func(h hand) bool {
			return everywhere(both(h), func(file string) bool { return h.out(file, is) })
		}}, way{name: "commented out: " + rule, subject: where, do: func(h hand) bool {
			return everywhere(both(h), func(file string) bool { return h.comment(file, is) })
		}}, way{name: "taken out and not compiled: " + rule, subject: where, do: func(h hand) bool {
			return everywhere(h.files(auditDir), func(file string) bool { return h.out(file, is) })
		}})
		if strings.Contains(rule, "-F auid>=1000") {
			list = append(list, way{name: "for fewer users: " + rule, subject: where, do: func(h hand) bool {
				return everywhere(both(h), func(file string) bool {
					return h.edit(file, func(line string) string {
						if line == rule {
							return strings.Replace(line, "auid>=1000", "auid>=2000", 1)
						}
						return line
					})
				})
			}})
		}
		if rest, ok := strings.CutPrefix(rule, "-a "); ok {
			list = append(list, way{name: "deleted again by a later file: " + rule, subject: where, do: added("98-local.rules", "-d "+rest)})
		}
		if rest, ok := strings.CutPrefix(rule, "-w "); ok {
			list = append(list,
				way{name: "deleted again by a later file: " + rule, subject: where, do: added("98-local.rules", "-W "+rest)},
				way{name: "for writing alone: " + rule, subject: where, do: func(h hand) bool {
					return everywhere(both(h), func(file string) bool {
						return h.edit(file, func(line string) string {
							if line == rule {
								return strings.Replace(line, "-p wa", "-p w", 1)
							}
							return line
						})
					})
				}})
		}
	}
	if len(s.Rules) > 0 && s.Rules[0] == "-c" {
		return list
	}
	return append(list,
		way{name: "all deleted by a later file", subject: where, do: added("98-local.rules", "-D")},
		way{name: "silenced for every task", subject: where, do: added("00-local.rules", "-a never,task")},
		way{name: "silenced for every call", subject: where, do: added("00-local.rules", "-a never,exit")},
		way{name: "turned off with all rules in place", subject: where, do: added("98-local.rules", "-e 0")},
		way{name: "not written down", subject: where, do: added("00-local.rules", "-a always,exclude -F msgtype=SYSCALL")},
	)
}

// first puts a line after the one that empties the kernel's rules.
func first(rule string) func(line string) string {
	done := false
	return func(line string) string {
		if !done && strings.TrimSpace(line) == "-D" {
			done = true
			return line + "\n" + rule
		}
		return line
	}
}
