package terminal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"imgbuild/builder/progress"
)

// Lines is a progress.Reporter that writes one line when a task ends.
type Lines struct {
	mu  sync.Mutex
	out io.Writer
	now func() time.Time
}

// NewLines reports to out; now is the clock that stages are timed by.
func NewLines(out io.Writer, now func() time.Time) *Lines { return &Lines{out: out, now: now} }

// Start opens a task; nothing is written until it ends.
func (l *Lines) Start(name string, _ int64, _ progress.Unit) progress.Task {
	return &line{to: l, name: name, started: l.now()}
}

// Note writes the sentence on a line of its own.
func (l *Lines) Note(format string, args ...any) { l.write("note", fmt.Sprintf(format, args...)) }

func (l *Lines) write(word, text string) {
	// Servers and images have a say in it: none of them commands a terminal.
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\n' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	l.mu.Lock()
	defer l.mu.Unlock()
	// Nobody can be told of a failure to write to standard error.
	_, _ = fmt.Fprintf(l.out, "%-7s %s\n", word, text)
}

type line struct {
	to      *Lines
	name    string
	started time.Time
}

func (t *line) Add(int64)            {}
func (t *line) Done(detail string)   { t.end("done", detail) }
func (t *line) Cached(detail string) { t.end("cached", detail) }
func (t *line) Fail(err error) {
	if errors.Is(err, context.Canceled) {
		t.end("ended", "interrupted")
		return
	}
	t.end("failed", err.Error())
}

func (t *line) end(word, detail string) {
	text := t.name
	if detail != "" {
		text += ": " + detail
	}
	if word != "cached" {
		text += fmt.Sprintf(" (%.1f s)", t.to.now().Sub(t.started).Seconds())
	}
	t.to.write(word, text)
}
