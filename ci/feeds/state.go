package feeds

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"imgbuild/images/strictjson"
)

// stateVersion is that of the form of a state file.
const stateVersion = 1

// Limits on a state. A feed of one file an advisory has some 30,000.
const (
	maxState  = 64 << 20
	maxFiles  = 100_000
	maxAlarms = 100
	maxText   = 4096
)

// State is what is known of a feed without asking its source.
type State struct {
	Version int    `json:"version"`
	Feed    string `json:"feed"`
	Kind    Kind   `json:"kind"`
	// From is the place that it was last read from, without a password.
	From string `json:"from,omitempty"`
	// Tried is when its source was last asked, and Read when what is kept was last
	// found to be what the source has. Read is zero when nothing is kept.
	Tried time.Time `json:"tried,omitzero"`
	Read  time.Time `json:"read,omitzero"`
	// AsOf is the newest date in what is kept, else when its source says that it
	// was last changed, else when it first came.
	AsOf time.Time `json:"as_of,omitzero"`
	// Records is how many it has, and Peak the most that it ever had.
	Records int `json:"records"`
	Peak    int `json:"peak"`
	// Bytes and Digest are of what is kept.
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest,omitempty"`
	Files  []File `json:"files,omitempty"`
	// Alarms are what was wrong when it was last tried.
	Alarms []Alarm `json:"alarms,omitempty"`
}

// File is one file of a feed, as it was received.
type File struct {
	// Name is how the source calls it.
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
	// ETag and Modified are what the server said of it (RFC 9110 section 8.8).
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"last_modified,omitempty"`
}

// Kept says whether there is data.
func (s *State) Kept() bool { return len(s.Files) > 0 }

// sumOf is the digest of a set of files: of their names and digests, in order.
func sumOf(files []File) string {
	sum := sha256.New()
	for _, f := range files {
		fmt.Fprintf(sum, "%s  %s\n", f.SHA256, f.Name)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// setFiles has the state speak of files.
func (s *State) setFiles(files []File) {
	s.Files, s.Digest, s.Bytes = files, sumOf(files), 0
	for _, f := range files {
		s.Bytes += f.Bytes
	}
}

// file is the one with a name; nil when there is none.
func (s *State) file(name string) *File {
	if i := slices.IndexFunc(s.Files, func(f File) bool { return f.Name == name }); i >= 0 {
		return &s.Files[i]
	}
	return nil
}

// ParseState reads a state. It believes nothing that does not hold together.
func ParseState(data []byte) (*State, error) {
	if len(data) > maxState {
		return nil, fmt.Errorf("reading a feed's state: it has more than %d bytes", maxState)
	}
	var s State
	if err := strictjson.Read(data, &s); err != nil {
		return nil, fmt.Errorf("reading a feed's state: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("reading a feed's state: %w", err)
	}
	return &s, nil
}

func (s *State) check() error {
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("it is of version %d, and this program reads version %d", s.Version, stateVersion)
	case !feedName.MatchString(s.Feed):
		return fmt.Errorf("%.70q is no name of a feed", s.Feed)
	case s.Kind.traits().largest == 0:
		return fmt.Errorf("the kind %.70q is not known", s.Kind)
	case len(s.Files) > maxFiles || len(s.Alarms) > maxAlarms:
		return fmt.Errorf("it has %d files and %d alarms, the limits are %d and %d", len(s.Files), len(s.Alarms), maxFiles, maxAlarms)
	case s.Records < 0 || s.Peak < s.Records:
		return fmt.Errorf("it says %d records, of %d at most", s.Records, s.Peak)
	case s.Read.IsZero() == s.Kept():
		return errors.New("it says when it was read, or has files, but not both")
	}
	// Sizes have limits, so that their sum is one.
	if err := checkFiles(s.Files); err != nil {
		return err
	}
	whole := State{}
	whole.setFiles(s.Files)
	if s.Kept() && (whole.Digest != s.Digest || whole.Bytes != s.Bytes) {
		return errors.New("its digest is not that of its files")
	}
	return nil
}

func checkFiles(files []File) error {
	names := map[string]bool{}
	for _, f := range files {
		switch {
		case cleanName(f.Name) != f.Name:
			return fmt.Errorf("%.70q is no name of a file", f.Name)
		case names[f.Name]:
			return fmt.Errorf("the file %q is there twice", f.Name)
		case !digest.MatchString(f.SHA256):
			return fmt.Errorf("%s has the digest %.70q, which is none", f.Name, f.SHA256)
		case f.Bytes <= 0 || f.Bytes > maxBundle:
			return fmt.Errorf("%s has %d bytes", f.Name, f.Bytes)
		case len(f.ETag) > maxText || len(f.Modified) > maxText:
			return fmt.Errorf("what a server said of %s is too long", f.Name)
		}
		names[f.Name] = true
	}
	return nil
}

// writeState puts a state in the place of the one before, whole or not at all,
// even when the machine stops in the middle.
func writeState(path string, s *State) error {
	s.Version = stateVersion
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing a feed's state: %w", err)
	}
	if err := replace(path, append(text, '\n')); err != nil {
		return fmt.Errorf("writing a feed's state: %w", err)
	}
	return nil
}

// replace writes a file in the place of another. Only who holds the folder does.
func replace(path string, data []byte) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return move(path+".new", path)
}
