package terminal

import (
	"fmt"
	"os"

	"golang.org/x/term"
)

// Is says whether file is a terminal.
func Is(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// Ask returns a function that asks for a password on the terminal in without
// showing it, or nil when in is no terminal.
func Ask(in, out *os.File) func(prompt string) ([]byte, error) {
	if !Is(in) {
		return nil
	}
	return func(prompt string) ([]byte, error) {
		fmt.Fprint(out, prompt)
		password, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(out)
		if err != nil {
			return nil, fmt.Errorf("reading the password: %w", err)
		}
		return password, nil
	}
}
