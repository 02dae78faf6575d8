package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Overlay mounts target as the union of the lower directories, topmost first,
// with changes going to upper; work is an empty directory beside upper. With
// no lower directory upper still gets the union's behaviour. The mount never
// waits for the disk: fsync(2) in it does nothing (overlayfs "volatile"), so a
// stage is trusted only once its owner has committed it. The returned function
// unmounts.
func Overlay(lower []string, upper, work, target string) (func() error, error) {
	if len(lower) == 0 {
		empty := work + ".empty"
		if err := os.MkdirAll(empty, 0o755); err != nil {
			return nil, fmt.Errorf("preparing an overlay: %w", err)
		}
		lower = []string{empty}
	}
	options := []string{"volatile"}
	if Rootless() {
		options = append(options, "userxattr")
	}
	options = append(options, "lowerdir="+strings.Join(escapeAll(lower), ":"), "upperdir="+escape(upper), "workdir="+escape(work))
	if err := unix.Mount("overlay", target, "overlay", 0, strings.Join(options, ",")); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
			return nil, fmt.Errorf("mounting an overlay on %s: %w (overlayfs is needed; run: imgbuild doctor)", target, err)
		}
		return nil, fmt.Errorf("mounting an overlay on %s: %w", target, err)
	}
	return func() error {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", target, err)
		}
		return nil
	}, nil
}

func escapeAll(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		out[i] = escape(p)
	}
	return out
}

var optionEscapes = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)

func escape(path string) string { return optionEscapes.Replace(path) }
