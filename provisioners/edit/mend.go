package edit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// Violation is a difference with the place that makes it, and what mends that.
type Violation struct {
	Difference system.Difference
	// File and At are the place: a file, without links, and a byte of it. Where no
	// file decides, File is empty.
	File string
	At   int
	// Mend edits the draft, or says why a person must. In File it edits nothing
	// before the next violation that stands further to the front.
	Mend func(d *Draft) error
}

// Find lists what in a draft is otherwise than it should be.
type Find func(d *Draft) ([]Violation, error)

// maxPasses bounds how often a configuration is read again after edits.
const maxPasses = 20

// Check tells what find finds on a system as it is, and changes nothing.
func Check(ctx context.Context, r system.Reader, find Find) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := find(New(r))
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, v := range found {
		list = append(list, v.Difference)
	}
	return list, nil
}

// Apply mends what find finds until it finds nothing, then writes the files that
// are changed and tells whether there were any. So a second Apply changes nothing;
// and where one violation cannot be mended, or some are left after 20 passes,
// nothing is written.
func Apply(ctx context.Context, s system.System, find Find) (bool, error) {
	draft := New(s)
	var list []Violation
	for range maxPasses {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		draft.Rewind()
		var err error
		if list, err = find(draft); err != nil {
			return false, err
		}
		if len(list) == 0 {
			return draft.Save(s)
		}
		if err := mend(draft, list); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("edited %d times, it is not yet as wanted: %s", maxPasses, list[0].Difference)
}

// mend goes from the back to the front of each file, for an edit moves what follows
// it. Of one place it mends one thing: the rest is found again, where it is then.
func mend(draft *Draft, list []Violation) error {
	slices.SortStableFunc(list, func(a, b Violation) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(b.At, a.At))
	})
	for i, v := range list {
		if i > 0 && list[i-1].File == v.File && list[i-1].At == v.At {
			continue
		}
		if err := v.Mend(draft); err != nil {
			return err
		}
	}
	return nil
}
