package setting

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/term"
)

// ini reads systemd.syntax(7): sections, "Key=value", comments of whole lines
// that begin with # or ;, and lines that go on after a backslash, comments
// between them left out. Keys are called "Section.Key". Of several values the
// last one counts; the keys that collect add up, and an empty one takes those
// before it back.
type ini struct {
	measure func(string) ([]int64, bool)
}

// logical is a line with those that continue it.
type logical struct {
	begin, end int
	// first is where its first line ends.
	first int
	text  string
}

// logicals lists the lines; unfinished tells that the last one ends with a
// backslash.
func logicals(text string) (all []logical, unfinished bool) {
	var list []logical
	var open *logical
	lines(text, func(begin, end int) bool {
		raw := text[begin:end]
		if begin == 0 {
			raw = strings.TrimPrefix(raw, "\ufeff")
		}
		line := strings.TrimLeft(raw, " \t\r")
		if line != "" && (line[0] == '#' || line[0] == ';') {
			return true
		}
		if open == nil {
			list = append(list, logical{begin: begin, first: end})
			open = &list[len(list)-1]
		}
		line = strings.TrimSuffix(line, "\r")
		open.end = end
		// An odd number of backslashes at the end: the last one is not escaped.
		slashes := len(line) - len(strings.TrimRight(line, `\`))
		if slashes%2 == 1 {
			open.text += line[:len(line)-1] + " "
			return true
		}
		open.text += line
		open = nil
		return true
	})
	return list, open != nil
}

func (ini) name(key string) string { return key }

func (g ini) sense() term.Sense {
	return term.Sense{Measure: g.measure, Separator: " ", Equal: func(a, b string) bool {
		x, isX := truth(a)
		y, isY := truth(b)
		return a == b || isX && isY && x == y
	}}
}

// truth reads a boolean; systemd.syntax(7).
func truth(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "1", "yes", "true", "on", "y", "t":
		return true, true
	case "0", "no", "false", "off", "n", "f":
		return false, true
	}
	return false, false
}

func (ini) parse(text string) ([]assignment, error) {
	if strings.Contains(strings.ReplaceAll(text, "\r\n", "\n"), "\r") {
		return nil, errors.New("a carriage return is inside a line")
	}
	var list []assignment
	section := ""
	all, _ := logicals(text)
	for _, l := range all {
		line := strings.Trim(l.text, " \t\r")
		if name, ok := header(line); ok {
			section = name
			continue
		}
		if strings.HasPrefix(line, "[") {
			// systemd reads no further, and does not load a unit at all.
			return nil, fmt.Errorf("line %d: %q is not the head of a section", 1+strings.Count(text[:l.begin], "\n"), line)
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section == "" {
			continue // systemd warns and goes on
		}
		a := assignment{
			key: section + "." + strings.Trim(key, " \t\r"), value: strings.Trim(value, " \t\r"),
			begin: l.begin, end: l.end, from: l.begin, to: l.end, bare: true,
		}
		if i := strings.IndexByte(text[l.begin:l.first], '='); i >= 0 {
			a.from, a.to = trim(text, l.begin+i+1, l.end)
			a.bare = false
		}
		list = append(list, a)
	}
	return list, nil
}

func (ini) check(_, value string) error {
	if strings.HasSuffix(value, `\`) {
		return errors.New("the next line would go on with it")
	}
	return nil
}

// header reads the line that begins a section.
func header(line string) (string, bool) {
	if len(line) < 2 || line[0] != '[' || line[len(line)-1] != ']' {
		return "", false
	}
	return line[1 : len(line)-1], true
}

// collecting are the keys of units and of systemd's own files that add up when
// they are given several times; systemd.exec(5), systemd.resource-control(5),
// resolved.conf(5), timesyncd.conf(5).
var collecting = strings.Fields(`AmbientCapabilities BindPaths BindReadOnlyPaths CapabilityBoundingSet DNS DNSSECNegativeTrustAnchors
	DeviceAllow Domains Environment EnvironmentFile ExecPaths FallbackDNS FallbackNTP IPAddressAllow IPAddressDeny InaccessiblePaths
	NTP NoExecPaths PassEnvironment ReadOnlyPaths ReadWritePaths RestrictAddressFamilies RestrictFileSystems RestrictNetworkInterfaces
	SocketBindAllow SocketBindDeny SupplementaryGroups SystemCallArchitectures SystemCallFilter SystemCallLog TemporaryFileSystem`)

func collects(key string) bool {
	_, name, _ := strings.Cut(key, ".")
	return slices.Contains(collecting, name)
}

// assigned are the lines that make a value the only one of a key.
func assigned(key, value string) []string {
	_, name, _ := strings.Cut(key, ".")
	if collects(key) && value != "" {
		return []string{name + "=", name + "=" + value}
	}
	return []string{name + "=" + value}
}

func (ini) replace(text string, a assignment, value string) string {
	if a.bare || collects(a.key) {
		return splice(text, a.begin, a.end, strings.Join(assigned(a.key, value), "\n"))
	}
	return splice(text, a.from, a.to, value)
}

func (ini) insert(text, key, value string) string {
	section, name, _ := strings.Cut(key, ".")
	comment := regexp.MustCompile(`^[ \t]*[#;][ \t]?` + regexp.QuoteMeta(name) + `[ \t]*=`)
	with := assigned(key, value)
	// place is after which line it goes, number the one looked at.
	place, number, shown, within := -1, 0, -1, false
	ends := map[int]int{}
	all, unfinished := logicals(text)
	for _, l := range all {
		ends[l.begin] = l.end
	}
	skip := 0
	if unfinished {
		// What follows the last line is part of it, comments too.
		ends[all[len(all)-1].begin] = len(text) + 1
	}
	lines(text, func(begin, end int) bool {
		number++
		switch line := strings.Trim(text[begin:end], " \t\r"); {
		case begin < skip:
		case comment.MatchString(line) && within:
			shown = number - 1
		case ends[begin] == 0:
		default:
			skip = ends[begin]
			if title, ok := header(line); ok {
				within = title == section
			}
		}
		if within && strings.Trim(text[begin:end], " \t\r") != "" {
			place = number
		}
		return true
	})
	switch {
	case shown >= 0:
		return edit.Replace(text, shown, shown+1, with...)
	}
	n := len(edit.Lines(text))
	if unfinished && place == n {
		with = append([]string{""}, with...) // an empty line ends the one before
	}
	if place >= 0 {
		return edit.Replace(text, place, place, with...)
	}
	head := []string{"[" + section + "]"}
	if text != "" {
		head = []string{"", head[0]}
	}
	return edit.Replace(text, n, n, append(head, with...)...)
}
