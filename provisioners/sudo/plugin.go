package sudo

import (
	"fmt"
	"strings"

	"imgbuild/provisioners/system"
)

// confFile says which plug-ins sudo asks, and where theirs has its rules
// (sudo.conf(5)).
const confFile = "/etc/sudo.conf"

// plugin is the one that reads sudoers(5), and pluginDir what its name is put behind.
const (
	plugin    = "sudoers.so"
	pluginDir = "/usr/libexec/sudo/"
)

// otherPolicy tells which lines of sudo.conf(5) put something else in the place of
// the rules that are read here. Its words have no case.
func otherPolicy(r system.Reader) ([]system.Difference, error) {
	text, _, err := system.ReadText(r, confFile, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of sudo: %w", err)
	}
	var list []system.Difference
	differ := func(number int, what, have, want string) {
		list = append(list, system.Difference{Subject: fmt.Sprintf("%s:%d: %s", confFile, number, what), Have: have, Want: want})
	}
	number, joined := 0, ""
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(strings.TrimRight(line, "\r\n"), "#")
		if before, more := strings.CutSuffix(line, `\`); more {
			joined += before
			continue
		}
		words := strings.Fields(joined + line)
		joined = ""
		switch {
		case len(words) == 3 && strings.EqualFold(words[0], "Path") && strings.EqualFold(words[1], "plugin_dir") && words[2] != pluginDir:
			differ(number, "Path", "plug-ins of "+words[2], "those of "+pluginDir)
		case len(words) >= 3 && strings.EqualFold(words[0], "Plugin"):
			if have := instead(words[1], words[2], words[3:]); have != "" {
				differ(number, "Plugin", have, "those in "+mainFile)
			}
		}
	}
	return list, nil
}

// instead tells which rules a plug-in brings in the place of those in mainFile, ""
// for none.
func instead(symbol, file string, options []string) string {
	if file != plugin && file != pluginDir+plugin {
		if strings.HasSuffix(symbol, "policy") {
			return "rules of " + file
		}
		return ""
	}
	for _, option := range options {
		if value, ok := strings.CutPrefix(option, "sudoers_file="); ok && value != mainFile {
			return "rules in " + value
		}
	}
	return ""
}
