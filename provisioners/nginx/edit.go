package nginx

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

// dropIn is where what nginx.conf does not say itself is written. Its name
// puts it before the files of sites.
const dropIn = "/etc/nginx/conf.d/00-imgbuild.conf"

const dropInHead = "# Written by imgbuild from the recipe's nginx states.\n"

// maxEdits bounds the edits of one Apply.
const maxEdits = 20_000

// edit changes the set until the state holds with every main file. What is
// replaced is replaced at once, back to front; otherwise one edit is made at a
// time and the configuration read again, for an edit moves what follows it and
// may change what is inherited.
func (s *State) edit(ctx context.Context, files *edit.Draft) error {
	mains, err := s.mains(files)
	if err != nil {
		return err
	}
	for range maxEdits {
		if err := ctx.Err(); err != nil {
			return err
		}
		done := true
		var roots []*Directive
		for _, main := range mains {
			files.Rewind()
			root, _, err := read(files, main)
			if err != nil {
				return err
			}
			roots = append(roots, root)
		}
		for i, root := range roots {
			list := s.violations(root)
			if len(list) == 0 {
				continue
			}
			replaced, err := s.replaceAll(files, list, root)
			if err != nil {
				return err
			}
			if done = false; replaced {
				break
			}
			if err := s.mend(files, list[0], slices.Delete(slices.Clone(roots), i, i+1)); err != nil {
				return fmt.Errorf("%s: %w", mains[i], err)
			}
			break
		}
		if done {
			return nil
		}
	}
	return fmt.Errorf("nginx %s: still not as wanted after %d edits", s.Key, maxEdits)
}

