package system

import "io/fs"

// The types and bits of a mode as Linux has them on disk and in stat(2);
// inode(7).
const (
	typeMask  = 0o170000
	socket    = 0o140000
	link      = 0o120000
	regular   = 0o100000
	block     = 0o060000
	directory = 0o040000
	character = 0o020000
	pipe      = 0o010000

	setuid = 0o4000
	setgid = 0o2000
	sticky = 0o1000
)

// FileMode turns a mode of Linux into io/fs's.
func FileMode(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0o777)
	switch m & typeMask {
	case regular:
	case directory:
		mode |= fs.ModeDir
	case link:
		mode |= fs.ModeSymlink
	case pipe:
		mode |= fs.ModeNamedPipe
	case socket:
		mode |= fs.ModeSocket
	case block:
		mode |= fs.ModeDevice
	case character:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	default:
		mode |= fs.ModeIrregular
	}
	if m&setuid != 0 {
		mode |= fs.ModeSetuid
	}
	if m&setgid != 0 {
		mode |= fs.ModeSetgid
	}
	if m&sticky != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
