package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/installed"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/hold"
)

// Contents are the packages of a version by its forms.
type Contents map[control.Output][]installed.Package

// Stock keeps on this machine what the versions of one catalog consist of, so that
// neither their documents nor their signatures are read again each time: versions
// do not change. In its directory are
//
//	contents/DIGEST   the packages of a version, by the digest of its index
//	index             which versions have which packages (advisory.Images)
//	lock              held by who reads or changes it
//
// All of it can be removed at any time and is made again. A file is written whole
// or not at all, and believed only when it is what was written.
type Stock struct {
	// Dir is made when needed. It is of one catalog and of those whose signatures
	// count there: what one of them vouched for says nothing elsewhere.
	Dir string
	// Read reads what a version consists of, and believes only what is signed.
	Read func(context.Context, *catalog.Version) (Contents, error)
}

// Stocked is what a stock has, as it was when it was brought up to date.
type Stocked struct {
	stock    *Stock
	index    *advisory.Images
	contents map[string]Contents
	faults   map[string]error
}

// readers is how many versions are read at once: each is some signatures and
// megabytes.
const readers = 4

// Update brings the stock up to date: it reads those of the wanted versions that it
// does not have, and forgets what the catalog has no more. exist are all that the
// catalog has. What cannot be read is an error of [Stocked.Contents], and asked for
// again the next time.
func (s *Stock) Update(ctx context.Context, exist, want []*Image) (*Stocked, error) {
	if err := os.MkdirAll(filepath.Join(s.Dir, "contents"), 0o755); err != nil {
		return nil, fmt.Errorf("remembering what images consist of: %w", err)
	}
	lock, err := hold.File(ctx, filepath.Join(s.Dir, "lock"), hold.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := s.forget(time.Now()); err != nil {
		return nil, fmt.Errorf("remembering what images consist of: %w", err)
	}
	stocked, err := s.update(ctx, exist, want)
	if err != nil {
		return nil, fmt.Errorf("remembering what images consist of: %w", err)
	}
	return stocked, nil
}

// stockUnused is after what time a stock that nobody has asked is removed: each version of the
// program and each change of trusted keys has one of its own.
const stockUnused = 60 * 24 * time.Hour

// forget removes the stocks beside this one that nobody has asked for long. All in them is
// read again where somebody asks after all.
func (s *Stock) forget(now time.Time) error {
	if err := os.Chtimes(s.Dir, now, now); err != nil {
		return err
	}
	beside, err := os.ReadDir(filepath.Dir(s.Dir))
	if err != nil {
		return err
	}
	for _, e := range beside {
		if info, err := e.Info(); err != nil || !e.IsDir() || !stockName.MatchString(e.Name()) || now.Sub(info.ModTime()) < stockUnused {
			continue
		}
		if err := os.RemoveAll(filepath.Join(filepath.Dir(s.Dir), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (s *Stock) update(ctx context.Context, exist, want []*Image) (*Stocked, error) {
	have, err := s.sweep(exist)
	if err != nil {
		return nil, err
	}
	read, faults := make([]Contents, len(want)), make([]error, len(want))
	group, inGroup := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for i, image := range want {
		if have[image.id()] {
			continue
		}
		group.Go(func() error {
			if read[i], faults[i] = s.Read(inGroup, image.Version); faults[i] == nil {
				return s.keep(image.id(), read[i])
			}
			return context.Cause(inGroup)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	stocked := &Stocked{stock: s, contents: map[string]Contents{}, faults: map[string]error{}}
	for i, image := range want {
		switch {
		case faults[i] != nil:
			stocked.faults[image.id()] = faults[i]
		case read[i] != nil:
			have[image.id()] = true
			stocked.contents[image.id()] = read[i]
		}
	}
	stocked.index, err = s.indexOf(have, stocked.contents)
	return stocked, err
}

// id is how a version is named in the stock.
func (i *Image) id() string { return i.Version.Index.Digest.Encoded() }

// sweep forgets what the catalog has no more, and says what is there.
func (s *Stock) sweep(exist []*Image) (map[string]bool, error) {
	known := map[string]bool{}
	for _, i := range exist {
		known[i.id()] = true
	}
	entries, err := os.ReadDir(filepath.Join(s.Dir, "contents"))
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, e := range entries {
		if known[e.Name()] {
			have[e.Name()] = true
			continue
		}
		if err := os.Remove(filepath.Join(s.Dir, "contents", e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return have, nil
}

// indexOf is the index of what the stock has: as it lies there, with what has come
// added, or made anew where something has gone or it cannot be read.
func (s *Stock) indexOf(have map[string]bool, fresh map[string]Contents) (*advisory.Images, error) {
	path := filepath.Join(s.Dir, "index")
	index := advisory.NewImages()
	if file, err := os.Open(path); err == nil {
		old, err := advisory.ReadImages(file)
		if err = errors.Join(err, file.Close()); err == nil && !slices.ContainsFunc(old.IDs(), func(id string) bool { return !have[id] }) {
			index = old
		}
	}
	changed := false
	for id := range have {
		if index.Has(id) {
			continue
		}
		contents := fresh[id]
		if contents == nil {
			var err error
			if contents, err = s.load(id); err != nil {
				continue // With names it, and Contents mends it
			}
		}
		var all []installed.Package
		for _, packages := range contents {
			all = append(all, packages...)
		}
		if err := index.Add(id, all); err != nil {
			return nil, err
		}
		changed = true
	}
	if !changed {
		return index, nil
	}
	return index, replace(path, index.Write)
}

// Contents are the packages of a version. One that is kept and damaged is read again.
func (s *Stocked) Contents(ctx context.Context, image *Image) (Contents, error) {
	id := image.id()
	if c := s.contents[id]; c != nil {
		return c, nil
	}
	if err := s.faults[id]; err != nil {
		return nil, err
	}
	c, err := s.stock.load(id)
	if err == nil {
		return c, nil
	}
	lock, err := hold.File(ctx, filepath.Join(s.stock.Dir, "lock"), hold.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if c, err = s.stock.Read(ctx, image.Version); err != nil {
		return nil, err
	}
	s.contents[id] = c
	return c, s.stock.keep(id, c)
}

// With are those of the images that have a package of any of the names, found
// without looking at any. Those of which it is not known what they have are there too.
func (s *Stocked) With(images []*Image, names []advisory.Name) []*Image {
	ids := map[string]bool{}
	for _, id := range s.index.With(names...) {
		ids[id] = true
	}
	return slices.DeleteFunc(slices.Clone(images), func(i *Image) bool { return s.index.Has(i.id()) && !ids[i.id()] })
}

// stockName is what StockDir calls one.
var stockName = regexp.MustCompile(`^[0-9a-f]{32}$`)

// StockDir is the directory of a stock below the place for all of them: that of a
// catalog, and of what its contents depend on besides, such as whose signatures count
// there.
func StockDir(below, location string, on []string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{location}, on...), "\x00")))
	return filepath.Join(below, hex.EncodeToString(sum[:16]))
}