// replaceAll gives all directives that stand where they should, but with other
// arguments than they should, the right ones; it tells whether there are any.
func (s *State) replaceAll(files *edit.Draft, list []violation, root *Directive) (bool, error) {
	text, writes := s.Text()
	if !writes || s.Absent || len(s.With) > 0 || text == "" && len(s.selector) == 0 {
		return false, nil
	}
	scope := map[*Directive]bool{}
	for _, l := range s.scope(root) {
		scope[l.block] = true
	}
	var bad []*Directive
	for _, v := range list {
		if v.source != nil && (scope[v.source.block] || factOf(s.name).many) {
			bad = append(bad, v.bad...)
		}
	}
	bad = slices.DeleteFunc(bad, func(d *Directive) bool { return d.braces })
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

// mend makes the one edit that takes a violation away. others are the
// configurations of the other main files.
func (s *State) mend(files *edit.Draft, v violation, others []*Directive) error {
	if v.have == "no such block" && len(s.With) == 0 {
		return fault.Inputf("the configuration has no %s block", v.at.kind)
	}
	if len(s.With) > 0 {
		return s.mendBlock(files, v)
	}
	text, writes := s.Text()
	switch {
	case len(v.bad) > 0 && (s.Absent || !writes):
		if !s.Absent && !s.OnlyNot() {
			return s.cannot(v)
		}
		return remove(files, v.bad[0])
	case !writes || text == "" && len(s.selector) == 0:
		return s.cannot(v)
	case len(v.bad) > 0 && v.bad[0].braces:
		return s.cannot(v)
	case len(v.siblings) > 0 && factOf(s.name).many:
		last := v.siblings[len(v.siblings)-1]
		return after(files, last, s.statement(text))
	case v.source != nil || factOf(s.name).own:
		return insert(files, v.at.block, s.statement(text))
	}
	// It is written nowhere on the way out: it belongs into the outermost
	// block that it may stand in.
	top := v.at
	for top.parent != nil && top.kind != factOf(s.name).top {
		top = top.parent
	}
	if top.kind == "http" && s.dropInServes(top.block, others) {
		return s.extend(files, text)
	}
	return insert(files, top.block, s.statement(text))
}

func (s *State) cannot(v violation) error {
	return fault.Inputf("%s is %s, and the state does not say what to write instead", v.difference(s, "nginx").Subject, v.have).
		WithHint(`add "value" to the state of %s`, s.Key)
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
	return strings.Join(parts, " ") + ";"
}

// quote writes a word so that it is read as one.
func quote(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\r\n;{}\"'#") {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// replace gives a directive other arguments; those that select it stay.
func (s *State) replace(files *edit.Draft, d *Directive, text string) error {
	_, old, err := files.Read(d.File)
	if err != nil {
		return err
	}
	full := s.statement(text)
	args := strings.TrimPrefix(strings.TrimSuffix(full, ";"), s.name)
	start, end := d.argsStart, d.argsEnd
	for start > d.start && strings.ContainsRune(" \t\r\n", rune(old[start-1])) {
		start--
	}
	return files.Splice(d.File, start, end, args)
}

// dropInServes tells whether the drop-in is read inside the http block and
// disturbs no other main file, in which the directive would stand twice.
func (s *State) dropInServes(http *Directive, others []*Directive) bool {
	reads := func(block *Directive) bool {
		return slices.ContainsFunc(block.Includes, func(pattern string) bool {
			matched, err := path.Match(pattern, dropIn)
			return err == nil && matched
		})
	}
	if !reads(http) {
		return false
	}
	for _, root := range others {
		for _, l := range levels(root, s.name) {
			if l.kind == "http" && reads(l.block) && len(l.own) > 0 {
				return false
			}
		}
	}
	return true
}

// extend adds the directive to the drop-in.
func (s *State) extend(files *edit.Draft, text string) error {
	name, err := files.Real(dropIn)
	if err != nil {
		return err
	}
	have := dropInHead
	if files.Exists(name) {
		if _, have, err = files.Read(name); err != nil {
			return err
		}
		have = edit.Ended(have)
	}
	files.Set(name, have+s.statement(text)+"\n")
	return nil
}

// insert puts a statement first into a block, or into the main file.
func insert(files *edit.Draft, block *Directive, statement string) error {
	_, text, err := files.Read(block.File)
	if err != nil {
		return err
	}
	if block.Name == "main" && !block.hasBraces(text) {
		return files.Splice(block.File, 0, 0, statement+"\n")
	}
	indent := edit.Indent(text, block.start) + "\t"
	if len(block.Block) > 0 && block.Block[0].File == block.File {
		if first := block.Block[0].start; strings.Contains(text[block.bodyStart:first], "\n") {
			indent = edit.Indent(text, first)
		}
	}
	addition := "\n" + indent + statement
	if rest := text[block.bodyStart:]; !strings.HasPrefix(strings.TrimLeft(rest, " \t\r"), "\n") {
		addition += "\n" + indent
	}
	return files.Splice(block.File, block.bodyStart, block.bodyStart, addition)
}

// hasBraces tells a real block from the one that stands for a whole file.
func (d *Directive) hasBraces(text string) bool {
	return d.bodyStart > 0 && d.bodyStart <= len(text) && text[d.bodyStart-1] == '{'
}

// after puts a statement on a line behind another.
func after(files *edit.Draft, d *Directive, statement string) error {
	_, text, err := files.Read(d.File)
	if err != nil {
		return err
	}
	return files.Splice(d.File, d.end, d.end, "\n"+edit.Indent(text, d.start)+statement)
}

// remove takes a statement out, with its line when it is alone on it.
func remove(files *edit.Draft, d *Directive) error {
	_, text, err := files.Read(d.File)
	if err != nil {
		return err
	}
	start, end := d.start, d.end
	line := strings.LastIndexByte(text[:start], '\n') + 1
	rest := strings.IndexByte(text[end:], '\n')
	if strings.TrimSpace(text[line:start]) == "" && rest >= 0 && strings.TrimSpace(text[end:end+rest]) == "" {
		start, end = line, end+rest+1
	}
	return files.Splice(d.File, start, end, "")
}

// mendBlock writes the block that the state describes, or what it lacks.
func (s *State) mendBlock(files *edit.Draft, v violation) error {
	if v.source == nil && len(v.bad) > 0 {
		// A limit_except that leaves too much open: there can be only one.
		d := v.bad[0]
		_, text, err := files.Read(d.File)
		if err != nil {
			return err
		}
		head := s.name + " " + strings.Join(s.selector, " ") + " "
		return files.Splice(d.File, d.start, d.start+strings.IndexByte(text[d.start:], '{'), head)
	}
	if v.source != nil {
		block := v.bad[0]
		for _, name := range s.withNames() {
			want, _ := words(s.With[name])
			for _, d := range block.Block {
				if d.Name == name && !same(d.Args, want) && !factOf(name).many {
					return remove(files, d)
				}
			}
			if !slices.ContainsFunc(block.Block, func(d *Directive) bool { return d.Name == name && same(d.Args, want) }) {
				return insert(files, block, strings.TrimSpace(name+" "+s.With[name])+";")
			}
		}
		return nil
	}
	var b strings.Builder
	head := []string{s.name}
	for _, word := range s.selector {
		head = append(head, quote(word))
	}
	b.WriteString(strings.Join(head, " ") + " {")
	for _, name := range s.withNames() {
		b.WriteString(" " + strings.TrimSpace(name+" "+s.With[name]) + ";")
	}
	b.WriteString(" }")
	return insert(files, v.at.block, b.String())
}
