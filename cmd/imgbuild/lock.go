package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/builder/debian"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// lockFlags are the flags of lock.
type lockFlags struct {
	arch   string
	check  bool
	fresh  bool
	update []string
}

func newLockCommand(env *environment) *cobra.Command {
	var f lockFlags
	cmd := &cobra.Command{
		Use:   "lock BASELINE",
		Short: "Resolve a baseline's packages now and write its lock",
		Long: `Resolve a baseline against what its repositories offer now and write
locks/BASELINE.lock: every package with version, digest and source, for review
like code. Bakes use the lock alone. Each further architecture of the recipe has
a lock of its own: --arch arm64 writes locks/BASELINE.arm64.lock.

Where a lock exists, its packages stay and only what the recipe newly needs is
added; --update moves the named packages, --fresh moves all. --check writes
nothing: it tells what has moved since and why it matters, and ends with exit
code 4 when something has.`,
		Example: `  imgbuild lock debian-12-nginx
  imgbuild lock debian-12-nginx --check
  imgbuild lock debian-12-nginx --update openssl --update libssl3
  imgbuild lock debian-12-nginx --fresh
  imgbuild lock debian-12-nginx --arch arm64`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return lock(cmd.Context(), env, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.arch, "arch", "", "`ARCHITECTURE` to lock for, as Debian names it (default: the recipe's first)")
	flags.BoolVar(&f.check, "check", false, "tell what has moved; write nothing")
	flags.BoolVar(&f.fresh, "fresh", false, "take the latest of every package")
	flags.StringArrayVar(&f.update, "update", nil, "`PACKAGE` that moves to its latest version, with what that demands")
	return cmd
}

func lock(ctx context.Context, env *environment, name string, f lockFlags) error {
	if f.fresh && len(f.update) > 0 {
		return fault.Inputf("--fresh moves every package; it leaves nothing for --update")
	}
	w, err := env.workshop(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	recipe, err := w.recipe(ctx, name, f.arch)
	if err != nil {
		return err
	}
	path := w.project.LockFile(recipe)
	previous, err := builder.ReadLock(path)
	if f.fresh && fault.KindOf(err) == fault.Input {
		env.reporter().Note("%v; it is replaced, and the numbers of its system accounts are not kept", err)
		err = nil
	}
	if err != nil {
		return err
	}
	if previous == nil && (f.check || len(f.update) > 0) {
		return fault.Inputf("%s has no lock yet", recipe.Name).WithHint("run: %s", env.command("lock", recipe.Typed()))
	}
	locker, err := w.locker()
	if err != nil {
		return err
	}
	next, err := locker.Lock(ctx, recipe, builder.LockOptions{Previous: previous, Fresh: f.fresh || f.check, Update: f.update})
	if err != nil {
		return err
	}
	drift := debian.Drift{}
	if previous != nil {
		drift = debian.Check(previous, next)
	}
	result := &lockedBaseline{Lock: path, Packages: len(next.Packages), First: previous == nil, Moves: describeMoves(drift.Moves), Security: len(drift.Security())}
	if f.check {
		then := env.command("bake", recipe.Typed())
		if len(drift.Moves) > 0 {
			then = env.command("lock", recipe.Typed(), "--fresh")
		}
		if err := env.answer(result, result.writeCheck, then); err != nil || len(drift.Moves) == 0 {
			return err
		}
		return fault.Worldf("%d packages have moved since the lock was made, %d of them for security", len(drift.Moves), result.Security).
			WithHint("or take some of them: %s", env.command("lock", recipe.Typed(), "--update", "PACKAGE"))
	}
	if err := next.Write(path); err != nil {
		return err
	}
	return env.answer(result, result.write, env.command("bake", recipe.Typed()))
}

// lockedBaseline is the document of lock --output json.
type lockedBaseline struct {
	Lock     string     `json:"lock"`
	Packages int        `json:"packages"`
	First    bool       `json:"first"`
	Security int        `json:"security"`
	Moves    []lockMove `json:"moves,omitempty"`
}

// lockMove is one package that moves.
type lockMove struct {
	Name         string             `json:"name"`
	Set          updates.Set        `json:"set"`
	Architecture string             `json:"architecture"`
	Kind         updates.ChangeKind `json:"kind"`
	// Old is nil for a package that is added, New for one that goes.
	Old      *lockedPackage `json:"old,omitempty"`
	New      *lockedPackage `json:"new,omitempty"`
	Security bool           `json:"security"`
	Older    bool           `json:"older"`
	Why      string         `json:"why"`
}

type lockedPackage struct {
	Version       string `json:"version"`
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	Archive       string `json:"archive,omitempty"`
	Suite         string `json:"suite,omitempty"`
	Path          string `json:"path"`
	Size          int64  `json:"size"`
	SHA256        string `json:"sha256"`
	Layer         string `json:"layer,omitempty"`
}

func describeMoves(moves []debian.Move) []lockMove {
	var out []lockMove
	for _, m := range moves {
		out = append(out, lockMove{
			Name: m.Name, Set: m.Set, Architecture: m.Architecture, Kind: m.Kind,
			Old: describePackage(m.Old), New: describePackage(m.New), Security: m.Security, Older: m.Older, Why: m.Why,
		})
	}
	return out
}

func describePackage(p *updates.Package) *lockedPackage {
	if p == nil {
		return nil
	}
	return &lockedPackage{
		Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion, Archive: p.Archive, Suite: p.Suite,
		Path: p.Path, Size: p.Size, SHA256: p.SHA256, Layer: p.Layer,
	}
}

func (l *lockedBaseline) write(w io.Writer) {
	fmt.Fprintf(w, "locked %d packages in %s\n", l.Packages, l.Lock)
	l.writeMoves(w)
}

func (l *lockedBaseline) writeCheck(w io.Writer) {
	if len(l.Moves) == 0 {
		fmt.Fprintf(w, "nothing has moved: %s is what would be locked now\n", l.Lock)
	}
	l.writeMoves(w)
}

func (l *lockedBaseline) writeMoves(w io.Writer) {
	for _, m := range l.Moves {
		mark := " "
		if m.Security {
			mark = "!"
		}
		fmt.Fprintf(w, "%s %s\n", mark, m.Why)
	}
}
