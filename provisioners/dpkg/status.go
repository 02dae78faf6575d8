// Package dpkg holds the resource of Debian packages that a system must have or
// must not have. It reads dpkg's database and never installs or removes
// anything: what a baked system has follows from its lock.
package dpkg

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"imgbuild/provisioners/system"
)

// Where dpkg keeps its database, and the journal of changes that it has not yet
// written into it (dpkg(1), "FILES").
const (
	statusPath  = "/var/lib/dpkg/status"
	updatesPath = "/var/lib/dpkg/updates"
)

// The limits of the database: bytes of a file, and files of the journal.
const (
	maxStatus  = 64 << 20
	maxUpdates = 1000
)

// Remember returns a reader of the same system that reads its database once, for
// many packages of a system that does not change. It is as safe for several
// goroutines as the reader that it wraps.
func Remember(r system.Reader) system.Reader {
	return &remembering{r, sync.OnceValues(func() (map[string]string, error) { return readAll(r) })}
}

type remembering struct {
	system.Reader
	states func() (map[string]string, error)
}

// Unwrap returns the reader that has the system.
func (m *remembering) Unwrap() system.Reader { return m.Reader }

// read is readAll for a reader that may remember, itself or one that it wraps.
func read(r system.Reader) (map[string]string, error) {
	for at := r; ; {
		if m, ok := at.(*remembering); ok {
			return m.states()
		}
		wrapper, ok := at.(interface{ Unwrap() system.Reader })
		if !ok {
			return readAll(r)
		}
		at = wrapper.Unwrap()
	}
}

// readAll tells in what state each package is, by name: what follows the wanted
// action in its Status field, "ok installed". Of a package with several
// architectures it is the one that is there most.
func readAll(r system.Reader) (map[string]string, error) {
	// A package is one paragraph for a name and an architecture.
	states := map[[2]string]string{}
	if err := readFile(r, statusPath, states); err != nil {
		return nil, err
	}
	names, err := system.Names(r, updatesPath)
	if err != nil {
		return nil, fmt.Errorf("listing dpkg's journal: %w", err)
	}
	if len(names) > maxUpdates {
		return nil, fmt.Errorf("reading dpkg's journal: more than %d files", maxUpdates)
	}
	for _, name := range names {
		if strings.Trim(name, "0123456789") != "" {
			continue // tmp.i, which dpkg has not finished
		}
		if err := readFile(r, path.Join(updatesPath, name), states); err != nil {
			return nil, err
		}
	}
	byName := map[string]string{}
	for key, state := range states {
		if old, ok := byName[key[0]]; !ok || rank(state) > rank(old) || rank(state) == rank(old) && state < old {
			byName[key[0]] = state
		}
	}
	return byName, nil
}

func rank(state string) int {
	switch {
	case installed(state):
		return 2
	case !gone(state):
		return 1
	}
	return 0
}

// installed tells whether a package is there and configured. One that waits for
// a trigger is.
func installed(state string) bool {
	switch state {
	case "ok installed", "ok triggers-pending", "ok triggers-awaited":
		return true
	}
	return false
}

// gone tells whether nothing of a package is there but its configuration.
func gone(state string) bool {
	return state == "ok not-installed" || state == "ok config-files"
}

func readFile(r system.Reader, name string, states map[[2]string]string) error {
	data, err := system.ReadFile(r, name, maxStatus)
	if err != nil {
		return fmt.Errorf("reading dpkg's database: %w", err)
	}
	if err := parse(string(data), states); err != nil {
		return fmt.Errorf("reading dpkg's database: %s: %w", name, err)
	}
	return nil
}

// parse reads the three fields that tell a package's state.
func parse(text string, states map[[2]string]string) error {
	return paragraphs(text, func(fields map[string]string) error {
		state, err := stateOf(fields)
		if err != nil {
			return err
		}
		states[[2]string{fields["package"], fields["architecture"]}] = state
		return nil
	}, "package", "status", "architecture")
}

// stateOf checks a paragraph's fields; Status is three words (dpkg(1), "PACKAGE
// STATES").
func stateOf(fields map[string]string) (string, error) {
	if fields["package"] == "" {
		return "", errors.New("no field Package")
	}
	words := strings.Fields(fields["status"])
	if len(words) != 3 {
		return "", fmt.Errorf("package %s: the status %q is not three words", fields["package"], fields["status"])
	}
	switch words[2] {
	case "not-installed", "config-files", "half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending", "installed":
	default:
		return "", fmt.Errorf("package %s: dpkg knows no state %q", fields["package"], words[2])
	}
	return words[1] + " " + words[2], nil
}
