// Package file holds the resources that are files: files and single lines of
// them, directories and trees copied from the project, symbolic links. It runs
// no commands and knows no file formats.
package file

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/provisioners/account"
	"imgbuild/provisioners/system"
)

// Mode is permission bits, written in octal: 0644, "4755".
type Mode fs.FileMode

// UnmarshalNode reads three or four octal digits, quoted or not.
func (m *Mode) UnmarshalNode(n *node.Node) error {
	bits, err := strconv.ParseUint(n.Text, 8, 12)
	if err != nil || len(n.Text) < 3 || len(n.Text) > 4 || n.Kind != node.Int && n.Kind != node.String {
		return node.Errorf(n.Pos, "expected a mode of three or four octal digits such as 0644, found %q", n.Text)
	}
	*m = Mode(fs.FileMode(bits & 0o777))
	for bit, flag := range map[uint64]fs.FileMode{
		0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky,
	} {
		if bits&bit != 0 {
			*m |= Mode(flag)
		}
	}
	return nil
}

func (m Mode) String() string {
	bits := uint32(fs.FileMode(m).Perm())
	for bit, flag := range map[uint32]fs.FileMode{
		0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky,
	} {
		if fs.FileMode(m)&flag != 0 {
			bits |= bit
		}
	}
	return fmt.Sprintf("%04o", bits)
}

// MarshalJSON writes the octal digits.
func (m Mode) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// Attributes are who may do what with a file.
type Attributes struct {
	Owner string `json:"owner,omitempty" jsonschema_description:"user, by name or number; default root"`
	Group string `json:"group,omitempty" jsonschema_description:"group, by name or number; default root"`
	Mode  *Mode  `json:"mode,omitempty" jsonschema_description:"octal digits such as 0644"`
}

// want turns names into numbers; what is not given comes from base. On Windows
// nothing can be given, and nothing is wanted.
func (a Attributes) want(r system.Reader, base system.Attr) (system.Attr, error) {
	if os := system.OSOf(r); os != system.Linux {
		if a.Owner != "" || a.Group != "" || a.Mode != nil {
			return base, fmt.Errorf("files of %s have neither owner, group nor mode as they are meant here: leave them out", os)
		}
		return system.Attr{}, nil
	}
	var err error
	if a.Owner != "" {
		if base.UID, err = account.UserID(r, a.Owner); err != nil {
			return base, err
		}
	}
	if a.Group != "" {
		if base.GID, err = account.GroupID(r, a.Group); err != nil {
			return base, err
		}
	}
	if a.Mode != nil {
		base.Mode = fs.FileMode(*a.Mode)
	}
	return base, nil
}

// compare lists in what a file's attributes differ from want.
func compare(name string, have system.Info, want system.Attr) []system.Difference {
	var list []system.Difference
	if have.UID != want.UID {
		list = append(list, system.Difference{Subject: name + ": owner", Have: strconv.Itoa(have.UID), Want: strconv.Itoa(want.UID)})
	}
	if have.GID != want.GID {
		list = append(list, system.Difference{Subject: name + ": group", Have: strconv.Itoa(have.GID), Want: strconv.Itoa(want.GID)})
	}
	if system.Bits(have.Mode) != system.Bits(want.Mode) {
		list = append(list, system.Difference{Subject: name + ": mode", Have: Mode(system.Bits(have.Mode)).String(), Want: Mode(want.Mode).String()})
	}
	return list
}

// settle gives a file that exists its attributes.
func settle(s system.System, name string, have system.Info, want system.Attr) error {
	if have.UID != want.UID || have.GID != want.GID {
		if err := s.Chown(name, want.UID, want.GID); err != nil {
			return err
		}
	}
	if system.Bits(have.Mode) != system.Bits(want.Mode) {
		return s.Chmod(name, want.Mode)
	}
	return nil
}

// checkPath refuses names that do not say one place.
func checkPath(pos node.Position, name string) error {
	switch {
	case !path.IsAbs(name) || path.Clean(name) != name || name == "/" || strings.ContainsAny(name, "\x00\n"):
		return node.Errorf(pos, "expected an absolute path without . and .. or a slash at its end, found %q", name)
	case len(name) > 1024:
		return node.Errorf(pos, "the path is longer than 1024 bytes")
	}
	return nil
}

// checkAbsent refuses anything beside absent.
func checkAbsent(n *node.Node) error {
	if len(n.Entries) > 1 {
		return node.Errorf(n.At("absent"), `nothing goes with "absent"`)
	}
	return nil
}

// kind names a file type for people.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a regular file"
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	default:
		return "a special file"
	}
}
