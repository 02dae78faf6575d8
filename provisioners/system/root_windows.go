package system

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/windows"
)

// Root is the Windows system that the program runs on, or one directory of it.
// Names are resolved part by part on open files, as if the directory were the
// root: no link, junction or mounted folder leads out of it, not even one made
// while a name is looked up.
type Root struct {
	// handle is the directory's; 0 where the root holds the drives.
	handle windows.Handle
	// at is the directory's own name: /C:/Windows.
	at string
}

var _ System = (*Root)(nil)

// OpenRoot opens the system in dir, C:\ or C:\inetpub. With "/" it is the whole
// system, in which every local drive is a directory: /C:/inetpub. An
// administrator reads every file, whatever its access list says.
func OpenRoot(dir string) (*Root, error) {
	if err := readAsBackup(); err != nil {
		return nil, err
	}
	if dir == "/" {
		return &Root{}, nil
	}
	if isDrive(dir) {
		dir += `\` // else it would be the directory that the process is in there
	}
	full, err := filepath.Abs(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	if volume := filepath.VolumeName(full); !isDrive(volume) {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: errors.New("not on a local drive")}
	}
	handle, err := openDirectory(full)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Root{handle: handle, at: path.Clean("/" + filepath.ToSlash(full))}, nil
}

// Close lets the directory go.
func (r *Root) Close() error {
	if r.handle == 0 {
		return nil
	}
	return windows.CloseHandle(r.handle)
}

// OS is Windows.
func (r *Root) OS() OS { return Windows }

var errNoDrive = errors.New("on Windows a path begins with a drive, as /C:/ does")

// place is a file of Root that is open for its attributes alone; with no handle
// it is the root of all drives.
type place struct{ handle windows.Handle }

// lookup is how names are resolved: it keeps what it opens until it is closed.
type lookup struct {
	root   *Root
	opened []windows.Handle
}

func (l *lookup) close() {
	for _, h := range l.opened {
		windows.CloseHandle(h)
	}
}

// Root implements Files.
func (l *lookup) Root() place { return place{l.root.handle} }

// Child implements Files.
func (l *lookup) Child(dir place, name string) (place, error) {
	var found place
	var err error
	if dir.handle == 0 {
		if !isDrive(name) {
			return place{}, errNoDrive
		}
		found.handle, err = openDirectory(name + `\`)
	} else {
		if err := checkWindowsName(name); err != nil {
			return place{}, err
		}
		found.handle, err = openAt(dir.handle, name, windows.FILE_READ_ATTRIBUTES, windows.FILE_OPEN, 0)
	}
	if err != nil {
		return place{}, err
	}
	l.opened = append(l.opened, found.handle)
	return found, nil
}

// Info implements Files.
func (l *lookup) Info(p place) (Info, error) { return p.info() }

func (p place) info() (Info, error) {
	if p.handle == 0 {
		return Info{Mode: fs.ModeDir}, nil
	}
	return infoOf(p.handle)
}

// Target implements Files: where a link leads from the root.
func (l *lookup) Target(p place) (string, error) {
	target, err := readLink(p.handle)
	if err != nil || !path.IsAbs(target) {
		return target, err
	}
	inside, ok := below(l.root.at, target)
	if !ok {
		return "", fmt.Errorf("a link to %s leads out of %s", target, l.root.at)
	}
	return inside, nil
}

// in calls do with the file that resolve finds.
func (r *Root) in(op, name string, resolve func(Files[place], string, string) (place, error), do func(p place) error) error {
	l := &lookup{root: r}
	defer l.close()
	p, err := resolve(l, op, name)
	if err != nil {
		return err
	}
	if err := do(p); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// Lstat implements Reader.
func (r *Root) Lstat(name string) (info Info, err error) {
	err = r.in("lstat", name, ResolveLink[place], func(p place) error {
		info, err = p.info()
		return err
	})
	return info, err
}

// Stat implements Reader.
func (r *Root) Stat(name string) (info Info, err error) {
	err = r.in("stat", name, Resolve[place], func(p place) error {
		info, err = p.info()
		return err
	})
	return info, err
}

// Open implements Reader.
func (r *Root) Open(name string) (f io.ReadCloser, err error) {
	err = r.in("open", name, Resolve[place], func(p place) error {
		info, err := p.info()
		if err != nil {
			return err
		}
		if !info.Mode.IsRegular() {
			return errors.New("not a regular file")
		}
		h, err := reopen(p.handle, windows.FILE_GENERIC_READ, windows.FILE_NON_DIRECTORY_FILE)
		if errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			return fmt.Errorf("%w; what Windows keeps to itself, such as its registry, is no file to be read: let a rule call it variable", err)
		}
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(h), name)
		return nil
	})
	return f, err
}

// ReadDir implements Reader. The drives of the whole system are the fixed ones.
func (r *Root) ReadDir(name string) (names []string, err error) {
	err = r.in("readdir", name, Resolve[place], func(p place) error {
		if p.handle == 0 {
			names, err = drives()
		} else {
			names, err = list(p.handle)
		}
		return err
	})
	return names, err
}

// Readlink implements Reader. Of a junction it gives the same as of a symbolic
// link; a target that no name here can say is as Windows writes it.
func (r *Root) Readlink(name string) (target string, err error) {
	err = r.in("readlink", name, ResolveLink[place], func(p place) error {
		if p.handle == 0 {
			return fs.ErrInvalid
		}
		target, err = readLink(p.handle)
		return err
	})
	return target, err
}

// The attributes of a file on Windows. Owner, primary group and access list are
// the text that [MS-DTYP] 2.5.1 describes (SDDL); flags are those of attrib: R
// read-only, H hidden, S system.
const (
	securityAttribute = "windows.security"
	flagsAttribute    = "windows.flags"
)

// Xattrs implements Reader: windows.security and, where there are any,
// windows.flags. Alternate streams of a file are not looked at.
func (r *Root) Xattrs(name string) (all map[string]string, err error) {
	err = r.in("reading attributes", name, ResolveLink[place], func(p place) error {
		if p.handle == 0 {
			return nil
		}
		all, err = attributes(p.handle)
		return err
	})
	return all, err
}

// drives are the names of the fixed drives.
func drives() ([]string, error) {
	mask, err := windows.GetLogicalDrives()
	if err != nil {
		return nil, fmt.Errorf("listing drives: %w", err)
	}
	var names []string
	for i := range 26 {
		name := string(rune('A'+i)) + ":"
		root, err := windows.UTF16PtrFromString(name + `\`)
		if err != nil {
			return nil, err
		}
		if mask&(1<<i) != 0 && windows.GetDriveType(root) == windows.DRIVE_FIXED {
			names = append(names, name)
		}
	}
	return names, nil
}

// list gives the sorted names in a directory.
func list(dir windows.Handle) ([]string, error) {
	h, err := reopen(dir, windows.FILE_LIST_DIRECTORY|windows.SYNCHRONIZE, windows.FILE_DIRECTORY_FILE)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(h), "directory")
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, errors.Join(err, f.Close())
}

// temporary is the name that a file has until it is whole.
func temporary(base string) string {
	const suffix = ".imgbuild-new"
	const most = 255 - len(suffix) // a name has 255 units of UTF-16, never more than bytes
	return strings.ToValidUTF8(base[:min(len(base), most)], "") + suffix
}
