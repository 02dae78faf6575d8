package feeds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/images/advisory"
	"imgbuild/images/fault"
)

// Given is a file or a directory that is read as a feed and kept nowhere: nobody
// watches it, so it has no age and no alarms.
type Given struct {
	// Kind is recognised when it is empty.
	Kind Kind
	Path string
}

// ParseGiven reads KIND:PATH, such as osv:all.zip, or a path alone.
func ParseGiven(text string) (Given, error) {
	kind, path, ok := strings.Cut(text, ":")
	if !ok || !slices.Contains(Kinds(), kind) {
		kind, path = "", text
	}
	if path == "" {
		return Given{}, fault.Inputf("%q names no file", text).WithHint("KIND:FILE, such as osv:all.zip, of the kinds %s", strings.Join(Kinds(), ", "))
	}
	return Given{Kind(kind), path}, nil
}

// GivenStore makes indexes of given files.
type GivenStore struct {
	// Dir keeps the indexes that were used last.
	Dir string
	// Program is the version of the program that reads the files.
	Program  string
	Now      func() time.Time
	Progress progress.Reporter
}

// Open opens the index of what the given files publish, and reads what they say of
// vulnerabilities that others publish. It is made where none was made of the very
// same files. That there is nothing in one of them, or that it cannot be read, is an
// error. Where they say more than goes into one index, it is of what they say of the
// systems that are asked about, if any are.
func (s *GivenStore) Open(ctx context.Context, given []Given, about ...string) (*advisory.Index, *Facts, []Report, error) {
	var sets []givenSet
	for _, g := range given {
		more, err := s.files(ctx, g)
		if err != nil {
			return nil, nil, nil, err
		}
		sets = append(sets, more...)
	}
	facts := &Facts{}
	var told []Report
	key := indexKey{Format: indexFormat, Program: s.Program}
	for i := range sets {
		set := &sets[i]
		if err := set.sum(); err != nil {
			return nil, nil, nil, err
		}
		told = append(told, Report{Name: set.name, Kind: set.kind, From: set.name, Digest: set.digest, Files: len(set.files), Judgement: Judgement{Fresh: true}})
		if set.kind.Published() {
			key.Sources = append(key.Sources, Source{Kind: set.kind, Digest: set.digest})
			continue
		}
		found, err := set.read(ctx, s.Now(), func(*advisory.Record) error { return nil })
		if err != nil {
			return nil, nil, nil, err
		}
		facts.add(found)
		told[i].Records, told[i].AsOf = found.records, found.asOf
	}
	if len(key.Sources) == 0 {
		return nil, nil, nil, fault.Inputf("none of the files given says which packages have which vulnerabilities").WithHint("add one that does, such as osv:all.zip")
	}
	index, err := s.index(ctx, key, sets, about)
	if err != nil {
		return nil, nil, nil, err
	}
	return index, facts, told, nil
}

// index opens the index of sets, of all that they say if that can be made.
func (s *GivenStore) index(ctx context.Context, key indexKey, sets []givenSet, about releases) (*advisory.Index, error) {
	kept := indexes{dir: s.Dir, most: mostGiven, reporter: s.Progress}
	open := func(key indexKey, about releases) (*advisory.Index, error) {
		index, _, err := kept.open(ctx, key, func(each func(*advisory.Record) error) (total int, err error) {
			for _, set := range sets {
				if !set.kind.Published() {
					continue
				}
				found, err := set.read(ctx, s.Now(), about.only(each))
				if err != nil {
					return 0, err
				}
				total += found.records
			}
			return total, nil
		})
		return index, err
	}
	narrow := key
	narrow.Sources = slices.Clone(key.Sources)
	for i := range narrow.Sources {
		narrow.Sources[i].Releases = about
	}
	switch {
	case len(about) == 0:
		return open(key, nil)
	case kept.has(narrow): // all that they say did not go into one
		return open(narrow, about)
	}
	index, err := open(key, nil)
	if errors.Is(err, advisory.ErrTooLarge) {
		s.Progress.Note("the files given say more than goes into one index: it is made of what they say of %s", strings.Join(about, ", "))
		return open(narrow, about)
	}
	return index, err
}

