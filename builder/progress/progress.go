// Package progress carries what long work says about itself to whoever shows
// it: bars on a terminal, one line a stage elsewhere, nothing in tests. It
// never decides anything.
package progress

import "fmt"

// Unit is what the numbers of a task count.
type Unit int

// The units.
const (
	// Items counts things: packages, files, probes.
	Items Unit = iota
	// Bytes counts bytes.
	Bytes
)

// Reporter shows the progress of a run. Its methods may be called from many
// goroutines at once.
type Reporter interface {
	// Start opens a task. total is how much there is to do in unit, 0 when it
	// is not known. Every task ends by exactly one of its closing methods.
	Start(name string, total int64, unit Unit) Task
	// Note says one sentence that a user should read in passing.
	Note(format string, args ...any)
}

// Task is one piece of work under way.
type Task interface {
	// Add says that n more units are done.
	Add(n int64)
	// Done closes the task as finished; detail is a short result such as
	// "113 packages" and may be empty.
	Done(detail string)
	// Cached closes the task as served from a cache.
	Cached(detail string)
	// Fail closes the task as failed. The error itself is returned to the
	// caller by whoever did the work; this only shows it.
	Fail(err error)
}

// Discard is a Reporter that shows nothing.
var Discard Reporter = discard{}

type discard struct{}

func (discard) Start(string, int64, Unit) Task { return discard{} }
func (discard) Note(string, ...any)            {}
func (discard) Add(int64)                      {}
func (discard) Done(string)                    {}
func (discard) Cached(string)                  {}
func (discard) Fail(error)                     {}

// Count says how many of a thing there are, whose plural ends in s: "1 package".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
