// Package integrity says what files an image consists of: the entry of one
// file, the manifest of all of them, the classes of paths (immutable, seeded
// at first boot, variable), and the comparison of two manifests. It reads and
// writes manifests; it never walks a file system itself.
package integrity

import "io/fs"

// Entry is one file of a root filesystem, whatever its type.
type Entry struct {
	// Path is relative to the root, slash-separated, without a leading slash;
	// the root directory itself is ".".
	Path string
	// Class is what may happen to the file on a running system; NewManifest
	// sets it by its rules.
	Class Class
	// Mode holds type and permission bits as io/fs has them, setuid, setgid
	// and sticky included.
	Mode fs.FileMode
	// UID and GID are the owner's numbers inside the image.
	UID, GID int
	// Size is the content's length in bytes; 0 unless the file is regular.
	Size int64
	// ModTime is in whole seconds since 1970.
	ModTime int64
	// SHA256 is the content's digest in lower-case hex; empty unless the file
	// is regular.
	SHA256 string
	// Target is where a symbolic link points; empty otherwise.
	Target string
	// HardLink is the Path of the first entry (in path order) that shares this
	// file's inode; empty for that first entry and for single links.
	HardLink string
	// Major and Minor are the numbers of a device node.
	Major, Minor uint32
	// Xattrs holds extended attributes by full name ("security.capability",
	// "user.x"); nil when there are none. ACLs appear as
	// "system.posix_acl_access" and "system.posix_acl_default".
	Xattrs map[string]string
}
