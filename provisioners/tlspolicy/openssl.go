package tlspolicy

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// cnf is where Debian's OpenSSL reads its configuration from.
const cnf = "/etc/ssl/openssl.cnf"

// setting is one "name = value" of openssl.cnf, at its place.
type setting struct {
	name, value        string
	file               string
	line               int
	valueStart, valEnd int
}

// section is a named part of the configuration, gathered over all files.
type section struct {
	settings []*setting
	// file and at are where its first header ends, for what is added.
	file string
	at   int
}

// document is the whole configuration. Its first part, before any header, is
// the section "default".
type document struct {
	sections map[string]*section
	files    *edit.Draft
	depth    int
	count    int
}

// get is the last value of a name: later ones replace earlier ones.
func (d *document) get(in, name string) *setting {
	s := d.sections[in]
	if s == nil {
		return nil
	}
	for _, one := range slices.Backward(s.settings) {
		if one.name == name {
			return one
		}
	}
	return nil
}

var header = regexp.MustCompile(`^\s*\[\s*([^\]]*?)\s*\]`)
var assigned = regexp.MustCompile(`^(\s*)([^=\s]+)\s*=\s*`)
var included = regexp.MustCompile(`^\s*\.include\s*=?\s*(.+?)\s*$`)

// readFile reads one file (config(5)): sections, names with values, comments,
// lines continued by a backslash, ".include" of a file or of the *.conf and
// *.cnf of a directory.
func (d *document) readFile(name string) error {
	if d.depth++; d.depth > 10 {
		return fmt.Errorf("reading %s: files are included more than 10 deep", name)
	}
	defer func() { d.depth-- }()
	real, text, err := d.files.Read(name)
	if err != nil {
		return fmt.Errorf("reading OpenSSL's configuration: %w", err)
	}
	current, at, number := "default", 0, 0
	d.open(current, real, 0)
	for at < len(text) {
		start := at
		number++
		line, next := logicalLine(text, at)
		at = next
		body := strings.TrimRight(comment.ReplaceAllString(line, "$1"), " \t\r\n")
		if d.count++; d.count > 100_000 {
			return fmt.Errorf("reading %s: more than 100000 lines", name)
		}
		switch {
		case strings.TrimSpace(body) == "":
		case header.MatchString(body):
			current = header.FindStringSubmatch(body)[1]
			d.open(current, real, at)
		case strings.HasPrefix(strings.TrimSpace(body), ".pragma"):
		case strings.HasPrefix(strings.TrimSpace(body), ".include"):
			found := included.FindStringSubmatch(body)
			if found == nil || strings.Contains(found[1], "$") {
				return fmt.Errorf("%s:%d: this .include is not understood", real, number)
			}
			if err := d.include(found[1]); err != nil {
				return fmt.Errorf("%s:%d: %w", real, number, err)
			}
		default:
			found := assigned.FindStringSubmatchIndex(body)
			if found == nil {
				return fmt.Errorf(`%s:%d: "=" is missing`, real, number)
			}
			value := body[found[1]:]
			s := &setting{
				name: body[found[4]:found[5]], file: real, line: number,
				valueStart: start + found[1], valEnd: start + len(body),
			}
			s.value = strings.Trim(strings.ReplaceAll(value, "\\\n", ""), `"'`)
			d.sections[current].settings = append(d.sections[current].settings, s)
		}
		number += strings.Count(line, "\n") - 1
		if !strings.HasSuffix(line, "\n") {
			number++
		}
	}
	return nil
}

// comment is what a line has from a "#" on that is neither quoted nor escaped,
// as far as the settings of a policy can have one.
var comment = regexp.MustCompile(`(?s)^((?:[^#"'\\]|\\.|"[^"]*"|'[^']*')*)#.*$`)

// logicalLine is the line at a place, with those that continue it.
func logicalLine(text string, at int) (line string, next int) {
	next = at
	for {
		end := strings.IndexByte(text[next:], '\n')
		if end < 0 {
			return text[at:], len(text)
		}
		next += end + 1
		if !strings.HasSuffix(text[at:next], "\\\n") {
			return text[at:next], next
		}
	}
}

func (d *document) open(name, file string, at int) {
	if d.sections[name] == nil {
		d.sections[name] = &section{file: file, at: at}
	}
}

