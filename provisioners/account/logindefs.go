package account

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// The files beside the databases that say who is a person.
const (
	loginDefs  = "/etc/login.defs"
	shellsFile = "/etc/shells"
)

// maxText bounds these files and shells' profiles, in bytes.
const maxText = 1 << 20

// defs reads login.defs(5): a name, white space, a value. Where a name is there
// twice, programs differ in which counts: all are kept, in their order.
func defs(r system.Reader) (map[string][]string, error) {
	text, _, err := system.ReadText(r, loginDefs, maxText)
	if err != nil {
		return nil, err
	}
	m := map[string][]string{}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := line, ""
		if at := strings.IndexAny(line, " \t"); at >= 0 {
			name, value = line[:at], strings.Trim(line[at:], " \t\"")
		}
		m[name] = append(m[name], value)
	}
	return m, nil
}

// firstRegular is the lowest number of a person.
func firstRegular(defs map[string][]string) (int, error) {
	given := defs["UID_MIN"]
	if len(given) == 0 {
		return regularMin, nil
	}
	text := given[len(given)-1]
	n, err := strconv.ParseInt(text, 0, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("reading %s: UID_MIN is %q", loginDefs, text)
	}
	return int(n), nil
}

// nologin tells whether a shell lets nobody in (nologin(8)). A program of that name
// elsewhere may be anything.
func nologin(shell string) bool {
	return slices.Contains([]string{"/usr/sbin/nologin", "/sbin/nologin", "/usr/bin/false", "/bin/false"}, shell)
}

// loginShells reads shells(5), without those that let nobody in.
func loginShells(r system.Reader) (map[string]bool, error) {
	text, _, err := system.ReadText(r, shellsFile, maxText)
	if err != nil {
		return nil, err
	}
	if text == "" {
		// What getusershell(3) takes for a missing file.
		return map[string]bool{"/bin/sh": true, "/bin/csh": true, "/bin/bash": true}, nil
	}
	m := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") && !nologin(line) {
			m[line] = true
		}
	}
	return m, nil
}
