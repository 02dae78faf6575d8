// Package timestamp takes the time of making out of the files of a stage, so that
// the same inputs give the same bytes. It changes times and nothing else.
package timestamp

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Set takes the time of making out of a stage's directory: every directory,
// and every file changed after the second newest, gets the time stamp (both in
// seconds since 1970). Files that packages brought are older than newest, the
// date of the newest index that lists them, and keep the time they came with.
func Set(ctx context.Context, dir string, newest, stamp int64) error {
	when := []unix.Timespec{{Sec: stamp}, {Sec: stamp}}
	var directories []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			directories = append(directories, path)
			return ctx.Err()
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		if st.Mtim.Sec <= newest && (st.Mtim.Sec != newest || st.Mtim.Nsec == 0) {
			return nil
		}
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			return nil // an overlay's mark of a removed file
		}
		return setTimes(path, when)
	})
	if err != nil {
		return fmt.Errorf("setting time stamps: %w", err)
	}
	for i := len(directories) - 1; i >= 0; i-- {
		if err := setTimes(directories[i], when); err != nil {
			return fmt.Errorf("setting time stamps: %w", err)
		}
	}
	return nil
}

func setTimes(path string, when []unix.Timespec) error {
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, when, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: path, Err: err}
	}
	return nil
}
