package sshd

import (
	"fmt"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// optionsFile is where Debian's unit takes arguments of sshd from: what they say
// wins over every file (ssh.service, EnvironmentFile= and $SSHD_OPTS; sshd(8)).
const (
	optionsFile = "/etc/default/ssh"
	optionsName = "SSHD_OPTS"
)

// options are the words that sshd is started with besides those of the unit.
func options(r system.Reader) ([]string, error) {
	text, _, err := system.ReadText(r, optionsFile, edit.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("reading how sshd is started: %w", err)
	}
	value := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		name, assigned, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.TrimSpace(name) == optionsName {
			value = strings.Trim(strings.TrimSpace(assigned), `"'`)
		}
	}
	return strings.Fields(value), nil // the unit splits it at blanks, whatever is quoted
}

// commandLine tells what of the command line is not as the directive has it: a
// value of the keyword that does not do, and another configuration file.
func (d *Directive) commandLine(r system.Reader, versions []*release) ([]system.Difference, error) {
	words, err := options(r)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for i := 0; i < len(words); i++ {
		option := words[i]
		if len(option) < 2 || option[0] != '-' || option[1] != 'o' && option[1] != 'f' {
			continue
		}
		text := option[2:]
		if text == "" && i+1 < len(words) {
			i++
			text = words[i]
		}
		subject := optionsFile + ": " + optionsName + ": " + option[:2] + " " + text
		if option[1] == 'f' {
			if text != mainFile {
				list = append(list, system.Difference{Subject: subject, Have: "another configuration", Want: mainFile})
			}
			continue
		}
		word, rest, err := keywordOf(text)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", subject, err)
		}
		if d.keyword == nil || !strings.EqualFold(word, d.Keyword) {
			continue
		}
		args, err := arguments(rest)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", subject, err)
		}
		if !d.holds(&line{file: optionsFile, keyword: d.keyword, args: args}, versions) {
			list = append(list, system.Difference{Subject: subject, Have: "there", Want: d.String()})
		}
	}
	return list, nil
}
