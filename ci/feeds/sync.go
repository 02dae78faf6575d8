package feeds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/images/advisory"
	"imgbuild/images/hold"
)

// Options say how a feed is read.
type Options struct {
	// Smaller accepts that a feed has far fewer records than it had, or older
	// ones.
	Smaller bool
}

// incoming is what a source has.
type incoming struct {
	// files are all of it, fresh those of them that have just come: where they
	// lie, by their digests.
	files []File
	fresh map[string]string
	from  string
	// read is when the source had it; as it is when it is zero, now.
	read time.Time
	// changed is when the source says that it was last changed.
	changed time.Time
	// alarms are what the source says was wrong with it.
	alarms []Alarm
}

// Sync reads a feed from its place. What is wrong with the source is an alarm of
// the state that it returns, and what was kept stays; the error is of this
// machine, or that of an end of ctx.
func (s *Store) Sync(ctx context.Context, f *Feed, o Options) (*State, error) {
	if f.URL == "" && f.File == "" && f.Directory == "" {
		return s.State(f) // bundles fill it
	}
	return s.fill(ctx, f, o, func(old *State) (*incoming, error) {
		switch {
		case f.URL != "":
			return s.fromURL(ctx, f, old)
		case f.File != "":
			return s.fromFiles(f, []string{f.File})
		}
		return s.fromDirectory(ctx, f, old)
	})
}

// fill holds a feed while gather brings what is new, and keeps that if it is
// good. An *Alarm of gather becomes one of the state.
func (s *Store) fill(ctx context.Context, f *Feed, o Options, gather func(old *State) (*incoming, error)) (*State, error) {
	lock, err := s.hold(ctx, f.Name, "filling", hold.Exclusive)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	old, err := s.State(f)
	if err != nil {
		return nil, err
	}
	// What a run that was killed left behind; parts of files are gone on with.
	if err := s.clear(f.Name); err != nil {
		return nil, err
	}
	state, err := s.renew(ctx, f, o, old, gather)
	var alarm *Alarm
	if errors.As(err, &alarm) {
		if err := s.clear(f.Name); err != nil {
			return nil, err
		}
		state = *old
		state.Tried = s.Now().UTC()
		alarm.At = state.Tried
		alarm.Reason = advisory.Line(alarm.Reason)
		state.Alarms = []Alarm{*alarm}
		if f.Kind == "" {
			return &state, nil // it is not known what it would be the state of
		}
		return &state, writeState(s.statePath(f.Name), &state)
	}
	if err != nil {
		return nil, fmt.Errorf("reading feed %s: %w", f.Name, err)
	}
	return &state, nil
}

// renew makes the next state of what gather brings, and keeps both.
func (s *Store) renew(ctx context.Context, f *Feed, o Options, old *State, gather func(*State) (*incoming, error)) (state State, err error) {
	task := s.reporter().Start("feed "+f.Name, 0, progress.Items)
	defer func() {
		if err != nil {
			task.Fail(err)
		}
	}()
	new, err := gather(old)
	if err != nil {
		return State{}, err
	}
	slices.SortFunc(new.files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	if err := new.check(f); err != nil {
		return State{}, err
	}
	now := s.Now().UTC()
	state = State{Version: stateVersion, Feed: f.Name, Kind: f.Kind, From: new.from, Tried: now, Read: cmp.Or(new.read.UTC(), now), Peak: old.Peak, Alarms: new.alarms}
	state.setFiles(new.files)
	if old.Kept() && old.Digest == state.Digest && s.whole(old) {
		// The same as before: nothing is to be read again, nothing is to be kept.
		state.Records, state.AsOf = old.Records, old.AsOf
		if state.Read.Before(old.Read) {
			state.Read = old.Read
		}
		if err := s.commit(ctx, f.Name, &state, nil); err != nil {
			return State{}, err
		}
		task.Cached(f.Kind.count(state.Records) + ", unchanged")
		return state, nil
	}
	found, err := s.inspect(ctx, f, new)
	if err != nil {
		return State{}, err
	}
	if found.asOf.IsZero() {
		found.newest(now, new.changed)
	}
	if found.asOf.IsZero() {
		found.newest(now, now)
	}
	if alarm := judgeNew(f, old, found, o.Smaller); alarm != nil {
		return State{}, alarm
	}
	state.Records, state.AsOf = found.records, found.asOf
	if state.Peak < found.records || o.Smaller {
		state.Peak = found.records
	}
	if err := s.commit(ctx, f.Name, &state, new.fresh); err != nil {
		return State{}, err
	}
	task.Done(f.Kind.count(state.Records))
	return state, nil
}

// check refuses what is not what was asked for, before any of it is read.
func (in *incoming) check(f *Feed) error {
	if len(in.files) == 0 {
		return &Alarm{What: Empty, Reason: fmt.Sprintf("there is no file of kind %s at %s", f.Kind, f.Place()), Mend: "see what is there: files are recognised by what is in them"}
	}
	if err := checkFiles(in.files); err != nil {
		return &Alarm{What: Unreadable, Reason: line(err), Mend: "see what the source has"}
	}
	if alarm := f.other(in.from, in.files); alarm != nil {
		return alarm
	}
	return nil
}

// whole says whether the files of a state are there as they were read.
func (s *Store) whole(state *State) bool {
	return !slices.ContainsFunc(state.Files, func(f File) bool { return s.verify(state.Feed, f) != nil })
}

// inspect reads what has come, together with what is there already, as if it were
// indexed.
func (s *Store) inspect(ctx context.Context, f *Feed, new *incoming) (*reading, error) {
	var files []stored
	for _, one := range new.files {
		path, ok := new.fresh[one.SHA256]
		if !ok {
			path = s.dataPath(f.Name, one.SHA256)
		}
		files = append(files, stored{one.Name, path})
	}
	// What could not be indexed takes the place of nothing.
	builder, err := advisory.NewBuilder()
	if err != nil {
		return nil, err
	}
	found, err := read(ctx, f.Kind, files, s.Now(), releases(f.Releases).only(builder.Add))
	var local *os.PathError
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.As(err, &local):
		return nil, err // of this machine
	case err != nil:
		return nil, unreadable(f.Kind, err)
	}
	return &found.reading, nil
}

// clear takes away what came in and was not kept, but for parts of downloads.
func (s *Store) clear(feed string) error {
	entries, err := os.ReadDir(s.incoming(feed))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("taking away what came in for feed %s: %w", feed, err)
	}
	for _, e := range entries {
		name := filepath.Join(s.incoming(feed), e.Name())
		if strings.HasPrefix(e.Name(), "part-") {
			if _, err := os.Stat(strings.TrimSuffix(strings.TrimSuffix(name, ".new"), ".from") + ".from"); err == nil {
				continue
			}
		}
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("taking away what came in for feed %s: %w", feed, err)
		}
	}
	return nil
}

// SyncAll reads those of the feeds that due says, one after the other, and gives
// the states of all. It goes on after an alarm.
func (s *Store) SyncAll(ctx context.Context, list []*Feed, o Options, due func(*Feed, *State) bool) ([]*State, error) {
	var states []*State
	for _, f := range list {
		state, err := s.State(f)
		if err == nil && due(f, state) {
			state, err = s.Sync(ctx, f, o)
		}
		if err != nil {
			return nil, err
		}
		states = append(states, state)
	}
	return states, nil
}
