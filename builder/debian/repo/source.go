package repo

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"strings"
)

// Source is one suite of one archive.
type Source struct {
	// Archive names the archive: debian, debian-security, or a recipe's source.
	Archive string
	// URL is the archive's root on the mirror: what dists/ and pool/ are in.
	URL string
	// Mirrored says that many mirrors serve this one archive, so that its name
	// tells it from others. Else the name is only what a recipe calls it, and
	// the URL tells.
	Mirrored bool
	// Suite is the code name or suite to read, and Components are its parts.
	Suite      string
	Components []string
	// Keys are the keys of which one must have signed the release.
	Keys Keyring
}

// Path is the InRelease file's path below the archive's root.
func (s Source) Path() string { return "dists/" + s.Suite + "/InRelease" }

// Address is what tells the archive from another one of the same name: its URL
// without what only opens it, such as a password, and "" when it is mirrored.
func (s Source) Address() string {
	u, err := url.Parse(s.URL)
	if s.Mirrored || err != nil {
		return ""
	}
	plain := url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: strings.TrimRight(u.Path, "/")}
	// Locks, which hold it, have no ampersands.
	return strings.ReplaceAll(plain.String(), "&", "%26")
}

// folder is where what was seen of the archive is kept.
func (s Source) folder() string {
	address := s.Address()
	if address == "" {
		return s.Archive
	}
	return fmt.Sprintf("%s-%x", s.Archive, sha256.Sum256([]byte(address)))[:len(s.Archive)+17]
}

// Index is what one suite offers for one architecture.
type Index struct {
	Source  Source
	Release *Release
	// Packages are in the order of the index files, which is the order of
	// Source.Components.
	Packages []Package
}
