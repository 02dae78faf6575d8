package sshd

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// optionsFile is where Debian's unit takes arguments of sshd from: what they say
// wins over every file (ssh.service, EnvironmentFile= and $SSHD_OPTS; sshd(8)).
const (
	optionsFile = "/etc/default/ssh"
	optionsName = "SSHD_OPTS"
)

// The units of sshd, and where an administrator changes units (systemd.unit(5)).
var (
	unitNames = []string{"ssh.service", "sshd.service", "ssh@.service", "sshd@.service", "service"} // service.d is for all
	unitDirs  = []string{"/etc/systemd/system", "/run/systemd/system"}
)

// started is a way in which sshd is started: the words that follow its name, and
// what says them.
type started struct {
	subject string
	words   []string
}

// options are what sshd is started with besides what Debian's unit says.
func options(r system.Reader) ([]started, error) {
	text, err := startText(r, optionsFile)
	if err != nil {
		return nil, err
	}
	words, err := environment(text)
	if err != nil {
		return nil, err
	}
	list := []started{{optionsFile + ": " + optionsName, words}}
	files, err := unitFiles(r)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := startText(r, file)
		if err != nil {
			return nil, err
		}
		for _, line := range service.Lines(text) {
			name, value, _ := strings.Cut(line, "=")
			name, value = strings.TrimSpace(name), strings.TrimSpace(value)
			if value == "" || name != "ExecStart" && name != "Environment" {
				continue
			}
			words, err := arguments(value)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %s: %w", file, name, err)
			}
			if name == "Environment" {
				words = slices.DeleteFunc(words, func(word string) bool { return !strings.HasPrefix(word, optionsName+"=") })
				words = strings.Fields(strings.TrimPrefix(strings.Join(words, " "), optionsName+"="))
			}
			list = append(list, started{file + ": " + name, words})
		}
	}
	return list, nil
}

// startText is a file that says how sshd is started; "" of none.
func startText(r system.Reader, name string) (string, error) {
	text, _, err := system.ReadText(r, name, edit.MaxFile)
	if err == nil && strings.Contains(text, "\x00") {
		err = fmt.Errorf("%s is not a text: it has a zero byte", name)
	}
	if err != nil {
		return "", fmt.Errorf("reading how sshd is started: %w", err)
	}
	return text, nil
}

// environment are the arguments that the text of optionsFile gives sshd.
func environment(text string) ([]string, error) {
	var words []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "\x00")) {
		line = strings.TrimSpace(line)
		if line != "" && (line[0] == '#' || line[0] == ';') {
			if strings.Contains(line, "\x00") {
				return nil, fmt.Errorf("reading how sshd is started: %s has a comment that ends in a backslash; whether the next line counts, releases of systemd see differently", optionsFile)
			}
			continue
		}
		name, value, ok := strings.Cut(strings.ReplaceAll(line, "\x00", " "), "=")
		if ok && strings.TrimSpace(name) == optionsName {
			words = strings.Fields(strings.Trim(strings.TrimSpace(value), `"'`)) // the unit splits it at blanks, whatever is quoted
		}
	}
	return words, nil
}

// unitFiles are the files by which an administrator changes the units of sshd.
func unitFiles(r system.Reader) ([]string, error) {
	var list []string
	for _, dir := range unitDirs {
		for _, unit := range unitNames {
			file := path.Join(dir, unit)
			if info, err := r.Lstat(file); err == nil && info.Mode.IsRegular() {
				list = append(list, file)
			}
			drops, err := system.Glob(r, file+".d/*.conf")
			if err != nil {
				return nil, fmt.Errorf("reading how sshd is started: %w", err)
			}
			for _, drop := range drops {
				if info, err := r.Stat(drop); err == nil && info.Mode.IsRegular() && !slices.Contains(list, drop) {
					list = append(list, drop)
				}
			}
		}
	}
	return list, nil
}

// withArgument are the options of sshd(8) that take one.
const withArgument = "CEbcfghkopu"

// commandLine tells what of the command lines is not as the directive has it: a
// value of the keyword that does not do, and another configuration file. The
// lines are what they say of the keywords of AnyOf, which add to those of files.
func (d *Directive) commandLine(r system.Reader, versions []*release) ([]system.Difference, []*line, error) {
	ways, err := options(r)
	if err != nil {
		return nil, nil, err
	}
	var list []system.Difference
	var lines []*line
	known := newVocabulary()
	for _, way := range ways {
		for _, o := range service.Flags(way.words, withArgument) {
			subject, text := way.subject+": -"+string(o.Letter)+" "+o.Argument, o.Argument
			switch o.Letter {
			case 'f':
				if text != mainFile {
					list = append(list, system.Difference{Subject: subject, Have: "another configuration", Want: mainFile})
				}
				continue
			case 'g':
				text = "LoginGraceTime=" + text
			case 'q':
				text = "LogLevel=QUIET"
			case 'p':
				text = "Port=" + text
			case 'o':
			default:
				continue
			}
			word, rest, err := keywordOf(text)
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s: %w", subject, err)
			}
			k := known.find(word)
			filled := strings.ContainsAny(text, "$%") // by the unit, with what is not known here
			switch {
			case slices.Contains(ignored, strings.ToLower(word)), k == nil && filled:
				continue
			case k == nil:
				return nil, nil, fmt.Errorf("reading %s, which sshd would refuse: unknown keyword %q%s", subject, word, node.Suggest(word, names()))
			}
			args, err := arguments(rest)
			if err == nil && !filled {
				err = k.check(args, versions)
			}
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s, which sshd would refuse: %w", subject, err)
			}
			if k.name != d.Keyword && !slices.Contains(d.AnyOf, k.name) {
				continue
			}
			one := &line{file: way.subject, keyword: k, args: args}
			if d.AnyOf != nil {
				lines = append(lines, one)
			} else if !d.holds(one, versions) {
				list = append(list, system.Difference{Subject: subject, Have: "there", Want: d.String()})
			}
		}
	}
	return list, lines, nil
}
