package terminal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/progress"
	"imgbuild/cmd/imgbuild/internal/terminal"
)

// steadyClock moves on by a second at each look.
func steadyClock() func() time.Time {
	at := time.Unix(0, 0)
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

func TestLinesTellHowEachTaskEnded(t *testing.T) {
	var out bytes.Buffer
	var r progress.Reporter = terminal.NewLines(&out, steadyClock())
	task := r.Start("fetch", 3, progress.Items)
	task.Add(3)
	task.Done("3 packages")
	r.Start("debian-12", 0, progress.Items).Cached("")
	r.Start("provision", 0, progress.Items).Fail(errors.New("no such user"))
	r.Start("check", 0, progress.Items).Fail(fmt.Errorf("asking web1: %w", context.Canceled))
	r.Note("locked %s", "debian-12\x1b[2J")
	want := `done    fetch: 3 packages (1.0 s)
cached  debian-12
failed  provision: no such user (1.0 s)
ended   check: interrupted (1.0 s)
note    locked debian-12` + "\uFFFD[2J\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestLogsAreStructured(t *testing.T) {
	var out bytes.Buffer
	plain := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	r := terminal.NewLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: plain})), steadyClock())
	r.Start("fetch", 3, progress.Items).Done("3 packages")
	r.Start("provision", 0, progress.Items).Fail(errors.New("no such user"))
	want := `level=DEBUG msg=started task=fetch items=3
level=INFO msg=done task=fetch detail="3 packages" took=1s
level=DEBUG msg=started task=provision
level=ERROR msg=failed task=provision error="no such user" took=1s
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestBarsLeaveTheSameLines(t *testing.T) {
	var out bytes.Buffer
	bars := terminal.NewBars(&out, steadyClock())
	task := bars.Start("fetch", 1<<20, progress.Bytes)
	task.Add(1 << 19)
	task.Done("1.0 MiB")
	unended := bars.Start("unpack", 0, progress.Items)
	unended.Add(1)
	bars.Close()
	if !strings.Contains(out.String(), "done    fetch: 1.0 MiB") {
		t.Errorf("got %q", out.String())
	}
}

func TestNobodyIsAskedWithoutATerminal(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	if terminal.Ask(read, write) != nil {
		t.Error("a pipe counts as a terminal")
	}
}
