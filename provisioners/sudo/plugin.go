package sudo

import (
	"fmt"
	"path"
	"strings"

	"imgbuild/provisioners/system"
)

// confFile says which plug-ins sudo asks, and where theirs has its rules
// (sudo.conf(5)).
const confFile = "/etc/sudo.conf"

// plugin is the one that reads sudoers(5).
const plugin = "sudoers.so"

// otherPolicy tells which lines of sudo.conf(5) put something else in the place of
// the rules that are read here.
func otherPolicy(r system.Reader) ([]system.Difference, error) {
	text, _, err := system.ReadText(r, confFile, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading the rules of sudo: %w", err)
	}
	var list []system.Difference
	number := 0
	for line := range strings.Lines(text) {
		number++
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "Plugin" {
			continue
		}
		ours, elsewhere := path.Base(words[2]) == plugin, ""
		for _, option := range words[3:] {
			if value, ok := strings.CutPrefix(option, "sudoers_file="); ok && ours && value != mainFile {
				elsewhere = "rules in " + value
			}
		}
		if !ours && strings.HasSuffix(words[1], "policy") {
			elsewhere = "rules of " + words[2]
		}
		if elsewhere != "" {
			list = append(list, system.Difference{Subject: fmt.Sprintf("%s:%d: Plugin", confFile, number), Have: elsewhere, Want: "those in " + mainFile})
		}
	}
	return list, nil
}
