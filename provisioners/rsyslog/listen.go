package rsyslog

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// localInputs are the modules that take messages from this machine alone. Any
// other input is taken for one of the network's.
var localInputs = []string{
	"imuxsock", "imklog", "imkmsg", "imjournal", "imfile", "immark", "impstats", "improg", "imdocker", "imsolaris", "imbatchreport", "imtuxedoulog",
}

// ofNetworkInputs are how the directives of modules begin that listen.
var ofNetworkInputs = []string{"inputtcp", "inputptcp", "inputudp", "udpserver", "imudp", "inputrelp", "inputgss", "input3195"}

func fromNetwork(name string) bool {
	return strings.HasPrefix(name, "im") && !slices.Contains(localInputs, name)
}

// listening lists what loads a module that listens, or sets one up.
func listening(list []statement) ([]edit.Violation, error) {
	var found []edit.Violation
	for _, s := range list {
		what := ""
		switch {
		case s.kind == object && (s.name == "module" || s.name == "input"):
			key := map[string]string{"module": "load", "input": "type"}[s.name]
			p, ok := s.get(key)
			if !ok || p.computed {
				return nil, fmt.Errorf("%s: %s() does not say which module it is of", s.where(), s.name)
			}
			if name := module(p.value); s.name == "input" && !slices.Contains(localInputs, name) || fromNetwork(name) {
				what = s.name + "() of " + name
			}
		case s.kind == directive && s.name == "modload" && fromNetwork(module(s.text)):
			what = "$ModLoad of " + module(s.text)
		case s.kind == directive && slices.ContainsFunc(ofNetworkInputs, func(prefix string) bool { return strings.HasPrefix(s.name, prefix) }):
			what = "$" + s.name
		}
		if what == "" {
			continue
		}
		d := system.Difference{Subject: s.where() + ": " + what, Have: "an input from the network", Want: "absent"}
		found = append(found, s.violation(d, func(files *edit.Draft) error { return remove(files, s) }))
	}
	return found, nil
}

// remove takes a statement out, with its lines where it is alone on them but for a
// comment.
func remove(files *edit.Draft, s statement) error {
	_, text, err := files.Read(s.file)
	if err != nil {
		return err
	}
	start, end := s.start, s.end
	line := strings.LastIndexByte(text[:start], '\n') + 1
	rest, _, ended := strings.Cut(text[end:], "\n")
	if behind := strings.TrimSpace(rest); strings.TrimSpace(text[line:start]) == "" && (behind == "" || behind[0] == '#') && !strings.HasSuffix(rest, "\\") {
		start, end = line, end+len(rest)
		if ended {
			end++
		}
	}
	return files.Splice(s.file, start, end, "")
}
