package pipeline

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"imgbuild/images/baseline"
	"imgbuild/images/updates"
)

// mostKept is how many candidates of a baseline and architecture are remembered.
const mostKept = 8

// keptPath is the file of a candidate in the directory of those: by all its packages.
func (b *Bench) keptPath(recipe *baseline.Recipe, lock *updates.Lock) string {
	sum := sha256.New()
	for _, p := range lock.Packages {
		fmt.Fprintln(sum, p.Set, p.Name, p.Architecture, p.SHA256)
	}
	return filepath.Join(b.Kept, fmt.Sprintf("%s.%s.%x.lock", recipe.Name, recipe.Architecture, sum.Sum(nil)[:8]))
}

// asTried dates a candidate by the releases that it was tried with before, where it has the
// very same packages. Debian renews its releases several times a day, also when nothing has
// changed; by their date alone it would be another image, and another trial.
func (b *Bench) asTried(recipe *baseline.Recipe, lock *updates.Lock) {
	if b.Kept == "" {
		return
	}
	// What cannot be read was not tried.
	was, err := updates.ReadLock(b.keptPath(recipe, lock))
	if err == nil && was.Request == lock.Request && slices.Equal(was.Layers, lock.Layers) && len(updates.Diff(was, lock)) == 0 {
		lock.Releases, lock.Epoch = was.Releases, was.Epoch
	}
}

// keep remembers a candidate that was tried, and forgets the oldest of others.
func (b *Bench) keep(recipe *baseline.Recipe, lock *updates.Lock) error {
	if b.Kept == "" {
		return nil
	}
	if err := lock.Write(b.keptPath(recipe, lock)); err != nil {
		return fmt.Errorf("remembering what was tried: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(b.Kept, recipe.Name+"."+recipe.Architecture+".*.lock"))
	if err != nil || len(files) <= mostKept {
		return err
	}
	age := map[string]time.Time{}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			age[f] = info.ModTime()
		}
	}
	slices.SortFunc(files, func(a, b string) int { return age[b].Compare(age[a]) })
	for _, f := range files[mostKept:] {
		if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("forgetting what was tried: %w", err)
		}
	}
	return nil
}
