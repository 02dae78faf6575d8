package accounts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// renumber changes numbers of users and groups in the account files and on
// every file of the root: owners and access control lists.
func renumber(root *os.Root, dir string, users, groups map[int]int) error {
	for name, columns := range map[string]map[int]map[int]int{
		"etc/passwd": {2: users, 3: groups}, "etc/group": {2: groups},
		"etc/passwd-": {2: users, 3: groups}, "etc/group-": {2: groups},
	} {
		if err := renumberFile(root, name, columns); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return renumberOwner(path, info, users, groups)
	})
}

// renumberFile maps columns of a colon-separated file.
func renumberFile(root *os.Root, name string, columns map[int]map[int]int) error {
	data, err := readFile(root, name)
	if err != nil || data == nil {
		return err
	}
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines {
		f := strings.Split(line, ":")
		for column, moves := range columns {
			if column >= len(f) {
				continue
			}
			n, err := strconv.Atoi(f[column])
			if to, ok := moves[n]; ok && err == nil {
				f[column] = strconv.Itoa(to)
			}
		}
		lines[i] = strings.Join(f, ":")
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(lines, ""))
	return errors.Join(err, f.Close())
}

// renumberOwner changes one file. Changing the owner clears set-id bits and
// capabilities, so those are put back.
func renumberOwner(path string, info fs.FileInfo, users, groups map[int]int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: owner is unknown", path)
	}
	link := info.Mode()&fs.ModeSymlink != 0
	if !link {
		for _, name := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
			if err := renumberACL(path, name, users, groups); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	uid, moveUser := users[int(st.Uid)]
	gid, moveGroup := groups[int(st.Gid)]
	if !moveUser && !moveGroup {
		return nil
	}
	if !moveUser {
		uid = -1
	}
	if !moveGroup {
		gid = -1
	}
	var capability []byte
	if info.Mode().IsRegular() {
		var err error
		if capability, err = getXattr(path, "security.capability"); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := unix.Lchown(path, uid, gid); err != nil {
		return fmt.Errorf("changing owner of %s: %w", path, err)
	}
	if !link {
		if err := unix.Chmod(path, st.Mode&0o7777); err != nil {
			return fmt.Errorf("changing mode of %s: %w", path, err)
		}
	}
	if capability != nil {
		if err := unix.Lsetxattr(path, "security.capability", capability, 0); err != nil {
			return fmt.Errorf("restoring capabilities of %s: %w", path, err)
		}
	}
	return nil
}

// The layout of an access control list's extended attribute
// (linux/posix_acl_xattr.h): a version, then entries of tag, permissions, id.
const (
	aclHeader = 4
	aclEntry  = 8
	aclUser   = 0x02
	aclGroup  = 0x08
)

func renumberACL(path, name string, users, groups map[int]int) error {
	list, err := getXattr(path, name)
	if err != nil || list == nil {
		return err
	}
	changed := false
	for at := aclHeader; at+aclEntry <= len(list); at += aclEntry {
		moves := map[int]int(nil)
		switch binary.LittleEndian.Uint16(list[at:]) {
		case aclUser:
			moves = users
		case aclGroup:
			moves = groups
		}
		if to, ok := moves[int(binary.LittleEndian.Uint32(list[at+4:]))]; ok {
			binary.LittleEndian.PutUint32(list[at+4:], uint32(to))
			changed = true
		}
	}
	if !changed {
		return nil
	}
	return unix.Lsetxattr(path, name, list, 0)
}

// getXattr returns an extended attribute; nil when the file has none of that name.
func getXattr(path, name string) ([]byte, error) {
	buf := make([]byte, 4096)
	n, err := unix.Lgetxattr(path, name, buf)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return buf[:n], nil
}
