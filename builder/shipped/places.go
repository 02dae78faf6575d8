package shipped

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PackageArchive is where the tests of all packages keep Debian's package files
// from one run to the next.
func PackageArchive() string { return filepath.Join(os.TempDir(), "imgbuild-test-packages", "archive") }

// Unpacked is where they keep these unpacked.
func Unpacked() string { return filepath.Join(PackageArchive(), "unpacked") }

// ShareUnpacked makes a directory for imgbuild's caches that has them from there.
func ShareUnpacked(caches string) error {
	return errors.Join(os.MkdirAll(Unpacked(), 0o755), os.MkdirAll(caches, 0o755), os.Symlink(Unpacked(), filepath.Join(caches, "unpacked")))
}

// Scratch makes a directory for one run of a package's tests; prefix begins its
// name. It is in memory, where trees are made and removed in half the time, if this
// is Roomy for most bytes; the mount is that of the process's namespace. The caller
// removes it.
func Scratch(prefix string, most int64) (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp("", prefix); err != nil {
		return "", nil, err
	}
	files := func() error { return os.RemoveAll(dir) }
	roomy, err := Roomy(most)
	if err != nil {
		return "", nil, errors.Join(err, files())
	}
	if !roomy {
		return dir, files, nil
	}
	if err := unix.Mount("tests", dir, "tmpfs", 0, fmt.Sprintf("mode=755,size=%d", most)); err != nil {
		return "", nil, errors.Join(fmt.Errorf("mounting memory on %s: %w", dir, err), files())
	}
	return dir, func() error { return errors.Join(unix.Unmount(dir, unix.MNT_DETACH), files()) }, nil
}

// beside is how much memory is left to those that run beside a test, in bytes.
const beside = 4 << 30

// Roomy tells whether tests may put so many bytes into memory at most. Only root can
// mount it.
func Roomy(most int64) (bool, error) {
	if os.Geteuid() != 0 {
		return false, nil
	}
	free, err := available()
	return free >= most+beside, err
}

// available is how many bytes of memory programs can still get (proc_meminfo(5)).
func available() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo does not tell what memory is available")
}
