package apache

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
)

// The drop-in, as a2enconf(8) enables it.
const (
	dropIn      = "/etc/apache2/conf-available/imgbuild.conf"
	enabled     = "/etc/apache2/conf-enabled/imgbuild.conf"
	linkTarget  = "../conf-available/imgbuild.conf"
	dropInHead  = "# Written by imgbuild from the recipe's apache states.\n"
	maxEdits    = 20_000
	indentation = "\t"
)

// edit changes the set until the state holds. What is replaced is replaced at
// once, back to front; otherwise one edit is made at a time and the
// configuration read again, for an edit moves what follows it.
func (s *State) edit(ctx context.Context, files *edit.Draft) error {
	for range maxEdits {
		if err := ctx.Err(); err != nil {
			return err
		}
		configs, err := s.configs(files)
		if err != nil {
			return err
		}
		done := true
		for _, c := range configs {
			if list := s.violations(c); len(list) > 0 {
				done = false
				replaced, err := s.replaceAll(files, list)
				if err == nil && !replaced {
					err = s.mend(files, c, list[0])
				}
				if err != nil {
					return err
				}
				break
			}
		}
		if done {
			return nil
		}
	}
	return fmt.Errorf("%s: still not as wanted after %d edits", s.Identity(), maxEdits)
}

// replaceAll gives all directives that stand where they should, but with other
// arguments than they should, the right ones; it tells whether there are any.
func (s *State) replaceAll(files *edit.Draft, list []violation) (bool, error) {
	text, writes := s.Text()
	if !writes || s.Absent || len(s.With) > 0 || text == "" && len(s.selector) == 0 {
		return false, nil
	}
	var bad []*Directive
	for _, v := range list {
		if v.bad != nil && (s.Each == "" && s.Directory == "" || v.source.section == v.at.section) {
			bad = append(bad, v.bad)
		}
	}
	slices.SortFunc(bad, func(a, b *Directive) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(b.start, a.start))
	})
	// A file that is included twice has each of its directives twice.
	bad = slices.CompactFunc(bad, func(a, b *Directive) bool { return a.File == b.File && a.start == b.start })
	for _, d := range bad {
		if err := s.replace(files, d, text); err != nil {
			return false, err
		}
	}
	return len(bad) > 0, nil
}

// mend makes the one edit that takes a violation away.
func (s *State) mend(files *edit.Draft, c *Config, v violation) error {
	if v.needs != "" {
		return fault.Inputf("apache's module %s, which knows %s, is not loaded", v.needs, s.name).
			WithHint("enable it: resources: {apache-modules: {%s: enabled}}", v.needs)
	}
	if s.Needed && v.have == "no such section" {
		return fault.Inputf("the configuration has no %s", s.Each)
	}
	if v.vain {
		return fault.Inputf("%s is %s", v.difference(s).Subject, v.have).
			WithHint(`say what the section grants: apache: {Require: {directory: …, value: "method %s"}}`, strings.Join(s.selector, " "))
	}
	text, writes := s.Text()
	switch {
	case len(s.With) > 0:
		return s.mendSection(files, c, v)
	case v.bad != nil && s.Absent:
		return remove(files, v.bad)
	case v.bad != nil && strings.EqualFold(s.name, "Options") && !writes && len(s.Not) > 0:
		return s.replace(files, v.bad, without(v.bad.Args, s.Not))
	case v.bad != nil && !writes && s.OnlyNot():
		return remove(files, v.bad)
	case !writes || text == "" && len(s.selector) == 0:
		return fault.Inputf("%s is %s, and the state does not say what to write instead", v.difference(s).Subject, v.have).
			WithHint(`add "value" to the state of %s`, s.Key)
	case v.at.section == nil:
		return s.newSection(files, c, []string{s.statement(text)})
	case v.at.section == c.Root:
		return extend(files, c, s.statement(text)+"\n")
	}
	return insert(files, v.at.section, s.statement(text))
}