func (d *document) include(name string) error {
	name = strings.Trim(name, `"'`)
	if !path.IsAbs(name) {
		return fmt.Errorf("%q is not absolute, and is looked for in a place that only the program knows", name)
	}
	name = path.Clean(name)
	if !d.files.IsDir(name) {
		if !d.files.Exists(name) {
			return nil // OpenSSL passes over it
		}
		return d.readFile(name)
	}
	files, err := system.Glob(d.files, path.Join(name, "*.c*n*f"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if ext := path.Ext(file); ext == ".cnf" || ext == ".conf" {
			if err := d.readFile(file); err != nil {
				return err
			}
		}
	}
	return nil
}

func readCnf(files *edit.Draft) (*document, error) {
	files.Rewind()
	d := &document{sections: map[string]*section{}, files: files}
	return d, d.readFile(cnf)
}

// defaults are the settings that OpenSSL gives every program that does not
// choose for itself: openssl_conf → ssl_conf → system_default (SSL_CONF_cmd(3),
// config(5)).
type defaults struct {
	policy *Policy
	judge  *judge
}

// steps lead from the beginning to the section of the settings.
var steps = []struct{ name, section string }{
	{"openssl_conf", "openssl_init"}, {"ssl_conf", "ssl_sect"}, {"system_default", "system_default_sect"},
}

// wanted is one setting with what would be written.
type wanted struct {
	name, text, want string
	accept           func(value string) bool
}

func (s *defaults) wanted() []wanted {
	lowest := s.policy.Versions[0]
	list := []wanted{{"MinProtocol", lowest, "at least " + lowest, func(value string) bool {
		return slices.Contains(versions[slices.Index(versions, lowest):], value)
	}}}
	if highest := s.policy.Versions[len(s.policy.Versions)-1]; highest != "TLSv1.3" {
		list = append(list, wanted{"MaxProtocol", highest, "at most " + highest, func(value string) bool {
			i := slices.Index(versions, value)
			return i >= 0 && i <= slices.Index(versions, highest)
		}})
	}
	if s.policy.Ciphers != "" {
		list = append(list, wanted{"CipherString", s.policy.Ciphers, "within " + s.policy.Ciphers, s.judge.ciphers})
	}
	return list
}

// find looks for a setting; where is the section that has it or should, "" as
// long as a step on the way is missing.
func find(d *document, name string) (have *setting, where string) {
	where = "default"
	for _, step := range steps {
		next := d.get(where, step.name)
		if next == nil || d.sections[next.value] == nil {
			return nil, ""
		}
		where = next.value
	}
	return d.get(where, name), where
}

// Check tells which defaults allow more than the policy.
func (s *defaults) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := readCnf(edit.New(r))
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, w := range s.wanted() {
		have, _ := find(d, w.name)
		switch {
		case have == nil:
			list = append(list, system.Difference{Subject: cnf + ": " + w.name, Have: "not set", Want: w.want})
		case strings.Contains(have.value, "$"):
			return nil, fmt.Errorf("%s:%d: a variable in the value of %s is not understood", have.file, have.line, w.name)
		case !w.accept(have.value):
			list = append(list, system.Difference{Subject: fmt.Sprintf("%s:%d: %s", have.file, have.line, w.name), Have: fmt.Sprintf("%q", have.value), Want: w.want})
		}
	}
	return list, nil
}

// Apply edits the settings, and adds the way to them where it is missing.
func (s *defaults) Apply(ctx context.Context, sys system.System) (bool, error) {
	files := edit.New(sys)
	for _, w := range s.wanted() {
		for try := 0; ; try++ {
			if err := ctx.Err(); err != nil {
				return false, err
			}
			d, err := readCnf(files)
			if err != nil {
				return false, err
			}
			have, where := find(d, w.name)
			if have != nil && w.accept(have.value) {
				break
			}
			if try > 8 {
				return false, fmt.Errorf("%s: %s is still not as wanted", cnf, w.name)
			}
			switch {
			case have != nil:
				err = files.Splice(have.file, have.valueStart, have.valEnd, w.text)
			case where != "":
				at := d.sections[where]
				err = files.Splice(at.file, at.at, at.at, w.name+" = "+w.text+"\n")
			default:
				err = s.step(d)
			}
			if err != nil {
				return false, err
			}
		}
	}
	return files.Save(sys)
}

// step adds the first step that is missing on the way, with its section.
func (s *defaults) step(d *document) error {
	where := "default"
	for _, step := range steps {
		next := d.get(where, step.name)
		if next != nil && d.sections[next.value] != nil {
			where = next.value
			continue
		}
		name := step.section
		if next != nil {
			name = next.value
		} else {
			at := d.sections[where]
			if err := d.files.Splice(at.file, at.at, at.at, step.name+" = "+name+"\n"); err != nil {
				return err
			}
		}
		if d.sections[name] == nil {
			real, text, err := d.files.Read(cnf)
			if err != nil {
				return err
			}
			d.files.Set(real, edit.Ended(text)+"\n["+name+"]\n")
		}
		return nil
	}
	return nil
}
