package updates_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// fileSystem mounts one of its own for a test, of a size as tmpfs(5) reads it.
func fileSystem(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("mounting a file system wants the rights of root, here beyond those of a container: ", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
