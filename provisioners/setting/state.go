package setting

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// state is one key of what a program reads, and what is asked of its value.
type state struct {
	grammar grammar
	key     string
	bounds  *term.Bounds
	read    func(r system.Reader) ([]source, error)
	// target is the file that gets the key when none has it that is read later.
	target string
	// make says that the target may be a new file.
	make bool
	// main is the file that has to say so itself, "" when none has to.
	main string
}

// value is what the program takes the key to be, and where it was given last.
type value struct {
	text string
	set  bool
	// file is an index of sources, -1 without one; at is the last assignment.
	file int
	at   assignment
}

// effective finds the value of a key.
func (s *state) effective(sources []source) value {
	v := value{file: -1}
	_, isIni := s.grammar.(ini)
	var parts []string
	before := ""
	for i, source := range sources {
		for _, a := range source.list {
			if a.key != s.key {
				continue
			}
			if a.value != "" {
				before = a.value
			}
			v.file, v.at, v.text, v.set = i, a, a.value, true
			if isIni && collects(s.key) {
				if a.value == "" {
					parts, before = nil, ""
				} else {
					parts = append(parts, a.value)
				}
				v.text = strings.Join(parts, " ")
			}
		}
	}
	// Whether an empty assignment takes back what was before depends on the
	// setting: texts do, booleans and words of a fixed set ignore it. So it is
	// no value, unless it is what the state asks for, and no absence either.
	if isIni && v.text == "" && (s.bounds.Value == nil || *s.bounds.Value != "") {
		v.text = before
		v.set = s.bounds.Absent && before != ""
	}
	return v
}

// rivals are the assignments that count more than the key's for some, and do
// not do, with the index of their source.
func (s *state) rivals(sources []source) map[int][]assignment {
	out := map[int][]assignment{}
	if _, ok := s.grammar.(limits); !ok || s.bounds.Absent {
		return out
	}
	// Of one domain's lines the last one counts, and every "domain -".
	last := map[string]assignment{}
	in := map[string]int{}
	for i, source := range sources {
		for _, a := range rivals(source.list, s.key) {
			if strings.HasSuffix(a.key, " *") && !s.bounds.Holds(a.value, s.grammar.sense()) {
				out[i] = append(out[i], a)
				continue
			}
			last[a.key], in[a.key] = a, i
		}
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		if !s.bounds.Holds(last[key].value, s.grammar.sense()) {
			out[in[key]] = append(out[in[key]], last[key])
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b assignment) int { return a.begin - b.begin })
	}
	return out
}

func (s *state) differences(r system.Reader) ([]system.Difference, error) {
	sources, err := s.read(r)
	if err != nil {
		return nil, err
	}
	return s.compare(sources), nil
}

func (s *state) compare(sources []source) []system.Difference {
	var list []system.Difference
	differ := func(file, key, have string) {
		list = append(list, system.Difference{Subject: file + ": " + key, Have: have, Want: s.bounds.String()})
	}
	v := s.effective(sources)
	switch {
	case s.bounds.Absent && v.set:
		differ(sources[v.file].path, s.key, shown(v.text))
	case s.bounds.Absent:
	case !v.set:
		differ(s.target, s.key, "not set")
	case !s.bounds.Holds(v.text, s.grammar.sense()):
		differ(sources[v.file].path, s.key, shown(v.text))
	}
	for i, of := range sources {
		for _, a := range s.rivals(sources)[i] {
			differ(of.path, a.key, shown(a.value))
		}
	}
	if s.main == "" || len(list) > 0 {
		return list
	}
	switch a := s.inMain(sources); {
	case a == nil:
		differ(s.main, s.key, "set elsewhere")
	case !s.bounds.Holds(a.value, s.grammar.sense()):
		differ(s.main, s.key, shown(a.value)+", though without effect")
	}
	return list
}

// inMain is the last assignment in the main file, nil without one.
func (s *state) inMain(sources []source) *assignment {
	var last *assignment
	for _, of := range sources {
		for i, a := range of.list {
			if of.path == s.main && a.key == s.key {
				last = &of.list[i]
			}
		}
	}
	return last
}

