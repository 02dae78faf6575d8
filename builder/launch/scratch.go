package launch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"imgbuild/builder/scratch"
)

// NewScratch makes a directory below dir for the files of one run, after those
// that killed runs left there were removed.
func NewScratch(ctx context.Context, dir string) (*scratch.Dir, error) {
	return scratch.New(ctx, dir, scratchPrefix, removeShort)
}

// SweepScratch removes what killed runs have left below dir.
func SweepScratch(ctx context.Context, dir string) error {
	return scratch.Sweep(ctx, dir, scratchPrefix, removeShort)
}

const scratchPrefix = "trial-"

// removeShort removes the short directories in the system's temporary one that
// belong to containers of a run.
func removeShort(path string) error {
	containers, err := os.ReadDir(path)
	for _, c := range containers {
		short, linkErr := os.Readlink(filepath.Join(path, c.Name(), shortLink))
		if linkErr == nil && strings.HasPrefix(short, shortPrefix) && filepath.Dir(short) == filepath.Dir(shortPrefix) {
			err = errors.Join(err, os.RemoveAll(short))
		}
	}
	return err
}
