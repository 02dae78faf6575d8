// Package fetch brings locked package files into the archive. It asks one
// source after the other, verifies every byte against the lock, and continues
// what was broken off. It never resolves and never changes a lock; when the
// archive has everything it makes no connection and no HTTP client.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Fetcher fetches what a lock names. Only Store is needed when the archive
// has everything.
type Fetcher struct {
	Store *updates.Store
	// Baseline is whose lock names the packages, for the command that moves
	// what nobody has any more.
	Baseline string
	// Sources are asked in this order for what the store does not have.
	Sources []Source
	// Client makes the requests; nil means NewClient's, made on first need.
	Client *http.Client
	// Parallel is how many files are fetched at once; 0 means 8.
	Parallel int
	// Reporter shows the bytes that arrive; nil shows nothing.
	Reporter progress.Reporter
	// Offered says which versions of a package are offered now, for the error
	// about one that is not; it may be nil and may return "".
	Offered func(name string) string
	Retry   Retry
}

// Retry says how long a place that fails is asked again. Zero fields take the
// defaults.
type Retry struct {
	// Attempts in a row without a new byte before the next source is asked; 5.
	Attempts int
	// Delay before the second attempt, doubled for each further one up to 15
	// seconds and spread by chance; half a second.
	Delay time.Duration
	// Stall is how long a place may send nothing; stall.Limit.
	Stall time.Duration
}

func (r Retry) withDefaults() Retry {
	if r.Attempts == 0 {
		r.Attempts = 5
	}
	if r.Delay == 0 {
		r.Delay = 500 * time.Millisecond
	}
	return r
}

// All brings every package's file into the store. When no source has a
// package as it was locked the error is a World fault that names the places
// asked and their answers, for every such package; when a place could not be
// asked it is a plain failure, and what arrived is kept for the next call.
func (f *Fetcher) All(ctx context.Context, packages []updates.Package) error {
	missing := f.missing(packages)
	reporter := f.Reporter
	if reporter == nil {
		reporter = progress.Discard
	}
	var total int64
	for _, p := range missing {
		total += p.Size
	}
	task := reporter.Start("fetch", total, progress.Bytes)
	if len(missing) == 0 {
		task.Cached(progress.Count(len(packages), "package") + " in the archive")
		return nil
	}
	if err := f.fetch(ctx, missing, task); err != nil {
		task.Fail(err)
		return err
	}
	task.Done(progress.Count(len(missing), "package"))
	return nil
}

// missing is what the store lacks, each file once.
func (f *Fetcher) missing(packages []updates.Package) []updates.Package {
	var missing []updates.Package
	seen := map[string]bool{}
	for _, p := range packages {
		if !seen[p.SHA256] && !f.Store.HasSized(p.SHA256, p.Size) {
			missing = append(missing, p)
		}
		seen[p.SHA256] = true
	}
	return missing
}

func (f *Fetcher) fetch(ctx context.Context, missing []updates.Package, task progress.Task) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{Fetcher: f, retry: f.Retry.withDefaults(), client: f.Client, task: task}
	if r.client == nil {
		r.client = NewClient()
		defer r.client.CloseIdleConnections()
	}
	workers := f.Parallel
	if workers <= 0 {
		workers = 8
	}
	queue := make(chan updates.Package)
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		gone []*goneError
	)
	for range min(workers, len(missing)) {
		wg.Go(func() {
			for p := range queue {
				err := r.one(ctx, p)
				var g *goneError
				switch {
				case err == nil:
				case errors.As(err, &g):
					mu.Lock()
					gone = append(gone, g)
					mu.Unlock()
				default:
					cancel(err) // nothing is gained by fetching on
				}
			}
		})
	}
	for _, p := range missing {
		select {
		case queue <- p:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return f.gone(gone)
}

// goneError says that no source has a package as it was locked.
type goneError struct {
	p       updates.Package
	answers []answer
}

func (g *goneError) Error() string {
	return fmt.Sprintf("no source has %s", title(g.p))
}

// gone makes one error of all packages that no source has; nil for none.
func (f *Fetcher) gone(gone []*goneError) error {
	if len(gone) == 0 {
		return nil
	}
	slices.SortFunc(gone, func(a, b *goneError) int { return strings.Compare(title(a.p), title(b.p)) })
	var text strings.Builder
	var flags []string
	snapshot := false
	for i, g := range gone {
		if i > 0 {
			text.WriteString("\n")
		}
		fmt.Fprintf(&text, "%s:", g)
		if len(g.answers) == 0 {
			fmt.Fprintf(&text, "\n  no source is configured for %s", describeArchive(g.p))
		}
		for _, a := range g.answers {
			fmt.Fprintf(&text, "\n  %s", a)
		}
		if f.Offered != nil {
			if offered := f.Offered(g.p.Name); offered != "" {
				fmt.Fprintf(&text, "\n  offered now: %s", offered)
			}
		}
		if flag := " --update " + g.p.Name; !slices.Contains(flags, flag) {
			flags = append(flags, flag)
		}
		snapshot = snapshot || g.p.Archive != ""
	}
	hint := "run: imgbuild lock " + cmp.Or(f.Baseline, "BASELINE") + strings.Join(flags, "")
	if snapshot && !slices.ContainsFunc(f.Sources, isSnapshot) {
		hint += "; or set snapshot: to a service that keeps what mirrors drop"
	}
	return fault.Worldf("fetching packages: %s", text.String()).WithHint("%s", hint)
}

func isSnapshot(s Source) bool {
	snapshot, ok := s.(Snapshot)
	return ok && snapshot.Base != ""
}

func describeArchive(p updates.Package) string {
	if p.Archive == "" {
		return "the local file " + p.Path
	}
	return "the archive " + p.Archive
}

func title(p updates.Package) string {
	return p.Name + " " + p.Version + " (" + p.Architecture + ")"
}
