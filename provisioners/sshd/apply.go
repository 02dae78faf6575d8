package sshd

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
)

// revise edits a draft. What weakens the state in a Match block becomes a
// comment that says why: a block is an exception that somebody made, and what
// it was for stays readable. The value goes to the drop-in that is read first,
// where nothing that comes later (cloud-init's file) can undo it; where the
// main file does not include it in time, to the line that counts now.
func (d *Directive) revise(draft *edit.Draft, versions []*release) error {
	if d.AnyOf != nil {
		other := d.alternative()
		if other == nil {
			return fault.Inputf("none of %s is set", strings.Join(d.AnyOf, ", ")).
				WithHint(`add "else" with the keyword to write and its value`)
		}
		return other.revise(draft, versions)
	}
	c, err := read(draft)
	if err != nil {
		return err
	}
	var out []*line
	for _, l := range c.lines {
		if l.keyword.name == d.Keyword && (d.Absent || len(l.within) > 0 && !d.holds(l, versions)) {
			out = append(out, l)
		}
	}
	if err := d.comment(draft, out); err != nil || d.Absent {
		return err
	}
	with, err := d.line(draft, versions)
	if err != nil {
		return err
	}
	if with != "" {
		err = d.give(draft, versions, with)
	}
	if err == nil && d.Explicit {
		err = d.spell(draft, versions)
	}
	return err
}

// met tells whether connections in no block have a value that does.
func (d *Directive) met(draft *edit.Draft, versions []*release) (bool, *config, error) {
	c, err := read(draft)
	if err != nil {
		return false, nil, err
	}
	for _, rel := range versions {
		if !d.Holds(c.effective(d.keyword, rel, forEveryone).text, d.sense(rel)) {
			return false, c, nil
		}
	}
	return true, c, nil
}

// line is the line to write, "" when the value does already.
func (d *Directive) line(draft *edit.Draft, versions []*release) (string, error) {
	done, c, err := d.met(draft, versions)
	if err != nil || done {
		return "", err
	}
	for _, rel := range versions {
		v := c.effective(d.keyword, rel, forEveryone)
		if d.Holds(v.text, d.sense(rel)) {
			continue
		}
		text, err := d.Write(v.text, d.sense(rel))
		if err != nil {
			return "", err
		}
		return d.Keyword + " " + d.keyword.written(text), nil
	}
	return "", nil
}

// give puts the line where it counts.
func (d *Directive) give(draft *edit.Draft, versions []*release, with string) error {
	_, c, err := d.met(draft, versions)
	if err != nil {
		return err
	}
	now := c.effective(d.keyword, versions[0], forEveryone)
	if d.keyword.kind == sum {
		// All lines add up: those that are there would weaken it.
		if err := d.comment(draft, now.lines); err != nil {
			return err
		}
	}
	before, there, err := draft.Text(dropIn)
	if err != nil {
		return err
	}
	draft.Set(dropIn, d.place(before, with))
	if done, _, err := d.met(draft, versions); err == nil && done {
		return nil
	}
	// It is not read, or not in time, or in a block that must not have it.
	if there {
		draft.Set(dropIn, before)
	} else {
		draft.Drop(dropIn)
	}
	if n := len(now.lines); n > 0 && d.keyword.kind == startups {
		return d.change(draft, now.lines[n-1], with) // the last one counts
	} else if n > 0 && d.keyword.kind != sum {
		return d.change(draft, now.lines[0], with)
	}
	return d.insertMain(draft, with)
}

// insertMain puts a line into the main file.
func (d *Directive) insertMain(draft *edit.Draft, with string) error {
	text, _, err := draft.Text(mainFile)
	if err == nil {
		draft.Set(mainFile, d.place(text, with))
	}
	return err
}

// spell makes the main file itself say what does.
func (d *Directive) spell(draft *edit.Draft, versions []*release) error {
	c, err := read(draft)
	if err != nil {
		return err
	}
	v := c.effective(d.keyword, versions[0], forEveryone)
	with := d.Keyword + " " + d.keyword.written(v.text)
	if len(v.lines) == 1 {
		// As it was written, with + and units.
		with = d.Keyword + " " + strings.Join(each(v.lines[0].args, quoted), " ")
	}
	own := d.inMain(c)
	if len(own) == 0 {
		return d.insertMain(draft, with)
	}
	for _, l := range own {
		if !d.holds(l, versions) {
			if err := d.change(draft, l, with); err != nil {
				return err
			}
		}
	}
	return nil
}

func each(list []string, do func(string) string) []string {
	out := make([]string, len(list))
	for i, one := range list {
		out[i] = do(one)
	}
	return out
}

// place puts a line into a text outside of its Match blocks: over the line of
// the keyword, else over a comment that shows it, else before the first block
// or at the end.
func (d *Directive) place(text, with string) string {
	lines := edit.Lines(text)
	shown := regexp.MustCompile(`^[ \t]*#[ \t]?(?i:` + regexp.QuoteMeta(d.Keyword) + `)[ \t=]+[^ \t\r\n]+[ \t\r]*\n?$`)
	at, comment, known := len(lines), -1, newVocabulary()
	for i, raw := range lines {
		word, _, err := keywordOf(raw)
		if err == nil && strings.EqualFold(word, "match") {
			at = i
			break
		}
		if k := known.find(word); err == nil && k != nil && k.name == d.Keyword && d.keyword.kind != sum {
			return edit.Replace(text, i, i+1, with)
		}
		if shown.MatchString(raw) {
			comment = i
		}
	}
	if comment >= 0 {
		return edit.Replace(text, comment, comment+1, with)
	}
	return edit.Replace(text, at, at, with)
}

// change puts a line in the place of another.
func (d *Directive) change(draft *edit.Draft, l *line, with string) error {
	text, err := editable(draft, l)
	if err != nil {
		return err
	}
	raw := edit.Lines(text)[l.number]
	indent := raw[:len(raw)-len(strings.TrimLeft(raw, " \t"))]
	draft.Set(l.file, edit.Replace(text, l.number, l.number+1, indent+with))
	return nil
}

// comment makes comments of lines. The lines keep their numbers.
func (d *Directive) comment(draft *edit.Draft, lines []*line) error {
	for _, l := range slices.Backward(lines) {
		text, err := editable(draft, l)
		if err != nil {
			return err
		}
		raw := strings.TrimSpace(edit.Lines(text)[l.number])
		draft.Set(l.file, edit.Replace(text, l.number, l.number+1,
			fmt.Sprintf("# imgbuild: %s must be %s; was: %s", d.Keyword, oneLine(d.String()), raw)))
	}
	return nil
}

func oneLine(text string) string {
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}

// editable returns the text of the file that a line is in, if it is one that an
// administrator would edit.
func editable(draft *edit.Draft, l *line) (string, error) {
	if !strings.HasPrefix(l.file, "/etc/") {
		return "", fault.Inputf("%s gives %s its value and is not below /etc", l, l.keyword.name).
			WithHint("take the Include of that file out of %s", mainFile)
	}
	text, _, err := draft.Text(l.file)
	return text, err
}
