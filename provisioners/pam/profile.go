package pam

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// profileDir is where pam-auth-update(8) finds profiles; stateDir is where it
// keeps what it last generated.
const (
	profileDir = "/usr/share/pam-configs"
	stateDir   = "/var/lib/pam"
	// maxProfiles bounds how many there are.
	maxProfiles = 256
)

// profile is a profile of pam-auth-update(8): fields by name, the fields of
// several lines without their indentation.
type profile struct {
	name      string
	fields    map[string]string
	conflicts map[string]bool
}

// profileLine is a line that a profile gives: control and module with the
// white space between them, and what follows.
var profileLine = regexp.MustCompile(`^((?:\[[^]]+\]|\w+)[ \t\r\f\v]+\S+)[ \t\r\f\v]*(.*)`)

// fieldLine begins a field. White space has to follow the colon, if only the
// line's end.
var fieldLine = regexp.MustCompile(`^(\S+):\s+`)

// parseProfile reads a profile.
func parseProfile(name string, data []byte) (*profile, error) {
	p := &profile{name: name, fields: map[string]string{}, conflicts: map[string]bool{}}
	field := ""
	for _, text := range strings.SplitAfter(string(data), "\n") {
		if text == "" {
			continue
		}
		if at := fieldLine.FindStringSubmatch(text); at != nil {
			value := strings.TrimSuffix(text[len(at[0]):], "\n")
			// An early form of the name.
			if field = strings.TrimSuffix(at[1], "-Final"); field != "Conflicts" {
				p.fields[field] = value
				continue
			}
			for _, other := range strings.Split(value, ", ") {
				p.conflicts[other] = true
			}
			continue
		}
		if text = strings.TrimSpace(text); text != "" && text != "0" {
			if field == "" {
				return nil, fmt.Errorf("reading PAM profile %s: %q stands before any field", name, text)
			}
			p.fields[field] = strings.TrimLeft(p.fields[field]+"\n"+text, " \t\n")
		}
	}
	if _, set := p.fields["Session-Interactive-Only"]; !set {
		for _, suffix := range []string{"-Type", "", "-Initial"} {
			if value, ok := p.fields["Session"+suffix]; ok {
				p.fields["Session-noninteractive"+suffix] = value
			}
		}
	}
	return p, nil
}

// disabled are profiles of a module that is no more.
func (p *profile) disabled() bool {
	for _, value := range p.fields {
		if strings.Contains(value, "pam_tally") {
			return true
		}
	}
	return false
}

func (p *profile) priority() float64 {
	text := strings.TrimSpace(p.fields["Priority"])
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	n, err := strconv.ParseFloat(text[:end], 64)
	if err != nil {
		return 0 // no number counts as none, as there
	}
	return n
}

// block is the profile's block in a file: Primary, Additional, or "".
func (p *profile) block(kind string) string { return p.fields[field(kind)+"-Type"] }

// lines are those for a file; first says whether the profile is the first of
// its block there.
func (p *profile) lines(kind string, first bool) []string {
	text := p.fields[field(kind)]
	if initial := p.fields[field(kind)+"-Initial"]; first && initial != "" && initial != "0" {
		text = initial
	}
	var list []string
	for _, l := range strings.Split(text, "\n") {
		if l != "" {
			list = append(list, l)
		}
	}
	return list
}

// field is the name of a file's field: Auth for auth.
func field(kind string) string { return strings.ToUpper(kind[:1]) + kind[1:] }

// byPriority orders profiles as their lines are: the highest priority first,
// the last name first among equals.
func byPriority(a, b *profile) int {
	switch {
	case a.priority() != b.priority():
		if a.priority() > b.priority() {
			return -1
		}
		return 1
	default:
		return strings.Compare(b.name, a.name)
	}
}

// readProfiles reads all profiles of a system, in order.
func readProfiles(r system.Reader) ([]*profile, error) {
	names, err := system.Names(r, profileDir)
	if err != nil {
		return nil, err
	}
	if len(names) > maxProfiles {
		return nil, fmt.Errorf("reading PAM profiles: more than %d in %s", maxProfiles, profileDir)
	}
	var list []*profile
	for _, name := range names {
		if strings.HasSuffix(name, "~") || len(name) > 2 && strings.HasPrefix(name, "#") && strings.HasSuffix(name, "#") {
			continue
		}
		data, err := system.ReadFile(r, path.Join(profileDir, name), maxFile)
		if err != nil {
			return nil, fmt.Errorf("reading PAM profiles: %w", err)
		}
		p, err := parseProfile(name, data)
		if err != nil {
			return nil, err
		}
		if !p.disabled() {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, byPriority)
	return list, nil
}
