package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imgbuild/builder/sandbox"
)

// ConfigureEnvironment is added to the environment in which boot packages are
// configured. It keeps the kernel's maintainer script from making an initramfs
// (/etc/kernel/postinst.d/initramfs-tools), which the trigger of
// initramfs-tools would make a second time: while there is none, the trigger
// has nothing to update.
func ConfigureEnvironment() []string { return []string{"INITRD=No"} }

// Initramfs makes the initramfs of every kernel in root, with the root's own
// initramfs-tools. The result follows from the root's files and epoch alone.
func Initramfs(ctx context.Context, root string, releases []string, epoch time.Time) error {
	for _, r := range releases {
		var said bytes.Buffer
		err := sandbox.Run(ctx, sandbox.Spec{
			Root: root,
			Args: []string{"update-initramfs", "-c", "-k", r},
			Env: []string{
				"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/root",
				"SOURCE_DATE_EPOCH=" + strconv.FormatInt(epoch.Unix(), 10),
			},
			Stdout: &said, Stderr: &said,
		})
		if err != nil {
			return fmt.Errorf("making the initramfs of %s: %w: %s", r, err, strings.TrimSpace(said.String()))
		}
		path := filepath.Join(root, "boot", "initrd.img-"+r)
		if st, err := os.Stat(path); err != nil || st.Size() == 0 {
			return fmt.Errorf("making the initramfs of %s: update-initramfs left none: %s", r, strings.TrimSpace(said.String()))
		}
	}
	return nil
}
