package system

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
)

var (
	errNoModes = errors.New("files of Windows have neither a mode nor owners' numbers")
	errNoLinks = errors.New("links cannot be made on Windows yet")
)

// inNew calls do with the directory that a name lies in and the name's last part.
func (r *Root) inNew(op, name string, do func(dir windows.Handle, base string) error) error {
	if err := check(op, name); err != nil {
		return err
	}
	err := r.in(op, path.Dir(name), Resolve[place], func(dir place) error {
		if dir.handle == 0 {
			return errNoDrive
		}
		if info, err := infoOf(dir.handle); err != nil || !info.Mode.IsDir() {
			return errors.Join(err, errNotDirectory)
		}
		if err := checkNewWindowsName(path.Base(name)); err != nil {
			return err
		}
		return do(dir.handle, path.Base(name))
	})
	var failed *fs.PathError
	if errors.As(err, &failed) {
		failed.Path = name
	}
	return err
}

// WriteFile implements System. A new file has the access list that its directory
// gives; one that is replaced passes its own on, and belongs to who writes it.
// Attr is not looked at.
func (r *Root) WriteFile(name string, content io.Reader, _ Attr) error {
	return r.inNew("write", name, func(dir windows.Handle, base string) error {
		temp := temporary(base)
		if err := removeAt(dir, temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing the remains of an earlier run: %w", err)
		}
		h, err := openAt(dir, temp, windows.FILE_GENERIC_WRITE|windows.FILE_READ_ATTRIBUTES|windows.WRITE_DAC|windows.DELETE,
			windows.FILE_CREATE, windows.FILE_NON_DIRECTORY_FILE)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(h), temp)
		_, err = io.Copy(f, content)
		if err == nil {
			err = passOn(dir, base, h)
		}
		if err == nil {
			err = rename(h, dir, base)
		}
		if err != nil {
			err = errors.Join(err, remove(h))
		}
		return errors.Join(err, f.Close())
	})
}

// passOn gives a file the access list of the one that it is about to replace, if
// that is a regular file.
func passOn(dir windows.Handle, base string, to windows.Handle) error {
	old, err := openAt(dir, base, windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES, windows.FILE_OPEN, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer windows.CloseHandle(old)
	info, err := infoOf(old)
	switch {
	case err != nil:
		return err
	case info.Mode.IsDir():
		return fs.ErrExist
	case !info.Mode.IsRegular():
		return nil
	}
	security, err := windows.GetSecurityInfo(old, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("reading the access list of what is replaced: %w", err)
	}
	control, _, err := security.Control()
	if err != nil {
		return fmt.Errorf("reading the access list of what is replaced: %w", err)
	}
	if control&windows.SE_DACL_AUTO_INHERITED != 0 {
		// Without this the mark of what came from the directory is not taken over.
		if err := security.SetControl(windows.SE_DACL_AUTO_INHERIT_REQ, windows.SE_DACL_AUTO_INHERIT_REQ); err != nil {
			return fmt.Errorf("passing on the access list of what is replaced: %w", err)
		}
	}
	if err := windows.SetKernelObjectSecurity(to, windows.DACL_SECURITY_INFORMATION, security); err != nil {
		return fmt.Errorf("passing on the access list of what is replaced: %w", err)
	}
	return nil
}

// Mkdir implements System. Attr is not looked at.
func (r *Root) Mkdir(name string, _ Attr) error {
	return r.inNew("mkdir", name, func(dir windows.Handle, base string) error {
		h, err := openAt(dir, base, windows.FILE_READ_ATTRIBUTES, windows.FILE_CREATE, windows.FILE_DIRECTORY_FILE)
		if err != nil {
			return err
		}
		return windows.CloseHandle(h)
	})
}

// Symlink implements System: it is refused.
func (r *Root) Symlink(_, name string) error {
	return &fs.PathError{Op: "symlink", Path: name, Err: errNoLinks}
}

// Chown implements System: it is refused.
func (r *Root) Chown(name string, _, _ int) error {
	return &fs.PathError{Op: "chown", Path: name, Err: errNoModes}
}

// Chmod implements System: it is refused.
func (r *Root) Chmod(name string, _ fs.FileMode) error {
	return &fs.PathError{Op: "chmod", Path: name, Err: errNoModes}
}

// Remove implements System. Of a link it removes the link.
func (r *Root) Remove(name string) error {
	err := r.inNew("remove", name, removeAt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// removeAt removes a file, or a directory with all below it.
func removeAt(dir windows.Handle, base string) error {
	h, err := openAt(dir, base, windows.DELETE|windows.FILE_READ_ATTRIBUTES, windows.FILE_OPEN, 0)
	if err != nil {
		return err
	}
	err = removeTree(h)
	return errors.Join(err, windows.CloseHandle(h))
}

func removeTree(h windows.Handle) error {
	info, err := infoOf(h)
	if err != nil {
		return err
	}
	if info.Mode.IsDir() {
		names, err := list(h)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := removeAt(h, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return remove(h)
}

// remove removes an open file at once where the file system can, else when all
// have closed it; [MS-FSCC] 2.4.11.
func remove(h windows.Handle) error {
	flags := uint32(windows.FILE_DISPOSITION_DELETE | windows.FILE_DISPOSITION_POSIX_SEMANTICS | windows.FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE)
	err := windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, (*byte)(unsafe.Pointer(&flags)), uint32(unsafe.Sizeof(flags)), windows.FileDispositionInformationEx)
	if unknown(err) {
		yes := byte(1)
		err = windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, &yes, 1, windows.FileDispositionInformation)
	}
	return plain(err)
}

// fileRenameInformationEx is the class with flags; [MS-FSCC] 2.4.38.
const fileRenameInformationEx = 65

// rename gives an open file a name in a directory, in place of what has it.
func rename(h, dir windows.Handle, base string) error {
	name := utf16.Encode([]rune(base))
	type head struct {
		flags     uint32
		directory windows.Handle
		length    uint32
	}
	const start = unsafe.Offsetof(head{}.length) + unsafe.Sizeof(head{}.length)
	size := max(int(start)+2*len(name), int(unsafe.Sizeof(head{})))
	buffer := make([]uint64, size/8+1) // aligned as the head is
	first := (*byte)(unsafe.Pointer(&buffer[0]))
	in := (*head)(unsafe.Pointer(first))
	in.flags = windows.FILE_RENAME_REPLACE_IF_EXISTS | windows.FILE_RENAME_POSIX_SEMANTICS | windows.FILE_RENAME_IGNORE_READONLY_ATTRIBUTE
	in.directory, in.length = dir, uint32(2*len(name))
	copy(unsafe.Slice((*uint16)(unsafe.Add(unsafe.Pointer(first), start)), len(name)), name)
	err := windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, first, uint32(size), fileRenameInformationEx)
	if unknown(err) {
		in.flags = 1 // ReplaceIfExists
		err = windows.NtSetInformationFile(h, &windows.IO_STATUS_BLOCK{}, first, uint32(size), windows.FileRenameInformation)
	}
	return plain(err)
}

// unknown tells whether a file system does not know what is asked.
func unknown(err error) bool {
	for _, status := range []windows.NTStatus{windows.STATUS_INVALID_INFO_CLASS, windows.STATUS_INVALID_PARAMETER, windows.STATUS_NOT_SUPPORTED, windows.STATUS_NOT_IMPLEMENTED} {
		if errors.Is(err, status) {
			return true
		}
	}
	return false
}
