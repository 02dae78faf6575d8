// Package tools runs the programs that make file systems and boot loaders from
// a tools root: a directory into which the locked tool packages are extracted,
// unconfigured. It never runs a program of the host, and what a program sees
// (environment, umask, host name, time zone, locale) is the same everywhere.
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"imgbuild/builder/sandbox"
)

// Root is the path of a tools root. Mount points are made in it, below
// /imgbuild; nothing else of it changes.
type Root string

// The mount points a command may use.
const (
	// Work is where the caller's working directory appears, writable.
	Work = "/imgbuild/work"
	// Tree is where the caller's file tree appears, read-only.
	Tree = "/imgbuild/tree"
)

// Command is one run of a tool.
type Command struct {
	// Args is the program and its arguments.
	Args []string
	// Env is added to the fixed environment.
	Env []string
	// Work is the directory that appears as Work; it may be empty.
	Work string
	// Tree is the directory that appears as Tree; it may be empty. Covered are
	// directories below it that appear empty, by their relative paths.
	Tree    string
	Covered []string
	// Epoch is the time the tool shall believe it is.
	Epoch time.Time
	// Stdin may be nil.
	Stdin io.Reader
}

// Prepare makes the mount points that Run needs, so that several tools can be
// started at once.
func (r Root) Prepare() error {
	for _, dir := range []string{"proc", "dev", "sys", Work, Tree} {
		if err := os.MkdirAll(filepath.Join(string(r), dir), 0o755); err != nil {
			return fmt.Errorf("preparing the tools root: %w", err)
		}
	}
	return nil
}

// outputLimit is how much of a failed tool's words an error repeats, in bytes.
const outputLimit = 2000

// Run runs a tool and waits for it. The error of a failed tool holds the end of
// what it said.
func (r Root) Run(ctx context.Context, c Command) error {
	epoch := strconv.FormatInt(c.Epoch.Unix(), 10)
	env := append([]string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=/",
		"SOURCE_DATE_EPOCH=" + epoch,
	}, c.Env...)
	var mounts []sandbox.Mount
	if c.Work != "" {
		mounts = append(mounts, sandbox.Mount{Source: c.Work, Target: Work})
	}
	if c.Tree != "" {
		mounts = append(mounts, sandbox.Mount{Source: c.Tree, Target: Tree, ReadOnly: true})
	}
	if len(c.Covered) > 0 {
		nothing, err := os.MkdirTemp("", "imgbuild-covered-")
		if err != nil {
			return fmt.Errorf("covering directories: %w", err)
		}
		defer os.Remove(nothing)
		if err := os.Chmod(nothing, 0o755); err != nil {
			return fmt.Errorf("covering directories: %w", err)
		}
		for _, dir := range c.Covered {
			mounts = append(mounts, sandbox.Mount{Source: nothing, Target: path.Join(Tree, dir), ReadOnly: true})
		}
	}
	var said tail
	err := sandbox.Run(ctx, sandbox.Spec{
		Root: string(r), Mounts: mounts, Args: c.Args, Env: env,
		Stdin: c.Stdin, Stdout: &said, Stderr: &said,
	})
	if err == nil {
		return nil
	}
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("running %s of the tools root: %w: %s", path.Base(c.Args[0]), err, said.String())
	}
	return fmt.Errorf("running %s of the tools root: %w", path.Base(c.Args[0]), err)
}

// tail keeps the last outputLimit bytes written to it.
type tail struct{ buf bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if over := t.buf.Len() - outputLimit; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	lines := strings.FieldsFunc(t.buf.String(), func(r rune) bool { return r == '\n' || r == '\r' })
	return strings.Join(lines, "; ")
}
