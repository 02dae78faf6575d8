package progress_test

import (
	"fmt"
	"slices"
	"testing"

	"imgbuild/builder/progress"
)

type told struct {
	progress.Reporter
	lines []string
}

func (t *told) Start(name string, _ int64, _ progress.Unit) progress.Task {
	t.lines = append(t.lines, name)
	return progress.Discard.Start(name, 0, progress.Items)
}

func (t *told) Note(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

// TestWhatIsToldOfOneOfSeveral begins with its name, whatever is in that.
func TestWhatIsToldOfOneOfSeveral(t *testing.T) {
	var all told
	of := progress.Of("100%d", &all)
	of.Start("disk", 0, progress.Bytes).Done("")
	of.Note("%d of %s", 1, "them")
	if want := []string{"100%d: disk", "100%d: 1 of them"}; !slices.Equal(all.lines, want) {
		t.Errorf("got %q", all.lines)
	}
}
