package transfer

import (
	"fmt"
	"path"
	"regexp"
	"time"

	"imgbuild/images/bundle"
	"imgbuild/images/strictjson"
	"imgbuild/images/unzip"
)

const (
	manifestType    = "application/vnd.imgbuild.updates.v1+json"
	manifestVersion = 1
	// maxManifest is the most bytes of a manifest: a file takes about 120.
	maxManifest = 64 << 20
	maxLocks    = 10_000
	// maxLock, maxRecord and maxPackage are the most bytes of one.
	maxLock    = 16 << 20
	maxRecord  = 32 << 20
	maxPackage = 16 << 30
)

// form is what bundles of updates look like.
var form = bundle.Form{
	What:  "bundle of updates",
	Plain: "imgbuild-updates.json", Signed: "imgbuild-updates.dsse.json",
	Type: manifestType, MaxManifest: maxManifest, MaxBytes: 256 << 30, Made: made,
	Hints: struct{ Other, Unsigned, Untrusted string }{
		Other:    "imgbuild updates export makes one",
		Unsigned: "imgbuild updates export signs what it makes: have it made again",
		Untrusted: "ask who made it for their keys/signing.pub, compare its id, and add it to imgbuild.yaml:\n" +
			"trust:\n  - name: THEIR NAME\n    key: keys/THEIRS.pub\n    for: bundles",
	},
}

// Manifest is what a bundle says that it has.
type Manifest struct {
	Version int `json:"version"`
	// AsOf is the newest epoch of the locks: the same locks and records give the
	// same bytes, whenever they are packed.
	AsOf time.Time `json:"as_of"`
	// Locks are by name, Packages by digest, Records by digest.
	Locks    []Lock `json:"locks"`
	Packages []File `json:"packages"`
	Records  []File `json:"records,omitempty"`
}

// Lock is a lock's file.
type Lock struct {
	// Name is that of its file without the suffix.
	Name string `json:"name"`
	File
}

// File is a file by its content.
type File struct {
	// SHA256 is in lower-case hex, Bytes the length.
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// The names of entries.
func (l Lock) entry() string       { return path.Join("locks", l.Name+".lock") }
func packageEntry(f File) string   { return path.Join("sha256", f.SHA256[:2], f.SHA256) }
func recordEntry(f File) string    { return path.Join("records", recordName(f.SHA256)) }
func recordName(sum string) string { return sum + ".json" }

var (
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,159}$`)
)

// ParseManifest reads a manifest and checks that it holds together.
func ParseManifest(data []byte) (*Manifest, error) {
	m, err := parseManifest(data)
	if err != nil {
		return nil, fmt.Errorf("reading a bundle's manifest: %w", err)
	}
	return m, nil
}

func parseManifest(data []byte) (*Manifest, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", len(data), maxManifest)
	}
	var m Manifest
	if err := strictjson.Read(data, &m); err != nil {
		return nil, err
	}
	switch {
	case m.Version != manifestVersion:
		return nil, fmt.Errorf("it is of version %d, and this program reads version %d", m.Version, manifestVersion)
	case len(m.Locks) == 0 || len(m.Locks) > maxLocks:
		return nil, fmt.Errorf("it has %d locks, expected 1 to %d", len(m.Locks), maxLocks)
	case len(m.Locks)+len(m.Packages)+len(m.Records) >= unzip.MaxEntries:
		return nil, fmt.Errorf("it has more than %d files", unzip.MaxEntries-1)
	}
	last := ""
	for _, l := range m.Locks {
		if !nameForm.MatchString(l.Name) || l.Name <= last {
			return nil, fmt.Errorf("lock %.80q is no name, or out of order", l.Name)
		}
		if last = l.Name; !l.valid(maxLock) {
			return nil, fmt.Errorf("lock %s has no digest, or a wrong size", l.Name)
		}
	}
	for _, list := range []struct {
		what  string
		files []File
		most  int64
	}{{"package", m.Packages, maxPackage}, {"record", m.Records, maxRecord}} {
		last := ""
		for _, f := range list.files {
			if !f.valid(list.most) || f.SHA256 <= last {
				return nil, fmt.Errorf("%s %.80q has no digest, a wrong size, or is out of order", list.what, f.SHA256)
			}
			last = f.SHA256
		}
	}
	return &m, nil
}

func (f File) valid(most int64) bool {
	return digestForm.MatchString(f.SHA256) && f.Bytes > 0 && f.Bytes <= most
}

// made is the date that a manifest counts as signed at.
func made(payload []byte) (time.Time, error) {
	m, err := ParseManifest(payload)
	if err != nil {
		return time.Time{}, err
	}
	return m.AsOf, nil
}

// total is the bytes of all files.
func (m *Manifest) total() (n int64) {
	for _, l := range m.Locks {
		n += l.Bytes
	}
	for _, files := range [][]File{m.Packages, m.Records} {
		for _, f := range files {
			n += f.Bytes
		}
	}
	return n
}
