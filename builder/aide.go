package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"imgbuild/builder/aide"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/stage"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// aideFormat is the format of the stage that makes AIDE's database.
const aideFormat = 2

// maxDatabase is the most bytes of a database: of a million files.
const maxDatabase = 512 << 20

// hasAIDE reports whether servers of these outputs have aide(1).
func (p *planner) hasAIDE() bool {
	return slices.ContainsFunc(append(p.lock.InSet(updates.Root), p.lock.InSet(updates.Boot)...), func(pkg updates.Package) bool {
		return pkg.Name == "aide"
	})
}

// aide is the step that records the sealed root in AIDE's database. It comes
// after the seal: what is recorded is what servers have.
func (p *planner) aide(parent stage.ID) Step {
	word := aide.DatabaseWord
	if p.recipe.Suite == "bookworm" {
		word = aide.OldDatabaseWord
	}
	config := aide.Config(p.classes, word)
	in := p.common()
	in.Add("file /"+aide.ConfigPath, digestOf(config))
	return Step{
		Definition: stage.Definition{Name: "aide", Kind: "aide", Format: aideFormat, Parent: parent, Inputs: in},
		Title:      "database of AIDE",
		make: func(ctx context.Context, s *site) (any, error) {
			err := withRoot(s.root, func(root *os.Root) error {
				stamp := time.Unix(p.stamp, 0)
				return errors.Join(
					root.MkdirAll(filepath.Dir(aide.DatabasePath), 0o700),
					writeInto(root, aide.ConfigPath, config, 0o644),
					// It gets this time when the stage is finished, and is recorded before.
					root.Chtimes(aide.ConfigPath, stamp, stamp))
			})
			if err != nil {
				return nil, err
			}
			return nil, p.initAIDE(ctx, s.root)
		},
	}
}

// initAIDE runs the root's own aide over the root.
func (p *planner) initAIDE(ctx context.Context, dir string) error {
	var said lastLines
	err := sandbox.Run(ctx, sandbox.Spec{
		Root:   dir,
		Args:   []string{"aide", "--init", "--config=/" + aide.ConfigPath, "--before=database_out=file:/" + aide.DatabasePath},
		Env:    runEnvironment(p.stamp, nil),
		Stdout: &said, Stderr: &said,
	})
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		return fault.Failedf("aide --init ended with status %d", exit.Code).Because(errors.New(said.String()))
	}
	if err != nil {
		return fmt.Errorf("running aide: %w", err)
	}
	return withRoot(dir, func(root *os.Root) error {
		info, err := root.Lstat(aide.DatabasePath)
		if err == nil && (!info.Mode().IsRegular() || info.Size() > maxDatabase) {
			err = fmt.Errorf("it is no file of at most %d bytes", maxDatabase)
		}
		if err != nil {
			return fmt.Errorf("aide --init left no database: %w", err)
		}
		database, err := root.ReadFile(aide.DatabasePath)
		if err != nil {
			return err
		}
		if database, err = aide.Normalize(database); err != nil {
			return err
		}
		return writeInto(root, aide.DatabasePath, database, 0o600)
	})
}
