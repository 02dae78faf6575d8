package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"imgbuild/images/signing"
)

// Edition is a snapshot under one name, signed for one time. The name is in what is
// signed, for one key signs all that a project publishes: apt takes a release of
// another name at a known address for a change that a person has to accept, and
// warns at one that it does not know.
type Edition struct {
	*Snapshot
	// Name is that of the folder, of the suite and of the label.
	Name string
	// ValidUntil is until when apt takes it; zero when it has no end.
	ValidUntil time.Time

	files map[string]File
}

// Term is for how long editions are signed.
type Term struct {
	// At is when they are.
	At time.Time
	// Valid is how long apt may use one without another; 0 means for ever.
	Valid time.Duration
}

// renewal is how often what has an end is signed anew at least: each day, or twice
// in a shorter term.
func (t Term) renewal() time.Duration { return min(24*time.Hour, t.Valid/2) }

// begin is when a term begins: the times of one renewal have one beginning, so that
// all who sign a snapshot then make the same bytes.
func (t Term) begin() time.Time {
	if t.Valid == 0 {
		return time.Time{}
	}
	return t.At.UTC().Truncate(t.renewal())
}

// Sign makes the edition of a snapshot under a name. Without an end the same lock,
// name and key make the same bytes; with one, as often as it is renewed.
func (s *Snapshot) Sign(key *signing.PGPKey, name string, term Term) (*Edition, error) {
	e := &Edition{Snapshot: s, Name: name, files: maps.Clone(s.pool)}
	if term.Valid > 0 {
		e.ValidUntil = term.begin().Add(term.Valid)
	}
	// No signature is older than its key, or than what it is of.
	at := s.Date
	for _, other := range []time.Time{term.begin(), key.Created()} {
		if other.After(at) {
			at = other
		}
	}
	text := []byte(e.release())
	clear, err := key.ClearSign(text, at)
	if err != nil {
		return nil, err
	}
	detached, err := key.DetachSign(text, at)
	if err != nil {
		return nil, err
	}
	// The suite is the name; Debian's own is for tools that know systems by it.
	for _, suite := range []string{name, s.Codename} {
		dist := path.Join("dists", suite)
		for _, f := range s.indexes {
			e.files[path.Join(dist, f.name)] = f.File
			e.files[path.Join(dist, path.Dir(f.name), byHash, f.SHA256)] = f.File
		}
		e.files[path.Join(dist, "Release")] = made(text)
		e.files[path.Join(dist, "InRelease")] = made(clear)
		e.files[path.Join(dist, "Release.gpg")] = made(detached)
	}
	return e, nil
}

// byHash is the folder of indexes by their digests, so that no client mixes two
// states of a snapshot.
const byHash = "by-hash/SHA256"

// releaseTime is the form of dates in a release (RFC 1123, always UTC).
const releaseTime = "Mon, 02 Jan 2006 15:04:05 UTC"

// release is the text of the release file.
func (e *Edition) release() string {
	var w strings.Builder
	fmt.Fprintf(&w, "Origin: imgbuild\nLabel: %s\nSuite: %[1]s\nCodename: %s\n", e.Name, e.Codename)
	fmt.Fprintf(&w, "Date: %s\n", e.Date.Format(releaseTime))
	if !e.ValidUntil.IsZero() {
		fmt.Fprintf(&w, "Valid-Until: %s\n", e.ValidUntil.Format(releaseTime))
	}
	// Packages for all architectures are in the index of each, as in Debian.
	fmt.Fprintf(&w, "Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nArchitectures: %s\nComponents: %s\n",
		e.Architecture, strings.Join(e.Components, " "))
	fmt.Fprintf(&w, "Description: the packages of the lock of %s, sha256 %s\nSHA256:\n", e.Snapshot.Name, e.Lock)
	for _, f := range e.indexes {
		fmt.Fprintf(&w, " %s %d %s\n", f.SHA256, f.Size, f.name)
	}
	return w.String()
}

// Sources is what a server that installs from the edition gets into
// /etc/apt/sources.list.d, in the form of deb822: base is the repository's
// address and key the path of the public key on that server.
func (e *Edition) Sources(base, key string) string {
	return fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nArchitectures: %s\nSigned-By: %s\n",
		base, e.Name, e.Components[0], e.Architecture, key)
}

// Preferences is what a server gets into /etc/apt/preferences.d so that apt installs
// from this edition and from no other that the same key signs (apt_preferences(5)).
func (e *Edition) Preferences() string {
	return fmt.Sprintf("Package: *\nPin: release o=imgbuild, l=%s\nPin-Priority: 500\n\nPackage: *\nPin: release o=imgbuild\nPin-Priority: -1\n", e.Name)
}

// Files gives the files by path relative to the repository's root, sorted.
func (e *Edition) Files() iter.Seq2[string, File] {
	return func(yield func(string, File) bool) {
		for _, name := range slices.Sorted(maps.Keys(e.files)) {
			if !yield(name, e.files[name]) {
				return
			}
		}
	}
}

// File returns one file; the error wraps fs.ErrNotExist when there is none.
func (e *Edition) File(name string) (File, error) {
	f, ok := e.files[name]
	if !ok {
		return f, fs.ErrNotExist
	}
	return f, nil
}

// made is a file that is made here.
func made(data []byte) File {
	sum := sha256.Sum256(data)
	return File{Data: data, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data))}
}
