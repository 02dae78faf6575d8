package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/builder/stall"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Bounds on how long one file is tried at one place, whatever it answers.
const (
	maxAttempts = 50
	maxDelay    = 15 * time.Second
)

// run is one call of All.
type run struct {
	*Fetcher
	retry  Retry
	client *http.Client
	task   progress.Task
	// silent holds the hosts that did not answer; they are not asked again.
	silent sync.Map
}

// answer is what a place said.
type answer struct {
	place string
	err   error
}

func (a answer) String() string { return a.place + ": " + a.err.Error() }

// storeError is a failure on this side, which no other place can mend.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// one brings one package's file into the store.
func (r *run) one(ctx context.Context, p updates.Package) error {
	part, err := r.Store.Partial(ctx, p.SHA256, p.Size)
	if errors.Is(err, updates.ErrPresent) {
		r.task.Add(p.Size)
		return nil
	}
	if err != nil {
		return fmt.Errorf("fetching %s: %w", title(p), err)
	}
	d := &download{run: r, part: part}
	defer d.finish()
	d.count()
	err = d.ask(ctx, p)
	var gone *goneError
	if err == nil || errors.As(err, &gone) {
		return err
	}
	return fmt.Errorf("fetching %s: %w", title(p), err)
}

// download is one package's file on its way.
type download struct {
	*run
	part *updates.Partial
	// counted is how many bytes the task was told of.
	counted int64
}

// count tells the task of new bytes; those fetched twice count once.
func (d *download) count() {
	if n := d.part.Offset() - d.counted; n > 0 {
		d.task.Add(n)
		d.counted += n
	}
}

// finish lets go of the partial file, which keeps its bytes unless it was
// committed.
func (d *download) finish() {
	// The bytes are in the page cache and verified when they are used again:
	// an error of close has nothing to add.
	_ = d.part.Close()
}

// ask goes through the places until the file is committed.
func (d *download) ask(ctx context.Context, p updates.Package) error {
	gone := &goneError{p: p}
	var unsure *answer
	for _, source := range d.Sources {
		for _, place := range source.Places(p) {
			err := d.from(ctx, place, p.Size)
			if err == nil {
				return nil
			}
			var local storeError
			if errors.As(err, &local) {
				return local.error
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			a := answer{place: place.Name, err: err}
			gone.answers = append(gone.answers, a)
			if unsure == nil && !definite(err) {
				unsure = &a
			}
		}
	}
	if unsure != nil {
		return fault.Failedf("%s", unsure).
			WithHint("run the command again when it answers: what has arrived is kept")
	}
	return gone
}

// from downloads from one place, again and again while that may help.
func (d *download) from(ctx context.Context, place Place, size int64) error {
	if _, silent := d.silent.Load(place.Host); silent {
		return errSilent
	}
	failures := 0
	for attempt := 1; ; attempt++ {
		start := d.part.Offset()
		err := d.attempt(ctx, place, size)
		if err == nil || ctx.Err() != nil {
			return err
		}
		var local storeError
		if errors.As(err, &local) {
			return err
		}
		if errors.Is(err, errWrong) {
			if restart := d.part.Restart(); restart != nil {
				return storeError{restart}
			}
			if start > 0 && attempt < maxAttempts {
				continue // the old bytes may have been the wrong ones
			}
			return err
		}
		if !temporary(err) {
			return err
		}
		if failures++; d.part.Offset() > start {
			failures = 1
		}
		if failures >= d.retry.Attempts || attempt >= maxAttempts {
			if unanswered(err) && place.Host != "" {
				d.silent.Store(place.Host, true)
			}
			return fmt.Errorf("%w (asked %d times)", err, attempt)
		}
		if err := pause(ctx, d.delay(failures, err)); err != nil {
			return err
		}
	}
}

// delay is how long to wait after so many failures in a row: exponential with
// jitter, but at least what the server asked for, within reason.
func (d *download) delay(failures int, err error) time.Duration {
	wait := min(d.retry.Delay<<(failures-1), maxDelay)
	wait = wait/2 + rand.N(wait/2+1)
	var status *statusError
	if errors.As(err, &status) {
		wait = max(wait, min(status.after, 2*maxDelay))
	}
	return wait
}

func pause(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(wait):
		return nil
	}
}

// attempt makes one request and commits the file when it is whole.
func (d *download) attempt(ctx context.Context, place Place, size int64) error {
	if d.part.Offset() < size || size == 0 {
		if err := d.transfer(ctx, place, size); err != nil {
			return err
		}
	}
	err := d.part.Commit()
	if fault.KindOf(err) == fault.World {
		return &wrongError{err.Error()}
	}
	if err != nil {
		return storeError{err}
	}
	return nil
}

// transfer appends what the place sends until the file is whole.
func (d *download) transfer(ctx context.Context, place Place, size int64) error {
	ctx, watch := stall.Start(ctx, d.retry.Stall)
	defer watch.Stop()

	body, err := place.Open(ctx, d.client, d.part.Offset())
	if err != nil {
		return watch.Explain(err)
	}
	defer body.Close()
	if body.Total >= 0 && body.Total != size {
		return &wrongError{fmt.Sprintf("wrong size: expected %d bytes, found %d", size, body.Total)}
	}
	if body.Offset != d.part.Offset() {
		if body.Offset != 0 {
			return fmt.Errorf("asked for bytes from %d, got those from %d", d.part.Offset(), body.Offset)
		}
		if err := d.part.Restart(); err != nil {
			return storeError{err}
		}
	}
	buffer := make([]byte, 128<<10)
	from := watch.Reader(body)
	for {
		n, err := from.Read(buffer)
		if int64(n) > size-d.part.Offset() {
			return &wrongError{fmt.Sprintf("wrong size: expected %d bytes, found more", size)}
		}
		if n > 0 {
			if _, err := d.part.Write(buffer[:n]); err != nil {
				return storeError{err}
			}
			d.count()
		}
		if errors.Is(err, io.EOF) {
			if missing := size - d.part.Offset(); missing > 0 {
				return fmt.Errorf("broke off %d bytes before the end", missing)
			}
			return nil
		}
		if err != nil {
			return watch.Explain(err)
		}
	}
}
