package proofcontrols_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"imgbuild/provisioners/system"
)

// hand changes a system as a person does: through its files, knowing nothing of
// resources. That a file is not there is an answer; anything else that goes wrong
// ends the test.
type hand struct {
	t *testing.T
	s *system.Memory
}

func (h hand) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// text is a file's text, "" without it.
func (h hand) text(name string) string {
	h.t.Helper()
	text, _, err := system.ReadText(h.s, name, 64<<20)
	h.must(err)
	return text
}

func (h hand) exists(name string) bool {
	_, err := h.s.Lstat(name)
	return err == nil
}

// write makes a file, as an editor does: one that is there keeps its owner and
// mode.
func (h hand) write(name, text string) {
	h.t.Helper()
	h.must(system.Replace(h.s, name, text, 0o644))
}

func (h hand) append(name, text string) {
	h.t.Helper()
	old := h.text(name)
	if old != "" && !strings.HasSuffix(old, "\n") {
		old += "\n"
	}
	h.write(name, old+text)
}

func (h hand) prepend(name, text string) {
	h.t.Helper()
	h.write(name, text+h.text(name))
}

// edit puts what to returns in place of each line that it returns another text
// for, without their newlines; "\x00" takes the line out. It tells whether
// anything changed.
func (h hand) edit(name string, to func(line string) string) bool {
	h.t.Helper()
	text := h.text(name)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = to(line)
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return line == gone })
	if strings.Join(lines, "\n") == text {
		return false
	}
	h.write(name, strings.Join(lines, "\n"))
	return true
}

// gone is a line that is taken out.
const gone = "\x00"

// out takes out the lines that match.
func (h hand) out(name string, match *regexp.Regexp) bool {
	h.t.Helper()
	return h.edit(name, func(line string) string {
		if match.MatchString(line) {
			return gone
		}
		return line
	})
}

// comment puts a # before the lines that match.
func (h hand) comment(name string, match *regexp.Regexp) bool {
	h.t.Helper()
	return h.edit(name, func(line string) string {
		if match.MatchString(line) {
			return "# " + line
		}
		return line
	})
}

// replace changes what matches on each line.
func (h hand) replace(name string, match *regexp.Regexp, with string) bool {
	h.t.Helper()
	return h.edit(name, func(line string) string { return match.ReplaceAllString(line, with) })
}

func (h hand) remove(name string) { h.t.Helper(); h.must(h.s.Remove(name)) }

func (h hand) link(target, name string) {
	h.t.Helper()
	h.must(system.MkdirAll(h.s, path.Dir(name)))
	h.remove(name)
	h.must(h.s.Symlink(target, name))
}

func (h hand) chmod(name string, mode fs.FileMode) { h.t.Helper(); h.must(h.s.Chmod(name, mode)) }
func (h hand) chown(name string, uid, gid int)     { h.t.Helper(); h.must(h.s.Chown(name, uid, gid)) }
func (h hand) mkdir(name string, mode fs.FileMode) {
	h.t.Helper()
	h.must(system.MkdirAll(h.s, path.Dir(name)))
	h.must(h.s.Mkdir(name, system.Attr{Mode: mode}))
}
func (h hand) create(name, text string, a system.Attr) {
	h.t.Helper()
	h.must(system.MkdirAll(h.s, path.Dir(name)))
	h.must(h.s.WriteFile(name, strings.NewReader(text), a))
}

// names lists the files of a directory with their paths, none without it.
func (h hand) names(dir string) []string {
	h.t.Helper()
	list, err := system.Names(h.s, dir)
	h.must(err)
	for i, name := range list {
		list[i] = path.Join(dir, name)
	}
	return list
}

// files lists the regular files of directories and of those below them, and
// files that are named themselves.
func (h hand) files(names ...string) []string {
	h.t.Helper()
	var list []string
	for _, name := range names {
		info, err := h.s.Stat(name)
		switch {
		case err != nil:
		case info.Mode.IsDir():
			list = append(list, h.files(h.names(name)...)...)
		case info.Mode.IsRegular():
			list = append(list, name)
		}
	}
	return list
}

// everywhere does something to each of some files and tells whether any changed.
func everywhere(files []string, do func(name string) bool) bool {
	changed := false
	for _, name := range files {
		if do(name) {
			changed = true
		}
	}
	return changed
}