// statement is the directive as it is written.
func (s *State) statement(text string) string {
	parts := []string{s.name}
	for _, word := range s.selector {
		parts = append(parts, quote(word))
	}
	if text != "" {
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// replace gives a directive other arguments.
func (s *State) replace(files *edit.Draft, d *Directive, text string) error {
	return files.Splice(d.File, d.argsStart, d.argsEnd, strings.TrimPrefix(s.statement(text), s.name))
}

// newSection writes the directory's section with its lines.
func (s *State) newSection(files *edit.Draft, c *Config, lines []string) error {
	return extend(files, c, "<Directory "+quote(s.Directory)+">\n"+indentation+strings.Join(lines, "\n"+indentation)+"\n</Directory>\n")
}

// extend adds text to the drop-in and enables it; without Debian's directory
// of such files it goes to the end of the main file.
func extend(files *edit.Draft, c *Config, text string) error {
	name := c.Root.File
	head := ""
	if c.includes(enabled) {
		head = dropInHead
		if !files.Exists(enabled) {
			files.Link(linkTarget, enabled)
		}
		var err error
		if name, err = files.Real(enabled); err != nil {
			return err
		}
	} else if files.Exists(dropIn) && name == dropIn {
		return fmt.Errorf("%s is the main file", dropIn)
	}
	have := head
	if files.Exists(name) {
		_, old, err := files.Read(name)
		if err != nil {
			return err
		}
		have = old
		have = edit.Ended(have)
	}
	files.Set(name, have+text)
	return nil
}

// includes tells whether the configuration reads, or would read, a file.
func (c *Config) includes(name string) bool {
	return slices.ContainsFunc(c.patterns, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return err == nil && matched
	})
}

// insert puts a line first into a section.
func insert(files *edit.Draft, section *Directive, statement string) error {
	_, text, err := files.Read(section.File)
	if err != nil {
		return err
	}
	indent := edit.Indent(text, section.start+leading(text[section.start:])) + indentation
	if len(section.Block) > 0 && section.Block[0].File == section.File {
		first := section.Block[0].start
		indent = edit.Indent(text, first+leading(text[first:]))
	}
	return files.Splice(section.File, section.bodyStart, section.bodyStart, indent+strings.ReplaceAll(statement, "\n", "\n"+indent)+"\n")
}

// leading is how much white space a line begins with.
func leading(text string) int { return len(text) - len(strings.TrimLeft(text, " \t")) }

// remove takes a directive out with its line.
func remove(files *edit.Draft, d *Directive) error {
	_, text, err := files.Read(d.File)
	if err != nil {
		return err
	}
	end := d.end
	if end < len(text) && text[end] == '\n' && !d.Section {
		end++
	}
	return files.Splice(d.File, d.start, end, "")
}

// mendSection writes the section that the state describes, or what it lacks.
func (s *State) mendSection(files *edit.Draft, c *Config, v violation) error {
	if v.bad != nil {
		for _, name := range s.withNames() {
			for _, d := range v.bad.Block {
				if d.Is(name) && !has(&Directive{Block: []*Directive{d}}, name, s.With[name]) {
					return remove(files, d)
				}
			}
			if !has(v.bad, name, s.With[name]) {
				return insert(files, v.bad, strings.TrimSpace(name+" "+s.With[name]))
			}
		}
		return nil
	}
	lines := []string{"<" + s.statement("") + ">"}
	for _, name := range s.withNames() {
		lines = append(lines, indentation+strings.TrimSpace(name+" "+s.With[name]))
	}
	lines = append(lines, "</"+s.name+">")
	switch v.at.section {
	case nil:
		return s.newSection(files, c, lines)
	case c.Root:
		return extend(files, c, strings.Join(lines, "\n")+"\n")
	}
	return insert(files, v.at.section, strings.Join(lines, "\n"))
}
