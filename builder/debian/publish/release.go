package publish

import (
	"fmt"
	"strings"
	"time"

	"imgbuild/images/signing"
)

// releaseTime is the form of dates in a release (RFC 1123, always UTC).
const releaseTime = "Mon, 02 Jan 2006 15:04:05 UTC"

// release is the text of the release file.
func (s *Snapshot) release(listed []listedFile) string {
	var w strings.Builder
	fmt.Fprintf(&w, "Origin: imgbuild\nLabel: %s\nSuite: %s\nCodename: %[2]s\n", s.Name, s.Suite)
	fmt.Fprintf(&w, "Date: %s\n", s.Date.Format(releaseTime))
	if !s.ValidUntil.IsZero() {
		fmt.Fprintf(&w, "Valid-Until: %s\n", s.ValidUntil.Format(releaseTime))
	}
	// Packages for all architectures are in the index of each, as in Debian.
	fmt.Fprintf(&w, "Acquire-By-Hash: yes\nNo-Support-for-Architecture-all: Packages\nArchitectures: %s\nComponents: %s\n",
		s.Architecture, strings.Join(s.Components, " "))
	fmt.Fprintf(&w, "Description: the packages of the lock of %s, sha256 %s\nSHA256:\n", s.Name, s.Lock)
	for _, f := range listed {
		fmt.Fprintf(&w, " %s %d %s\n", f.SHA256, f.Size, f.name)
	}
	return w.String()
}

// sign adds the release and its signatures. They are dated by the lock, so that
// they are the same each time; a key that was made later signs as of then, for no
// signature may be older than its key.
func (s *Snapshot) sign(key *signing.PGPKey, listed []listedFile) error {
	text, at := []byte(s.release(listed)), s.Date
	if made := key.Created(); made.After(at) {
		at = made
	}
	clear, err := key.ClearSign(text, at)
	if err != nil {
		return err
	}
	detached, err := key.DetachSign(text, at)
	if err != nil {
		return err
	}
	s.keep(s.dist("Release"), text)
	s.keep(s.dist("InRelease"), clear)
	s.keep(s.dist("Release.gpg"), detached)
	return nil
}

// Sources is what a server that installs from the snapshot gets into
// /etc/apt/sources.list.d, in the form of deb822: base is the repository's
// address and key the path of the public key on that server.
func (s *Snapshot) Sources(base, key string) string {
	return fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nArchitectures: %s\nSigned-By: %s\n",
		base, s.Suite, s.Components[0], s.Architecture, key)
}

// Expired says whether apt refuses the snapshot by now.
func (s *Snapshot) Expired(now time.Time) bool {
	return !s.ValidUntil.IsZero() && now.After(s.ValidUntil)
}
