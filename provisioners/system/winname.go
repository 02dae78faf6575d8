package system

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf16"
)

// OS is the operating system that a system is of.
type OS string

// The operating systems that are known.
const (
	Linux   OS = "Linux"
	Windows OS = "Windows"
)

// OSOf tells which operating system a system is of: Linux, unless it says
// otherwise. Files of Windows have neither a mode nor owners' numbers: those of
// Info are 0 there, and who may do what is an attribute (see Xattrs of Root). A
// reader that wraps another one shows it with Unwrap.
func OSOf(r Reader) OS {
	for {
		switch at := r.(type) {
		case interface{ OS() OS }:
			return at.OS()
		case interface{ Unwrap() Reader }:
			r = at.Unwrap()
		default:
			return Linux
		}
	}
}

// isDrive tells whether a name is that of a drive: C:.
func isDrive(name string) bool {
	return len(name) == 2 && name[1] == ':' && ('A' <= name[0] && name[0] <= 'Z' || 'a' <= name[0] && name[0] <= 'z')
}

// checkWindowsName refuses a part of a path that Windows takes for more than one
// name: another separator, a stream of a file's, a pattern. [MS-FSCC] 2.1.5.
func checkWindowsName(name string) error {
	if strings.ContainsAny(name, "\\/:*?\"<>|") || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
		return fs.ErrInvalid
	}
	return nil
}

// checkNewWindowsName refuses besides what programs on Windows could not open
// again, or would take for a device. "Naming Files, Paths, and Namespaces" in
// Microsoft's documentation.
func checkNewWindowsName(name string) error {
	if name == "" || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
		return fs.ErrInvalid
	}
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return fs.ErrInvalid
	}
	if port, ok := strings.CutPrefix(stem, "COM"); ok || strings.HasPrefix(stem, "LPT") {
		if !ok {
			port = stem[3:]
		}
		if port != "" && strings.Contains("0123456789¹²³", port) {
			return fs.ErrInvalid
		}
	}
	return checkWindowsName(name)
}

// The tags of reparse points that are links, and the bit of all tags whose file
// stands for another one; [MS-FSCC] 2.1.2.1.
const (
	tagMountPoint = 0xA0000003
	tagSymlink    = 0xA000000C
	tagSurrogate  = 0x20000000
)

// linkTarget reads where a symbolic link or a junction leads from the data of its
// reparse point ([MS-FSCC] 2.1.2.4, 2.1.2.5), as a name of the form that Readlink
// gives: /C:/x, or relative as in a/b. What cannot be said so, such as a share
// of another machine, is returned as it is written, with backslashes.
func linkTarget(data []byte) (string, error) {
	malformed := errors.New("the reparse point is malformed")
	if len(data) < 16 {
		return "", malformed
	}
	tag := binary.LittleEndian.Uint32(data)
	length := int(binary.LittleEndian.Uint16(data[4:]))
	offset, size := int(binary.LittleEndian.Uint16(data[8:])), int(binary.LittleEndian.Uint16(data[10:]))
	if length > len(data)-8 {
		return "", malformed
	}
	names := data[16 : 8+max(length, 8)]
	relative := false
	switch tag {
	case tagMountPoint:
	case tagSymlink:
		if len(names) < 4 {
			return "", malformed
		}
		relative = binary.LittleEndian.Uint32(names)&1 != 0
		names = names[4:]
	default:
		return "", fmt.Errorf("a reparse point of the kind %#x is no link", tag)
	}
	if offset+size > len(names) || size%2 != 0 || size == 0 {
		return "", malformed
	}
	units := make([]uint16, size/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(names[offset+2*i:])
	}
	target := string(utf16.Decode(units))
	if strings.ContainsAny(target, "/\x00") { // neither is in a name of Windows
		return "", malformed
	}
	return slashed(target, relative), nil
}

// slashed turns a target as Windows writes it into a name with slashes, where
// there is one.
func slashed(target string, relative bool) string {
	rest := strings.TrimPrefix(target, `\??\`)
	switch {
	case relative && !strings.HasPrefix(rest, `\`) && !strings.Contains(rest, ":"):
		return strings.ReplaceAll(rest, `\`, "/")
	case !relative && len(rest) >= 2 && isDrive(rest[:2]) && (len(rest) == 2 || rest[2] == '\\') && !strings.Contains(rest[2:], ":"):
		return path.Clean("/" + strings.ReplaceAll(rest, `\`, "/"))
	}
	return target
}

// below gives the part of an absolute name that lies below dir, both as Windows
// compares names; false when it does not. dir is "" for the root of all drives.
func below(dir, name string) (string, bool) {
	if len(name) < len(dir) || !strings.EqualFold(name[:len(dir)], dir) {
		return "", false
	}
	rest := name[len(dir):]
	if rest == "" {
		return "/", true
	}
	return rest, rest[0] == '/'
}
