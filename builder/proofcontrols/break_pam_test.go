package proofcontrols_test

import (
	"fmt"
	"regexp"
	"strings"
)

// pamFiles are a stack and what Debian's common stacks are included from.
func pam(name string, s state) []way {
	file := "/etc/pam.d/" + s.Stack
	line := regexp.MustCompile(`^\s*-?` + s.Type + `\s.*\b` + regexp.QuoteMeta(s.Module) + phase(s.Arguments))
	on := func(to func(line string) string) func(h hand) bool {
		return func(h hand) bool {
			return h.edit(file, func(l string) string {
				if line.MatchString(l) {
					return to(l)
				}
				return l
			})
		}
	}
	subject := s.Stack
	var list []way
	if s.Control != "" {
		list = append(list,
			way{name: "taken out", subject: subject, do: func(h hand) bool { return h.out(file, line) }},
			way{name: "commented out", subject: subject, do: func(h hand) bool { return h.comment(file, line) }},
			way{name: "made optional", subject: subject, do: on(func(l string) string { return pamControl.ReplaceAllString(l, "${1}optional${3}") })},
			way{name: "another module in its place", subject: subject, do: on(func(l string) string {
				return strings.Replace(l, s.Module, "pam_permit.so", 1)
			})},
			way{name: "decided before it", subject: subject, do: func(h hand) bool {
				h.prepend(file, s.Type+"\tsufficient\tpam_permit.so\n")
				return true
			}},
			way{name: "jumped over", subject: subject, do: on(func(l string) string {
				return s.Type + "\t[success=1 default=ignore]\tpam_permit.so\n" + l
			})},
		)
	}
	for _, argument := range s.Arguments {
		list = append(list, way{name: "without " + argument, subject: subject, do: on(func(l string) string {
			return regexp.MustCompile(`\s`+regexp.QuoteMeta(argument)+`(\s|$)`).ReplaceAllString(l, " ")
		})})
	}
	for _, argument := range s.ArgumentsAbsent {
		text := argument
		if !strings.HasPrefix(argument, "nullok") {
			text += "=5"
		}
		list = append(list, way{name: "with " + text, subject: subject, do: on(func(l string) string { return l + " " + text })})
	}
	for _, part := range strings.Split(strings.Trim(string(s.AtLeast), "{}"), ",") {
		argument, least, ok := strings.Cut(strings.ReplaceAll(part, `"`, ""), ":")
		if !ok {
			continue
		}
		var n int
		fmt.Sscan(least, &n)
		given := regexp.MustCompile(`\s` + argument + `=\d+`)
		list = append(list,
			way{name: "without " + argument, subject: subject, do: on(func(l string) string { return given.ReplaceAllString(l, "") })},
			way{name: "with less " + argument, subject: subject, do: on(func(l string) string {
				return given.ReplaceAllString(l, fmt.Sprintf(" %s=%d", argument, n-1))
			})},
			way{name: "with less " + argument + " at its end", subject: subject, do: on(func(l string) string {
				return fmt.Sprintf("%s %s=%d", l, argument, n-1)
			})})
	}
	return list
}

// pamControl splits a line at its control.
var pamControl = regexp.MustCompile(`^(\s*-?\w+\s+)(\[[^\]]*\]|\S+)(\s)`)

// phase is the argument that tells lines of one module apart.
func phase(arguments []string) string {
	for _, a := range arguments {
		if a == "preauth" || a == "authfail" || a == "authsucc" {
			return `\b.*\b` + a
		}
	}
	return ""
}
