package feeds

import "time"

// Alarm is why a feed cannot be relied on.
type Alarm struct {
	What What `json:"what"`
	// Reason says in words what is wrong, and Mend what can be done about it.
	Reason string `json:"reason"`
	Mend   string `json:"mend"`
	// At is when it was noticed.
	At time.Time `json:"at,omitzero"`
}

// What is a sort of alarm.
type What string

// The sorts.
const (
	// NeverRead is a feed of which there is nothing.
	NeverRead What = "never-read"
	// Stale is one that was last read too long ago, or whose newest record is old.
	Stale What = "stale"
	// Unreachable is a source that does not answer, or not with a feed.
	Unreachable What = "unreachable"
	// Refused is what a source must not do: send on to another scheme or to a
	// private address, answer without end.
	Refused What = "refused"
	// Changed is a file that is not the one that was pinned.
	Changed What = "changed"
	// Empty is a feed without a record.
	Empty What = "empty"
	// Truncated is one that ends too early.
	Truncated What = "truncated"
	// Unreadable is one that is not what its kind says.
	Unreadable What = "unreadable"
	// Shrunk is one with far fewer records than it had.
	Shrunk What = "shrunk"
	// Older is one that is older than what is kept.
	Older What = "older"
	// Damaged is that what is kept is not what was read.
	Damaged What = "damaged"
)

// Error makes an alarm an error on its way to the state.
func (a *Alarm) Error() string { return a.Reason }
