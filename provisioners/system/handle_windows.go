package system

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// shareAll lets others read, write and remove what is open here.
const shareAll = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE

// openDirectory opens a directory by a name of Windows', for its attributes.
func openDirectory(name string) (windows.Handle, error) {
	text, err := windows.UTF16PtrFromString(`\\?\` + name)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(text, windows.FILE_READ_ATTRIBUTES|windows.SYNCHRONIZE, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		return 0, err
	}
	info, err := infoOf(h)
	if err == nil && !info.Mode.IsDir() {
		err = errNotDirectory
	}
	if err != nil {
		return 0, errors.Join(err, windows.CloseHandle(h))
	}
	return h, nil
}

// openAt opens or makes the file of one name in a directory, never what a link
// of that name leads to. NtCreateFile takes the name word for word: none is a
// device, and none means the directory above.
func openAt(dir windows.Handle, name string, access, disposition, options uint32) (windows.Handle, error) {
	text, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return 0, err
	}
	attributes := &windows.OBJECT_ATTRIBUTES{RootDirectory: dir, ObjectName: text, Attributes: windows.OBJ_CASE_INSENSITIVE}
	attributes.Length = uint32(unsafe.Sizeof(*attributes))
	var h windows.Handle
	err = windows.NtCreateFile(&h, access|windows.SYNCHRONIZE, attributes, &windows.IO_STATUS_BLOCK{}, nil, windows.FILE_ATTRIBUTE_NORMAL, shareAll, disposition,
		options|windows.FILE_OPEN_REPARSE_POINT|windows.FILE_OPEN_FOR_BACKUP_INTENT|windows.FILE_SYNCHRONOUS_IO_NONALERT, 0, 0)
	return h, plain(err)
}

// reopen opens a file again, for more. It is the file itself, whatever has its
// name meanwhile.
func reopen(h windows.Handle, access, options uint32) (windows.Handle, error) {
	return openAt(h, "", access, windows.FILE_OPEN, options)
}

// plain gives the error that stands for the same in the rest of Windows, and that
// errors.Is knows.
func plain(err error) error {
	var status windows.NTStatus
	if errors.As(err, &status) {
		return status.Errno()
	}
	return err
}

// unixEpoch is 1970 in the time of Windows, which counts from 1601 by 100 ns.
const unixEpoch = 116444736000000000

func infoOf(h windows.Handle) (Info, error) {
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &d); err != nil {
		return Info{}, err
	}
	written := (int64(d.LastWriteTime.HighDateTime)<<32 | int64(d.LastWriteTime.LowDateTime)) - unixEpoch
	info := Info{
		ModTime:    time.Unix(written/1e7, written%1e7*100).Unix(),
		FileSystem: uint64(d.VolumeSerialNumber), Inode: uint64(d.FileIndexHigh)<<32 | uint64(d.FileIndexLow), Links: uint64(d.NumberOfLinks),
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		tag, err := reparseTag(h)
		switch {
		case err != nil:
			return Info{}, err
		case tag == tagSymlink || tag == tagMountPoint:
			info.Mode = fs.ModeSymlink
			return info, nil
		case d.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY == 0 || tag&tagSurrogate != 0:
			// What is read of it as it lies there would not be its content.
			info.Mode = fs.ModeIrregular
			return info, nil
		}
	}
	if d.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 {
		info.Mode = fs.ModeDir
		return info, nil
	}
	info.Size = int64(d.FileSizeHigh)<<32 | int64(d.FileSizeLow)
	return info, nil
}

// reparseTag says what kind of reparse point a file is.
func reparseTag(h windows.Handle) (uint32, error) {
	var found struct{ attributes, tag uint32 }
	err := windows.GetFileInformationByHandleEx(h, windows.FileAttributeTagInfo, (*byte)(unsafe.Pointer(&found)), uint32(unsafe.Sizeof(found)))
	return found.tag, err
}

// readLink reads where a link leads; see linkTarget.
func readLink(h windows.Handle) (string, error) {
	tag, err := reparseTag(h)
	if err != nil {
		return "", err
	}
	if tag != tagSymlink && tag != tagMountPoint {
		return "", fs.ErrInvalid
	}
	data := make([]byte, 16<<10) // MAXIMUM_REPARSE_DATA_BUFFER_SIZE
	var n uint32
	if err := windows.DeviceIoControl(h, windows.FSCTL_GET_REPARSE_POINT, nil, 0, &data[0], uint32(len(data)), &n, nil); err != nil {
		return "", err
	}
	return linkTarget(data[:n])
}

// attributes are those that Root's Xattrs gives.
func attributes(h windows.Handle) (map[string]string, error) {
	reader, err := reopen(h, windows.READ_CONTROL|windows.FILE_READ_ATTRIBUTES, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(reader)
	security, err := windows.GetSecurityInfo(reader, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.GROUP_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return nil, fmt.Errorf("reading who owns it: %w", err)
	}
	all := map[string]string{securityAttribute: security.String()}
	if all[securityAttribute] == "" {
		return nil, errors.New("who owns it cannot be written as text")
	}
	var d windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(reader, &d); err != nil {
		return nil, err
	}
	flags := ""
	for _, f := range []struct {
		bit  uint32
		name string
	}{{windows.FILE_ATTRIBUTE_READONLY, "R"}, {windows.FILE_ATTRIBUTE_HIDDEN, "H"}, {windows.FILE_ATTRIBUTE_SYSTEM, "S"}} {
		if d.FileAttributes&f.bit != 0 {
			flags += f.name
		}
	}
	if flags != "" {
		all[flagsAttribute] = flags
	}
	return all, nil
}

// readAsBackup lets an administrator's process read what the access lists of
// files refuse, as programs that make backups do. Others may not, and read what
// they may.
func readAsBackup() error {
	var luid windows.LUID
	name, err := windows.UTF16PtrFromString("SeBackupPrivilege")
	if err != nil {
		return err
	}
	if err := windows.LookupPrivilegeValue(nil, name, &luid); err != nil {
		return fmt.Errorf("asking for the right to read all files: %w", err)
	}
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token); err != nil {
		return fmt.Errorf("asking for the right to read all files: %w", err)
	}
	defer token.Close()
	wanted := windows.Tokenprivileges{PrivilegeCount: 1}
	wanted.Privileges[0] = windows.LUIDAndAttributes{Luid: luid, Attributes: windows.SE_PRIVILEGE_ENABLED}
	// It succeeds also when the process may not have the right.
	if err := windows.AdjustTokenPrivileges(token, false, &wanted, 0, nil, nil); err != nil {
		return fmt.Errorf("asking for the right to read all files: %w", err)
	}
	return nil
}
