package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"imgbuild/builder"
	"imgbuild/builder/progress"
	"imgbuild/builder/stage"
	"imgbuild/ci/pipeline"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
)

// triedDir has the catalogs of what is tried: one a baseline and architecture, with what
// was tried last.
const triedDir = "tried"

// candidatesDir of the project's data remembers the locks of what was tried.
const candidatesDir = "candidates"

// bench opens what candidates are found, tried and decided on with. Whoever only looks
// needs no key. close it in the end.
func (w *workshop) bench(ctx context.Context, f trialFlags, sign bool) (_ *pipeline.Bench, closeIt func() error, err error) {
	b := &pipeline.Bench{
		Who: orMe(""), Kept: filepath.Join(w.project.DataDir(), candidatesDir), Policy: w.project.Config.Policy.Policy, LockFile: w.project.LockFile, Now: func() time.Time { return time.Now().UTC() }}
	if b.Locker, err = w.locker(); err != nil {
		return nil, nil, err
	}
	if b.Records, err = w.project.Records(); err != nil {
		return nil, nil, err
	}
	if sign {
		if b.Records, b.Key, err = w.signer(b.Records); err != nil {
			return nil, nil, err
		}
	}
	b.History = func(ctx context.Context) (*life.History, error) {
		l, err := w.env.ledgerOf(ctx, w.project)
		if err != nil {
			return nil, err
		}
		return l.history, nil
	}
	b.Open = func(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*builder.Builder, *catalog.Catalog, error) {
		return w.tryingBuilder(ctx, recipe, lock, f)
	}
	if b.Advisories, err = w.env.watched(ctx); err != nil {
		return nil, nil, err
	}
	return b, func() error {
		if b.Advisories.Index == nil {
			return nil
		}
		return b.Advisories.Index.Close()
	}, nil
}

// labelled has what is told of each baseline begin with its name, where several are worked
// on at once.
func labelled(b *pipeline.Bench) {
	open := b.Open
	b.Open = func(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock) (*builder.Builder, *catalog.Catalog, error) {
		at, tried, err := open(ctx, recipe, lock)
		if err == nil {
			at.Report = progress.Of(recipe.Typed(), at.Report)
			at.Fetch.Reporter = at.Report
		}
		return at, tried, err
	}
}

// tryingBuilder opens what a lock of a recipe is baked with, and the catalog of what is
// tried of that.
func (w *workshop) tryingBuilder(ctx context.Context, recipe *baseline.Recipe, lock *updates.Lock, f trialFlags) (*builder.Builder, *catalog.Catalog, error) {
	b, err := w.builder(ctx, recipe, lock)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(w.addCatalog(ctx, b), w.addTrials(b, recipe, f)); err != nil {
		return nil, nil, err
	}
	if !recipe.Scanned() {
		// A trial is scanned whatever the recipe asks for.
		if b.Controls, err = w.recipes.Controls(); err != nil {
			return nil, nil, err
		}
		if b.Waivers, err = w.recipes.Waivers(b.Controls, strayKinds()); err != nil {
			return nil, nil, err
		}
	}
	tried, err := catalog.Open(ctx, catalog.Config{
		Location: filepath.Join(w.project.Config.Cache.Dir, triedDir, recipe.Name+"."+recipe.Architecture), Trust: b.Trust,
	})
	return b, tried, err
}

// forgetTried removes what was tried last of each baseline, but for those that are being
// worked on, and returns how many bytes that were.
func forgetTried(ctx context.Context, dir string, stages *stage.Cache) (freed int64, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("removing what was tried: %w", err)
	}
	for _, e := range entries {
		at := strings.LastIndexByte(e.Name(), '.')
		if at < 1 {
			continue // none of ours
		}
		release, err := stages.Lease(ctx, e.Name()[:at], nil)
		if err != nil {
			continue // it is in use
		}
		path := filepath.Join(dir, e.Name())
		err = filepath.WalkDir(path, func(_ string, f fs.DirEntry, err error) error {
			if err != nil || !f.Type().IsRegular() {
				return err
			}
			info, err := f.Info()
			if err == nil {
				freed += info.Size()
			}
			return err
		})
		if err = errors.Join(err, os.RemoveAll(path), release()); err != nil {
			return freed, fmt.Errorf("removing what was tried: %w", err)
		}
	}
	return freed, nil
}
