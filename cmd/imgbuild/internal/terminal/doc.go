// Package terminal shows progress to a person and asks them for passwords: bars
// where there is a terminal, one plain line a finished stage everywhere else.
// It writes to standard error alone and decides nothing.
package terminal
