package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/images/advisory/kev"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

func newUpdatesEvaluateCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "evaluate [BASELINE...]",
		Short: "Find the updates that locks lack, and which baselines they apply to",
		Long: `Compare the locks, of all baselines or of those that are named, with what their
repositories offer now, and record each newer version: that it is discovered, which
baselines it applies to and why, and which vulnerabilities it mends by the feeds that
are watched. Nothing is locked. What was recorded before is not recorded again.`,
		Example: "  imgbuild updates evaluate\n  imgbuild updates evaluate debian-12-nginx\n  imgbuild updates evaluate --output json",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return evaluateUpdates(cmd.Context(), env, args) },
	}
}

// evaluatedUpdates is the answer of updates evaluate as JSON.
type evaluatedUpdates struct {
	// Baselines are those that were compared.
	Baselines []string `json:"baselines"`
	// Discovered counts what was not known before, Evaluated what is now known of more
	// than before.
	Discovered int `json:"discovered"`
	Evaluated  int `json:"evaluated"`
	// Advisories says whether advisories had a say.
	Advisories bool           `json:"advisories"`
	Updates    []listedUpdate `json:"updates"`
}

func evaluateUpdates(ctx context.Context, env *environment, names []string) error {
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	store, err := w.project.Records()
	if err != nil {
		return err
	}
	locks, err := w.locks(names)
	if err != nil {
		return err
	}
	locker, err := w.locker()
	if err != nil {
		return err
	}
	known, err := env.watched(ctx)
	if err != nil {
		return err
	}
	if known.Index != nil {
		defer known.Index.Close()
	}
	d := evaluatedUpdates{Baselines: []string{}, Updates: []listedUpdate{}, Advisories: known.Index != nil}
	var pending []builder.Pending
	for _, lock := range locks {
		recipe, err := w.recipe(ctx, lock.Baseline, lock.Architecture)
		if err != nil {
			return err
		}
		found, err := locker.Pending(ctx, recipe, lock, known)
		if err != nil {
			return placeUnknown(recipe, err)
		}
		pending = append(pending, found...)
		d.Baselines = append(d.Baselines, recipe.Typed())
	}
	pending = builder.JoinPending(pending)
	if len(pending) > 0 {
		store, key, err := w.signer(store)
		if err != nil {
			return err
		}
		if d.Discovered, d.Evaluated, err = builder.RecordPending(ctx, store, key, orMe(""), pending, len(names) == 0); err != nil {
			return err
		}
	}
	l, err := env.ledgerOf(ctx, w.project)
	if err != nil {
		return err
	}
	for _, e := range l.queue() {
		if e.Pending() && slices.ContainsFunc(pending, func(p builder.Pending) bool { return p.Update.SHA256 == e.State.Update.SHA256 }) {
			d.Updates = append(d.Updates, describeUpdate(e))
		}
	}
	next := env.command("updates", "list")
	if len(d.Updates) > 0 {
		next = env.command("updates", "show", d.Updates[0].Name)
	}
	return env.answer(d, func(out io.Writer) { d.write(out, l) }, next)
}

func (d evaluatedUpdates) write(w io.Writer, l *ledger) {
	fmt.Fprintf(w, "compared %d locks (%s): %d updates are new, %d evaluated\n", len(d.Baselines), some(d.Baselines, 5), d.Discovered, d.Evaluated)
	if !d.Advisories {
		fmt.Fprintln(w, "no feed is watched: what is for security is known by its suite alone, and no severity")
	}
	writeUpdates(w, updatesDocument{Mode: l.policy.Mode, Updates: d.Updates}, len(l.history.States))
}

// maxLocks is how many locks a project may have.
const maxLocks = 10_000

// lockFiles are the paths of all locks.
func (w *workshop) lockFiles() ([]string, error) {
	entries, err := os.ReadDir(w.project.LocksDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for locks: %w", err)
	}
	if len(entries) > maxLocks {
		return nil, fault.Inputf("%s has %d files, the limit is %d", w.project.LocksDir(), len(entries), maxLocks)
	}
	var paths []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".lock") {
			paths = append(paths, filepath.Join(w.project.LocksDir(), e.Name()))
		}
	}
	return paths, nil
}

// locks are those of the baselines that are named, or of all.
func (w *workshop) locks(names []string) ([]*updates.Lock, error) {
	paths, err := w.lockFiles()
	if err != nil {
		return nil, err
	}
	missing := slices.Clone(names)
	var locks []*updates.Lock
	for _, path := range paths {
		lock, err := updates.ReadLock(path)
		if err != nil {
			return nil, err
		}
		if len(names) > 0 && !slices.Contains(names, lock.Baseline) {
			continue
		}
		missing = slices.DeleteFunc(missing, func(n string) bool { return n == lock.Baseline })
		locks = append(locks, lock)
	}
	if len(missing) > 0 {
		return nil, fault.Inputf("%s has no lock yet", missing[0]).WithHint("run: %s", w.env.command("lock", missing[0]))
	}
	if len(locks) == 0 {
		return nil, fault.Inputf("nothing is locked yet, so there is nothing to update").WithHint("run: %s", w.env.command("lock", "BASELINE"))
	}
	return locks, nil
}

// watched is what the project's feeds say; nothing where none is watched.
func (e *environment) watched(ctx context.Context) (builder.Advisories, error) {
	_, store, list, err := e.feeds()
	if err != nil || len(list.Feeds) == 0 {
		return builder.Advisories{}, err
	}
	index, facts, basis, err := store.Open(ctx, list.Feeds)
	if err != nil {
		return builder.Advisories{}, err
	}
	if !basis.Complete() {
		e.reporter().Note("some feeds cannot be relied on: that they know no severity is no fact; see: %s", e.command("feeds", "list"))
	}
	return builder.Advisories{Index: index, Exploited: func(cve string) bool {
		return slices.ContainsFunc(facts.Exploited, func(c *kev.Catalog) bool {
			_, listed := c.Find(cve)
			return listed
		})
	}}, nil
}
