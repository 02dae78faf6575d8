package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"imgbuild/images/fault"
)

// Rotated says what RotateKeys did.
type Rotated struct {
	Keys *NewKeys `json:"keys"`
	// OldKey is where the former signing public key is kept, "" when there was
	// none: its signatures up to now stay good.
	OldKey string `json:"old_key,omitempty"`
	// Until is when the old key ended.
	Until string `json:"until,omitempty"`
}

// RotateKeys makes new keys for a project. The old public key stays in trust:
// with an end, so that what it has signed stays good; the old private keys are
// removed. A key that somebody else may hold must be withdrawn besides, by
// withdrawn: in its entry.
func (p *Project) RotateKeys(ask Ask, now time.Time) (*Rotated, error) {
	if p.Dir == "" {
		return nil, fault.Inputf("rotating keys: this is no project").WithHint("give its directory: imgbuild init --rotate-keys DIR")
	}
	retired := filepath.Join(p.KeysDir(), "retired-"+now.UTC().Format("20060102T150405Z"))
	r := &Rotated{}
	moved := []string{}
	putBack := func(err error) error {
		for _, name := range moved {
			err = errors.Join(err, os.Rename(filepath.Join(retired, name), filepath.Join(p.KeysDir(), name)))
		}
		return errors.Join(err, ignoreMissing(os.Remove(retired)))
	}
	if err := os.MkdirAll(retired, 0o755); err != nil {
		return nil, fmt.Errorf("rotating keys: %w", err)
	}
	for _, name := range []string{signingPublic, signingPrivate, openpgpPublic, openpgpPrivate} {
		err := os.Rename(filepath.Join(p.KeysDir(), name), filepath.Join(retired, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, putBack(fmt.Errorf("rotating keys: %w", err))
		}
		moved = append(moved, name)
	}
	keys, err := p.makeKeys(ask)
	if err != nil {
		return nil, putBack(err)
	}
	r.Keys = keys
	if old := filepath.Join(retired, signingPublic); exists(old) {
		relative, err := filepath.Rel(p.Dir, old)
		if err != nil {
			return nil, fmt.Errorf("rotating keys: %w", err)
		}
		r.OldKey, r.Until = relative, now.UTC().Format(time.RFC3339)
		if err := p.trustRetired(r); err != nil {
			return nil, err
		}
	}
	return r, errors.Join(
		ignoreMissing(os.Remove(filepath.Join(retired, signingPrivate))),
		ignoreMissing(os.Remove(filepath.Join(retired, openpgpPrivate))))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

var (
	trustLine = regexp.MustCompile(`(?m)^trust:[ \t]*(?:#.*)?\n`)
	itemLine  = regexp.MustCompile(`^(?:[ \t]*(?:#.*)?\n)*([ \t]*)- `)
)

// trustRetired puts an entry for the old key at the top of trust:, leaving
// every other byte of the file as the user wrote it.
func (p *Project) trustRetired(r *Rotated) error {
	text, err := os.ReadFile(p.File)
	if err != nil {
		return fmt.Errorf("rotating keys: %w", err)
	}
	entry := func(indent string) string {
		return fmt.Sprintf("%s- name: until %s\n%s  key: %s\n%s  not-after: %s\n", indent, r.Until, indent, r.OldKey, indent, r.Until)
	}
	at := trustLine.FindIndex(text)
	if at == nil {
		return fault.Inputf("rotating keys: %s has no list under trust: to add the old key to", p.File).
			WithHint("add it yourself:\n%s", "trust:\n"+strings.TrimRight(entry("  "), "\n"))
	}
	indent := "  "
	if item := itemLine.FindSubmatch(text[at[1]:]); item != nil {
		indent = string(item[1])
	}
	changed := string(text[:at[1]]) + entry(indent) + string(text[at[1]:])
	temporary := p.File + ".new"
	if err := writeNew(temporary, []byte(changed), 0o644); err != nil {
		return err
	}
	if err := os.Rename(temporary, p.File); err != nil {
		return fmt.Errorf("rotating keys: %w", err)
	}
	return nil
}