// spell makes the main file say what the program comes to.
func (s *state) spell(d *edit.Draft) error {
	sources, err := s.read(d)
	if err != nil {
		return err
	}
	a := s.inMain(sources)
	if a != nil && s.bounds.Holds(a.value, s.grammar.sense()) {
		return nil
	}
	text, there, err := d.Text(s.main)
	switch with := s.effective(sources).text; {
	case err != nil:
		return err
	case !there:
		return fault.Inputf("there is no file %s to say so itself", s.main).WithHint(`leave "explicit" out`)
	case a != nil:
		d.Set(s.main, s.grammar.replace(text, *a, with))
	default:
		d.Set(s.main, s.grammar.insert(text, s.key, with))
	}
	return nil
}

// shown is a value in a difference.
func shown(text string) string {
	switch {
	case text == "":
		return "set without a value"
	case len(text) > 200:
		return text[:200] + "…"
	}
	return text
}

// revise changes a draft so that the state holds in it.
func (s *state) revise(d *edit.Draft) error {
	sources, err := s.read(d)
	if err != nil || len(s.compare(sources)) == 0 {
		return err
	}
	v := s.effective(sources)
	switch {
	case s.bounds.Absent:
		err = s.clear(d, sources)
	case !v.set || !s.bounds.Holds(v.text, s.grammar.sense()) || len(s.rivals(sources)) > 0:
		err = s.give(d, sources)
	}
	if err == nil && s.main != "" {
		err = s.spell(d)
	}
	if err != nil {
		return err
	}
	left, err := s.differences(d)
	if err == nil && len(left) > 0 {
		return fmt.Errorf("editing leaves a difference: %s", left[0])
	}
	return err
}

// clear makes comments of everything that gives the key a value.
func (s *state) clear(d *edit.Draft, sources []source) error {
	// A file may be in several parts, of which a later one is edited first.
	for _, of := range slices.Backward(sources) {
		was, _, err := d.Text(of.path)
		if err != nil {
			return err
		}
		text := was
		for _, a := range slices.Backward(of.list) {
			if a.key != s.key {
				continue
			}
			if err := s.editable(of.path); err != nil {
				return err
			}
			text = disable(text, a)
		}
		if text != was {
			d.Set(of.path, text)
		}
	}
	return nil
}

// give gives the key a value that does, and those that count more as well.
func (s *state) give(d *edit.Draft, sources []source) error {
	target := slices.IndexFunc(sources, func(of source) bool { return of.path == s.target })
	if target < 0 {
		if !s.make {
			return fault.Inputf("there is no file %s to give %s a value in", s.target, s.key).
				WithHint("install the package that has it, or name a drop-in")
		}
		d.Set(s.target, "")
		var err error
		if sources, err = s.read(d); err != nil {
			return err
		}
		target = slices.IndexFunc(sources, func(of source) bool { return of.path == s.target })
		if target < 0 {
			return fmt.Errorf("%s is not among the files that are read: a link in its place hides it", s.target)
		}
	}
	for i, list := range s.rivals(sources) {
		if err := s.editable(sources[i].path); err != nil {
			return err
		}
		text := sources[i].text
		for _, a := range slices.Backward(list) {
			if strings.HasSuffix(a.key, " *") {
				text = disable(text, a) // "domain -" counts more than any other line
				continue
			}
			with, err := s.bounds.Write(a.value, s.grammar.sense())
			if err != nil {
				return err
			}
			text = s.grammar.replace(text, a, with)
		}
		d.Set(sources[i].path, text)
	}
	sources, err := s.read(d)
	if err != nil {
		return err
	}
	v := s.effective(sources)
	if v.set && s.bounds.Holds(v.text, s.grammar.sense()) {
		return nil
	}
	with, err := s.bounds.Write(v.text, s.grammar.sense())
	if err != nil {
		return err
	}
	if v.file < target {
		d.Set(s.target, s.grammar.insert(sources[target].text, s.key, with))
		return nil
	}
	// What is read last says it already: there is its place.
	of := sources[v.file]
	if err := s.editable(of.path); err != nil {
		return err
	}
	d.Set(of.path, s.grammar.replace(of.text, v.at, with))
	return nil
}

// editable refuses files that packages or programs write.
func (s *state) editable(name string) error {
	if strings.HasPrefix(name, "/etc/") || name == s.target {
		return nil
	}
	return fault.Inputf("%s gives %s its value after %s and is not below /etc", name, s.key, s.target).
		WithHint("give the drop-in a name that sorts after that file's, or hide that file by one of its name in /etc")
}
