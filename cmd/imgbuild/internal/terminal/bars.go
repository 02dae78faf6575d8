package terminal

import (
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"imgbuild/builder/progress"
)

// Bars is a progress.Reporter for a terminal: a bar for each running task,
// below the lines of those that have ended.
type Bars struct {
	live  *mpb.Progress
	lines *Lines
}

// NewBars draws on out. Close must be called before anything else is written
// there.
func NewBars(out io.Writer, now func() time.Time) *Bars {
	live := mpb.New(mpb.WithOutput(out), mpb.WithWidth(32), mpb.WithAutoRefresh())
	return &Bars{live: live, lines: NewLines(live, now)}
}

// Close removes the bars of tasks that never ended and stops drawing.
func (b *Bars) Close() { b.live.Shutdown() }

// Start opens a task and draws its bar.
func (b *Bars) Start(name string, total int64, unit progress.Unit) progress.Task {
	counters := decor.CountersNoUnit("%d / %d", decor.WC{C: decor.DindentRight})
	if unit == progress.Bytes {
		counters = decor.CountersKibiByte("% .1f / % .1f")
	}
	if total <= 0 {
		counters = decor.Elapsed(decor.ET_STYLE_MMSS)
	}
	drawn := b.live.AddBar(total,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(name+" ", decor.WCSyncSpaceR)),
		mpb.AppendDecorators(counters))
	return &bar{Task: b.lines.Start(name, total, unit), drawn: drawn}
}

// Note writes the sentence above the bars.
func (b *Bars) Note(format string, args ...any) { b.lines.Note(format, args...) }

type bar struct {
	progress.Task
	drawn *mpb.Bar
}

func (b *bar) Add(n int64) { b.drawn.IncrInt64(n) }

func (b *bar) Done(detail string) {
	b.drawn.Abort(true)
	b.Task.Done(detail)
}

func (b *bar) Cached(detail string) {
	b.drawn.Abort(true)
	b.Task.Cached(detail)
}

func (b *bar) Fail(err error) {
	b.drawn.Abort(true)
	b.Task.Fail(err)
}
