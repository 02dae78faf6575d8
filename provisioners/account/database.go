// Package account holds the resources of local users and groups, of how their
// passwords age and of rules that all of them obey, and looks up accounts in a
// system's own files. It edits passwd(5), group(5), shadow(5) and gshadow(5) of
// a system that nothing else changes meanwhile, so it takes no locks; it locks
// passwords and never sets one, for secrets are not part of an image.
package account

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/passwd"
	"imgbuild/provisioners/system"
)

// The files.
const (
	passwdFile  = passwd.Users
	groupFile   = passwd.Groups
	shadowFile  = passwd.Shadow
	gshadowFile = passwd.GroupsShadow
)

// table is one of the files, line by line; comments and the lines of NIS are
// kept. A broken record makes the whole file one that cannot be told from.
type table struct {
	name  string
	lines [][]string
	// first is where the first record of a name is in lines, nil until it is asked
	// for.
	first map[string]int
	was   []byte
	attr  system.Attr
}

// read reads a table whose records have fields fields. A missing file is an
// empty table, and mode and gid are what it will be made with.
func read(r system.Reader, name string, mode fs.FileMode, gid int) (*table, error) {
	t := &table{name: name, attr: system.Attr{Mode: mode, GID: gid}}
	info, err := r.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.attr = system.Attr{Mode: info.Mode, UID: info.UID, GID: info.GID}
	if t.was, err = system.ReadFile(r, name, passwd.MaxFile); err != nil {
		return nil, err
	}
	if _, err := passwd.Parse(name, string(t.was)); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(t.was), "\n"), "\n") {
		if line != "" {
			t.lines = append(t.lines, strings.Split(line, ":"))
		}
	}
	return t, nil
}

// find returns the record of a name; of several the first, as the C library does.
func (t *table) find(name string) []string {
	if i, ok := t.at(name); ok {
		return t.lines[i]
	}
	return nil
}

func (t *table) at(name string) (int, bool) {
	if t.first == nil {
		t.first = map[string]int{}
		for i, record := range t.lines {
			if _, there := t.first[record[0]]; !there && len(record) > 1 {
				t.first[record[0]] = i
			}
		}
	}
	i, ok := t.first[name]
	return i, ok
}

// put replaces the record of its name, or adds it at the end.
func (t *table) put(record []string) {
	if i, ok := t.at(record[0]); ok {
		t.lines[i] = record
		return
	}
	t.first[record[0]] = len(t.lines)
	t.lines = append(t.lines, record)
}

func (t *table) remove(name string) {
	t.lines = slices.DeleteFunc(t.lines, func(record []string) bool { return record[0] == name && len(record) > 1 })
	t.first = nil
}

// names are those of all records.
func (t *table) names() []string {
	var list []string
	for _, record := range t.lines {
		if len(record) > 1 {
			list = append(list, record[0])
		}
	}
	return list
}

// accountName is what useradd(8) takes for a name, and capital letters.
var accountName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_-]{0,31}\$?$`)

// called is the name of a record, for errors. What is none may be the password
// of a damaged one, and is not shown.
func called(record []string) string {
	if len(record) < 2 || !accountName.MatchString(record[0]) {
		return "an account without a name"
	}
	return strconv.Quote(record[0])
}

// id reads a numeric field of a record.
func (t *table) id(record []string, index int) (int, error) {
	if len(record) <= index {
		return 0, fmt.Errorf("reading %s: the record of %s has %d fields", t.name, called(record), len(record))
	}
	n, err := strconv.ParseUint(record[index], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("reading %s: the record of %s has no number in field %d", t.name, called(record), index+1)
	}
	return int(n), nil
}

// ids are the third fields of all records: user or group numbers.
func (t *table) ids() map[int]bool {
	used := map[int]bool{}
	for _, record := range t.lines {
		if n, err := t.id(record, 2); err == nil {
			used[n] = true
		}
	}
	return used
}

func (t *table) bytes() []byte {
	var b bytes.Buffer
	for _, record := range t.lines {
		b.WriteString(strings.Join(record, ":"))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// write writes the table back if it changed.
func (t *table) write(s system.System) error {
	now := t.bytes()
	if bytes.Equal(now, t.was) {
		return nil
	}
	if err := s.WriteFile(t.name, bytes.NewReader(now), t.attr); err != nil {
		return err
	}
	t.was = now
	return nil
}

// database is all four files.
type database struct {
	passwd, group, shadow, gshadow *table
}

// shadowGroup is the number of Debian's group shadow (base-passwd).
const shadowGroup = 42

func open(r system.Reader) (*database, error) {
	d := &database{}
	for _, f := range []struct {
		into **table
		name string
		mode fs.FileMode
		gid  int
	}{
		{&d.passwd, passwdFile, 0o644, 0}, {&d.group, groupFile, 0o644, 0},
		{&d.shadow, shadowFile, 0o640, shadowGroup}, {&d.gshadow, gshadowFile, 0o640, shadowGroup},
	} {
		t, err := read(r, f.name, f.mode, f.gid)
		if err != nil {
			return nil, fmt.Errorf("reading accounts: %w", err)
		}
		*f.into = t
	}
	return d, nil
}

func (d *database) write(s system.System) error {
	for _, t := range []*table{d.group, d.gshadow, d.passwd, d.shadow} {
		if err := t.write(s); err != nil {
			return fmt.Errorf("writing accounts: %w", err)
		}
	}
	return nil
}
