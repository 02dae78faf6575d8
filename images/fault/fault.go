// Package fault holds the kinds of error on which a caller decides: each kind
// is one exit code of the command line and one status of an API. It never
// prints and never ends the program.
package fault

import (
	"errors"
	"fmt"
)

// Kind says whose move it is after an error.
type Kind int

// The kinds, numbered as the exit codes of the command line.
const (
	// Failed is any failure without a more telling kind.
	Failed Kind = 1
	// Input means that what the user wrote (recipe, flag, configuration) is wrong.
	Input Kind = 2
	// Gate means that a gate said no.
	Gate Kind = 3
	// World means that the world differs from what was expected: a tampered
	// file, a moved tag, a version that is no longer offered.
	World Kind = 4
	// Held means that the work waits for a person.
	Held Kind = 5
)

// Error is an error with a kind and, where there is one, the next thing to do.
type Error struct {
	Kind Kind
	// Message is lower-case and says what was being done and what went wrong.
	Message string
	// Hint is one sentence or command that mends it; it may be empty.
	Hint string
	// Cause is the wrapped error; it may be nil.
	Cause error
}

func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

func (e *Error) Unwrap() error { return e.Cause }

// WithHint sets the hint and returns the error itself.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Because sets the wrapped cause and returns the error itself.
func (e *Error) Because(err error) *Error {
	e.Cause = err
	return e
}

// Inputf makes an error that the user mends in what they wrote.
func Inputf(format string, args ...any) *Error { return of(Input, format, args) }

// Gatef makes an error for a gate that said no.
func Gatef(format string, args ...any) *Error { return of(Gate, format, args) }

// Worldf makes an error for a world that differs from what was expected.
func Worldf(format string, args ...any) *Error { return of(World, format, args) }

// Heldf makes an error for work that waits for a person.
func Heldf(format string, args ...any) *Error { return of(Held, format, args) }

// Failedf makes a plain failure that can carry a hint.
func Failedf(format string, args ...any) *Error { return of(Failed, format, args) }

func of(k Kind, format string, args []any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the outermost Error in err's chain, Failed when
// there is none, and 0 for nil.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}

// HintOf returns the first hint found in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Cause
	}
	return ""
}
