// Package stall ends transfers by which nothing comes any more.
package stall

import (
	"context"
	"errors"
	"io"
	"time"
)

// Limit is how long a server may send nothing where nobody says otherwise.
const Limit = 30 * time.Second

// ErrStalled says that a transfer was ended for its silence.
var ErrStalled = errors.New("sent nothing for too long")

// Watch ends one transfer when it has been silent for a limit.
type Watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	limit  time.Duration
}

// Start returns the context for a transfer that begins now, and its watch,
// which must be stopped. A limit of 0 means Limit.
func Start(ctx context.Context, limit time.Duration) (context.Context, *Watch) {
	if limit == 0 {
		limit = Limit
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w := &Watch{ctx: ctx, cancel: cancel, limit: limit}
	w.timer = time.AfterFunc(limit, func() { cancel(ErrStalled) })
	return ctx, w
}

// Stop ends the watch and frees what its context holds.
func (w *Watch) Stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// Reader is r, each read of which starts the silence anew.
func (w *Watch) Reader(r io.Reader) io.Reader { return reader{r, w} }

// Explain returns ErrStalled for the error of a transfer that the watch ended,
// and any other error as it is.
func (w *Watch) Explain(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), ErrStalled) {
		return ErrStalled
	}
	return err
}

type reader struct {
	io.Reader
	watch *Watch
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.watch.timer.Reset(r.watch.limit)
	return n, err
}