// mostGiven is how many indexes of given files stay.
const mostGiven = 4

// givenSet is the files of one kind that were given by one name.
type givenSet struct {
	name   string
	kind   Kind
	files  []stored
	digest string
}

// files finds what a person names.
func (s *GivenStore) files(ctx context.Context, g Given) ([]givenSet, error) {
	info, err := os.Stat(g.Path)
	if err != nil {
		return nil, fault.Inputf("reading advisories").Because(err).WithHint("name a file or a directory, such as osv:all.zip")
	}
	if !info.IsDir() {
		if g.Kind == "" {
			if g.Kind, err = recognisePath(ctx, g.Path); err != nil {
				return nil, fault.Inputf("reading %s", g.Path).Because(err).WithHint("say what it is, of the kinds %s: osv:%s", strings.Join(Kinds(), ", "), g.Path)
			}
		}
		return []givenSet{{name: g.Path, kind: g.Kind, files: []stored{{filepath.Base(g.Path), g.Path}}}}, nil
	}
	found, passed, err := Survey(ctx, g.Path)
	if err != nil {
		return nil, err
	}
	for _, p := range passed {
		if p.Unread {
			return nil, fault.Inputf("reading %s: it may be a file of a feed, and cannot be read: %s", p.Path, p.Why).WithHint("copy it again, take it away, or name the folder that has the files themselves")
		}
		s.Progress.Note("not read: %s: %s", p.Path, p.Why)
	}
	var sets []givenSet
	for _, kind := range Kinds() {
		k := Kind(kind)
		if len(found[k]) == 0 || g.Kind != "" && g.Kind != k {
			continue
		}
		set := givenSet{name: g.Path, kind: k}
		for _, path := range found[k] {
			set.files = append(set.files, stored{filepath.Base(path), path})
		}
		sets = append(sets, set)
	}
	if len(sets) == 0 {
		return nil, fault.Inputf("there is no file of a feed in %s", g.Path).WithHint("the kinds that are known: %s", strings.Join(Kinds(), ", "))
	}
	return sets, nil
}

// sum takes the digest of the set: that of its one file, else of all.
func (g *givenSet) sum() error {
	var files []File
	for _, f := range g.files {
		err := f.with(func(c content) error {
			sum := sha256.New()
			if _, err := io.Copy(sum, io.NewSectionReader(c.file, 0, c.size)); err != nil {
				return err
			}
			files = append(files, File{Name: f.name, SHA256: hex.EncodeToString(sum.Sum(nil)), Bytes: c.size})
			return nil
		})
		if err != nil {
			return fault.Inputf("reading %s", f.path).Because(err)
		}
	}
	if g.digest = files[0].SHA256; len(files) > 1 {
		g.digest = sumOf(files)
	}
	return nil
}

// read reads the files of the set, of which the digest was taken: what is kept of them
// is kept by it.
func (g *givenSet) read(ctx context.Context, now time.Time, each func(*advisory.Record) error) (*reader, error) {
	found, err := read(ctx, g.kind, g.files, now, each)
	var local *os.PathError
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &local):
		return nil, fmt.Errorf("reading %s: %w", g.name, err)
	case errors.Is(err, advisory.ErrTooLarge):
		return nil, fault.Inputf("reading %s: it is too large to be indexed, with what was read before it", g.name).Because(err).WithHint("name fewer files, or ones that speak of fewer systems")
	case err != nil:
		return nil, fault.Inputf("reading %s: %s", g.name, unreadable(g.kind, err).Reason).WithHint("name a whole file of kind %s; one that was cut short has to be fetched again", g.kind)
	case found.records == 0:
		return nil, fault.Inputf("reading %s: there is no record in it", g.name).WithHint("name a file that says something, of kind %s", g.kind)
	}
	was := g.digest
	if err := g.sum(); err != nil {
		return nil, err
	}
	if g.digest != was {
		return nil, fault.Inputf("reading %s: it was changed while it was read", g.name).WithHint("run it again once nobody writes there")
	}
	return found, nil
}
