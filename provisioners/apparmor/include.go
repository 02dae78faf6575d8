package apparmor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"

	"imgbuild/provisioners/system"
)

// includes follows the includes of profiles: what does not parse in a part
// keeps every profile that includes it from being loaded.
type includes struct {
	from system.Reader
	// read are the parts by name and place.
	read map[includeKey][]part
	// bytes is how much of all files was read, and looked how many variables of
	// parts were looked at, each time that one is included.
	bytes, looked int
}

const (
	// maxBytes and maxLooked bound these.
	maxBytes  = 128 << 20
	maxLooked = 20_000_000
)

// text reads a file.
func (in *includes) text(name string) (string, error) {
	text, err := system.ReadFile(in.from, name, maxFile)
	if in.bytes += len(text); err == nil && in.bytes > maxBytes {
		err = fmt.Errorf("%s has more than %d MiB", dir, maxBytes>>20)
	}
	return string(text), err
}

type includeKey struct {
	name  string
	where place
}

// within follows all includes of a file, and tells whether every variable that
// is used in it or them has a value.
func (in *includes) within(file string, p part) error {
	used, set := map[string]string{}, map[string]bool{}
	seen := map[includeKey]bool{}
	var follow func(name string, p part, depth int) error
	follow = func(name string, p part, depth int) error {
		if depth > maxNest {
			return fmt.Errorf("%s: more than %d files that include one another", name, maxNest)
		}
		if in.looked += 1 + len(p.variables) + len(p.used); in.looked > maxLooked {
			return fmt.Errorf("%s: profiles include too much to follow it all", name)
		}
		for variable := range p.variables {
			set[variable] = true
		}
		for variable, line := range p.used {
			used[variable] = fmt.Sprintf("%s: line %d", name, line)
		}
		for _, one := range p.features {
			if _, err := in.from.Stat(one.name); err != nil {
				return fmt.Errorf("%s: line %d: abi: %w", name, one.line, err)
			}
		}
		for _, i := range p.includes {
			key := includeKey{i.name, i.where}
			if seen[key] {
				continue
			}
			seen[key] = true
			parts, err := in.parts(key)
			if errors.Is(err, fs.ErrNotExist) {
				if i.optional {
					continue
				}
				return fmt.Errorf("%s: line %d: it includes %s, which is not there", name, i.line, short(i.name))
			}
			if err != nil {
				return err
			}
			for _, one := range parts {
				if err := follow(i.name, one, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := follow(file, p, 0); err != nil {
		return err
	}
	for _, variable := range slices.Sorted(maps.Keys(used)) {
		if !set[variable] {
			return fmt.Errorf("%s: nothing gives %s a value", used[variable], short(variable))
		}
	}
	return nil
}

// parts reads what an include stands for: a file, or those of a directory.
func (in *includes) parts(key includeKey) ([]part, error) {
	if list, done := in.read[key]; done {
		return list, nil
	}
	if len(in.read) > maxFiles {
		return nil, fmt.Errorf("more than %d files are included", maxFiles)
	}
	files := []string{key.name}
	info, err := in.from.Stat(key.name)
	if err != nil {
		return nil, err
	}
	if info.Mode.IsDir() {
		names, err := in.from.ReadDir(key.name)
		if err != nil {
			return nil, err
		}
		files = nil
		for _, name := range names {
			full := path.Join(key.name, name)
			if info, err := in.from.Stat(full); err == nil && info.Mode.IsRegular() && !ignored(name) {
				files = append(files, full)
			}
		}
	}
	var list []part
	for _, name := range files {
		text, err := in.text(name)
		if err != nil {
			return nil, err
		}
		p, err := parse(text, key.where)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, p)
	}
	in.read[key] = list
	return list, nil
}
