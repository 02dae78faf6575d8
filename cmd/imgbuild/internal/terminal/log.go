package terminal

import (
	"fmt"
	"log/slog"
	"time"

	"imgbuild/builder/progress"
)

// Log is a progress.Reporter that writes structured records: one when a task
// starts and one when it ends.
type Log struct {
	to  *slog.Logger
	now func() time.Time
}

// NewLog reports to a logger; now is the clock that tasks are timed by.
func NewLog(to *slog.Logger, now func() time.Time) *Log { return &Log{to: to, now: now} }

// Start opens a task.
func (l *Log) Start(name string, total int64, unit progress.Unit) progress.Task {
	to := l.to.With("task", name)
	if total > 0 {
		what := "items"
		if unit == progress.Bytes {
			what = "bytes"
		}
		to.Debug("started", what, total)
	} else {
		to.Debug("started")
	}
	return &logged{to: to, log: l, started: l.now()}
}

// Note writes the sentence as a record.
func (l *Log) Note(format string, args ...any) { l.to.Info(fmt.Sprintf(format, args...)) }

type logged struct {
	to      *slog.Logger
	log     *Log
	started time.Time
}

func (t *logged) Add(int64) {}

func (t *logged) Done(detail string) {
	t.to.Info("done", "detail", detail, "took", t.log.now().Sub(t.started).Round(time.Millisecond))
}

func (t *logged) Cached(detail string) { t.to.Info("cached", "detail", detail) }

func (t *logged) Fail(err error) {
	t.to.Error("failed", "error", err, "took", t.log.now().Sub(t.started).Round(time.Millisecond))
}
