package project

import (
	"encoding/json"
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

// Folders of KeysDir, and a file of the first.
const (
	// nextKeys holds new keys, complete but not yet in place.
	nextKeys = "next"
	// rotationFile tells a later run how their rotation was meant.
	rotationFile = "rotation.json"
	// retiredPrefix and a time name the folder of a former key's public part.
	retiredPrefix = "retired-"
	retiredTime   = "20060102T150405Z"
)

// Rotated says what RotateKeys did.
type Rotated struct {
	Keys *NewKeys `json:"keys"`
	// OldKey is where the former signing public key is kept, relative to the
	// folder that holds KeysDir; "" when there was none. Its signatures up to
	// now stay good.
	OldKey string `json:"old_key,omitempty"`
	// Until is when the old key ended.
	Until string `json:"until,omitempty"`
}

// RotateKeys makes new keys for a project, or for a user without one. The old
// public key stays trusted with an end, so that what it has signed stays good:
// by an entry of trust:, and for a user by the name of its folder. The old
// private keys are gone. A key that somebody else may hold must be withdrawn
// besides.
//
// What has been signed can be verified at every moment of it. One that was
// interrupted goes on when it is called again; until then nothing is signed.
func (p *Project) RotateKeys(ask Ask, now time.Time) (*Rotated, error) {
	r := &rotation{Project: p, ask: ask, now: now.UTC()}
	if err := r.check(); err != nil {
		return nil, err
	}
	for _, step := range r.steps() {
		if err := step(); err != nil && p.rotating() {
			return nil, fault.Failedf("rotating keys: the new ones are made but not all in place").Because(err).
				WithHint("mend that and go on: %s", p.rotateCommand())
		} else if err != nil {
			return nil, fmt.Errorf("rotating keys: %w", err)
		}
	}
	return &r.done, nil
}

// rotating says whether new keys are made and not all in place. The private
// signing key is the last one that is put there.
func (p *Project) rotating() bool {
	return exists(filepath.Join(p.KeysDir(), nextKeys, signingPrivate))
}

// rotateCommand is what the user types to rotate this project's keys.
func (p *Project) rotateCommand() string {
	return strings.TrimRight("imgbuild init --rotate-keys "+p.Dir, " ")
}

// rotation is the replacing of keys by new ones, the first ones included.
type rotation struct {
	*Project
	ask  Ask
	now  time.Time
	done Rotated
}

// check refuses what could not be done to its end, before anything is made.
func (r *rotation) check() error {
	own := filepath.Join(r.KeysDir(), signingPublic)
	if r.Dir == "" && !exists(own) && !r.rotating() {
		return fault.Inputf("rotating keys: this is no project, and you have no keys of your own in %s", r.KeysDir()).
			WithHint("give the project's directory: imgbuild init --rotate-keys DIR")
	}
	listed := r.entriesOf(own)
	if r.Dir != "" && len(listed) == 0 {
		return fault.Inputf("rotating keys: trust: in %s does not list the project's own key, so nothing would trust the new one", r.File).
			WithHint("add it:\ntrust:\n  - name: this project\n    key: keys/%s", signingPublic)
	}
	for _, entry := range listed {
		if entry.Withdrawn != "" || entry.NotAfter != "" {
			return fault.Inputf("rotating keys: the entry %q under trust: in %s has an end, which would be the new key's too", entry.Name, r.File).
				WithHint("take not-after: and withdrawn: out of it, rotate, and put them into the entry that is added for the old key")
		}
	}
	if len(listed) == 0 {
		return nil
	}
	text, err := os.ReadFile(r.File)
	if err != nil {
		return fmt.Errorf("rotating keys: %w", err)
	}
	if !trustLine.Match(text) {
		return fault.Inputf("rotating keys: %s has no line \"trust:\" with a list below it, to which the old key could be added", r.File).
			WithHint("write the list with one key a line:\ntrust:\n  - name: this project\n    key: keys/%s", signingPublic)
	}
	return nil
}

// entriesOf returns the entries of trust: that name a key's file.
func (r *rotation) entriesOf(file string) []TrustConfig {
	var out []TrustConfig
	for _, entry := range r.Config.Trust {
		if filepath.Clean(entry.Key) == file {
			out = append(out, entry)
		}
	}
	return out
}

// steps returns what is to be done, in order. Each step is done whole or not at
// all, and doing one again changes nothing: whatever comes between two of them,
// a later rotation starts over and comes to the same end.
func (r *rotation) steps() []func() error {
	steps := []func() error{r.stage, r.retire, r.trust}
	// The private signing key comes last: it is what rotating looks at.
	for _, name := range []string{openpgpPublic, openpgpPrivate, signingPublic, signingPrivate} {
		steps = append(steps, func() error {
			return ignoreMissing(os.Rename(r.next(name), filepath.Join(r.KeysDir(), name)))
		})
	}
	return append(steps, func() error { return os.RemoveAll(r.next("")) })
}

func (r *rotation) next(name string) string { return filepath.Join(r.KeysDir(), nextKeys, name) }

// stage makes the new keys beside the old ones, or reads what an interrupted
// rotation has made.
func (r *rotation) stage() error {
	if r.rotating() {
		text, err := os.ReadFile(r.next(rotationFile))
		if err == nil {
			err = json.Unmarshal(text, &r.done)
		}
		if err != nil {
			return fmt.Errorf("reading how the rotation began: %w", err)
		}
		return nil
	}
	draft := r.next("") + ".new"
	for _, left := range []string{draft, r.next("")} {
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	keys, err := r.generateKeys(draft, r.ask)
	if err != nil {
		return err
	}
	r.done.Keys = keys
	if exists(filepath.Join(r.KeysDir(), signingPublic)) {
		old, err := r.retiredFile()
		if err != nil {
			return err
		}
		r.done.OldKey, r.done.Until = old, r.now.Format(time.RFC3339)
	}
	text, err := json.Marshal(r.done)
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(draft, rotationFile), text, 0o644); err != nil {
		return err
	}
	return os.Rename(draft, r.next(""))
}

// retiredFile is where the old signing key's public part goes.
func (r *rotation) retiredFile() (string, error) {
	file := filepath.Join(filepath.Base(r.KeysDir()), retiredPrefix+r.now.Format(retiredTime), signingPublic)
	if exists(r.oldKey(file)) {
		return "", fault.Failedf("%s is there already: keys were rotated in this very second", file)
	}
	return file, nil
}

// oldKey makes the path of an old key absolute.
func (r *rotation) oldKey(file string) string { return filepath.Join(filepath.Dir(r.KeysDir()), file) }

// retire keeps the old public keys. For a user without a project that alone
// gives the old signing key its end; its file is therefore the last.
func (r *rotation) retire() error {
	if r.done.OldKey == "" || !exists(r.next(signingPublic)) {
		return nil
	}
	folder := filepath.Dir(r.oldKey(r.done.OldKey))
	for _, name := range []string{openpgpPublic, signingPublic} {
		text, err := os.ReadFile(filepath.Join(r.KeysDir(), name))
		if errors.Is(err, fs.ErrNotExist) || name == openpgpPublic && !exists(r.next(name)) {
			continue // there was none, or what is there is the new one
		}
		if err != nil {
			return err
		}
		if err := replaceFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var (
	trustLine = regexp.MustCompile(`(?m)^trust:[ \t]*(?:#.*)?\n`)
	itemLine  = regexp.MustCompile(`^(?:[ \t]*(?:#.*)?\n)*([ \t]*)- `)
)

// trust puts an entry for the old key at the top of trust: for each one that
// names the file of the project's key, leaving every other byte of
// imgbuild.yaml as the user wrote it.
func (r *rotation) trust() error {
	listed, old := r.entriesOf(filepath.Join(r.KeysDir(), signingPublic)), r.oldKey(r.done.OldKey)
	if r.done.OldKey == "" || len(listed) == 0 || len(r.entriesOf(old)) > 0 {
		return nil
	}
	info, err := os.Stat(r.File)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(r.File)
	if err != nil {
		return err
	}
	at := trustLine.FindIndex(text)
	if at == nil {
		return fault.Inputf("%s has no line \"trust:\" any more", r.File)
	}
	indent := "  "
	if item := itemLine.FindSubmatch(text[at[1]:]); item != nil {
		indent = string(item[1])
	}
	var added strings.Builder
	for _, entry := range listed {
		fmt.Fprintf(&added, "%s- name: until %s\n", indent, r.done.Until)
		fmt.Fprintf(&added, "%s  key: %s\n", indent, quoted(r.asWritten(old)))
		if entry.Catalog != "" {
			fmt.Fprintf(&added, "%s  catalog: %s\n", indent, quoted(r.asWritten(entry.Catalog)))
		}
		fmt.Fprintf(&added, "%s  not-after: %s\n", indent, r.done.Until)
	}
	return replaceFile(r.File, append(append(text[:at[1]:at[1]], added.String()...), text[at[1]:]...), info.Mode().Perm())
}

// asWritten makes a path in the project relative again, for imgbuild.yaml.
func (r *rotation) asWritten(place string) string {
	if r.Dir != "" && !IsRegistry(place) {
		if relative, err := filepath.Rel(r.Dir, place); err == nil && filepath.IsLocal(relative) {
			return relative
		}
	}
	return place
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9./][A-Za-z0-9/._-]*$`)

// quoted writes a path for YAML, plainly where it can be.
func quoted(path string) string {
	if plainPath.MatchString(path) {
		return path
	}
	return fmt.Sprintf("%q", path)
}
