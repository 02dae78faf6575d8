package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/system"
)

// Line is one line of a text file that something else owns. After it was
// applied, the only line that Match finds is Line, where the first such line
// was or at the end of the file; or there is none when Absent. In a file of
// Windows whose lines end as they do there, it ends so too.
type Line struct {
	Name   string `json:"-"`
	Path   string `json:"path" jsonschema:"required" jsonschema_description:"the file; it must exist, unless absent; with absent also a pattern of files, such as /etc/rsyslog.d/*.conf"`
	Line   string `json:"line,omitempty" jsonschema_description:"the line, without a newline"`
	Match  string `json:"match,omitempty" jsonschema_description:"regular expression (RE2) of the lines it replaces; default: the line itself"`
	Absent bool   `json:"absent,omitempty" jsonschema_description:"no line may match"`

	match *regexp.Regexp
}

// NewLine decodes the line called e.Key.
func NewLine(e node.Entry) (*Line, error) {
	l := &Line{Name: e.Key}
	if err := node.Decode(e.Value, l); err != nil {
		return nil, err
	}
	n := e.Value
	p := &node.Problems{}
	p.Add(checkPath(n.At("path"), l.Path))
	switch {
	case l.Absent && l.Line != "" && l.Match != "":
		p.Addf(n.At("line"), `"absent" goes with "match" or with "line"`)
	case !l.Absent && l.Line == "" || l.Line == "" && l.Match == "":
		p.Addf(e.Pos, `line %q: missing key "line"`, e.Key)
	case !l.Absent && system.IsPattern(l.Path):
		p.Addf(n.At("path"), `a pattern of files goes with "absent": in which of them the line belongs is not known`)
	case strings.ContainsAny(l.Line, "\n\r"):
		p.Addf(n.At("line"), "expected one line without a newline")
	}
	pattern := l.Match
	if pattern == "" {
		pattern = "^" + regexp.QuoteMeta(l.Line) + "$"
	}
	var err error
	if l.match, err = regexp.Compile(pattern); err != nil {
		p.Addf(n.At("match"), "%q is not a regular expression: %v", pattern, err)
	} else if !l.Absent && !l.match.MatchString(l.Line) {
		p.Addf(n.At("match"), "%q does not match the line itself, which would be added again each time", pattern)
	}
	return l, p.Err()
}

// Identity is the name's.
func (l *Line) Identity() string { return "line " + l.Name }

// files are those that the line is about.
func (l *Line) files(r system.Reader) ([]string, error) {
	if !system.IsPattern(l.Path) {
		return []string{l.Path}, nil
	}
	list, err := system.Glob(r, l.Path)
	return slices.DeleteFunc(list, func(name string) bool {
		info, err := r.Stat(name)
		return err != nil || !info.Mode.IsRegular()
	}), err
}

// edit returns a file's text as it is and as it should be.
func (l *Line) edit(r system.Reader, name string) (have, want string, err error) {
	data, err := system.ReadFile(r, name, maxTemplate)
	if errors.Is(err, fs.ErrNotExist) && l.Absent {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("editing a line: %w", err)
	}
	have = string(data)
	end := "\n"
	if system.OSOf(r) == system.Windows {
		if strings.HasPrefix(have, "\xff\xfe") || strings.HasPrefix(have, "\xfe\xff") {
			return "", "", fmt.Errorf("editing a line: %s is in UTF-16, of which lines cannot be edited", l.Path)
		}
		if strings.Contains(have, "\r\n") {
			end = "\r\n"
		}
	}
	if strings.ContainsRune(have, 0) {
		return "", "", fmt.Errorf("editing a line: %s is not a text: it has a zero byte", name)
	}
	var out []string
	done := l.Absent
	for _, line := range strings.SplitAfter(have, "\n") {
		switch {
		case line == "":
		case !l.match.MatchString(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), strings.TrimSuffix(end, "\n"))):
			out = append(out, line)
		case !done:
			out, done = append(out, l.Line+end), true
		}
	}
	if !done {
		if len(out) > 0 && !strings.HasSuffix(out[len(out)-1], "\n") {
			out[len(out)-1] += end
		}
		out = append(out, l.Line+end)
	}
	return have, strings.Join(out, ""), nil
}

// Check tells whether the line is as it should be.
func (l *Line) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files, err := l.files(r)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, name := range files {
		have, want, err := l.edit(r, name)
		if err != nil {
			return nil, err
		}
		if have == want {
			continue
		}
		d := system.Difference{Subject: name + ": line " + l.Name, Have: "missing or different", Want: fmt.Sprintf("%q", l.Line)}
		if l.Absent {
			d.Have, d.Want = "there", "absent"
		}
		list = append(list, d)
	}
	return list, nil
}

// Apply edits the file; its owner and mode stay.
func (l *Line) Apply(ctx context.Context, s system.System) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	files, err := l.files(s)
	if err != nil {
		return false, err
	}
	changed := false
	for _, name := range files {
		have, want, err := l.edit(s, name)
		if err != nil {
			return changed, err
		}
		if have == want {
			continue
		}
		info, err := s.Lstat(name)
		if err != nil {
			return changed, err
		}
		if !info.Mode.IsRegular() {
			return changed, fmt.Errorf("editing a line: %s is %s", name, kind(info.Mode))
		}
		if err := system.Replace(s, name, want, 0o644); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}
