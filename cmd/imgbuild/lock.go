package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/builder/debian"
	"imgbuild/builder/debian/resolve"
	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/policy"
)

// lockFlags are the flags of lock.
type lockFlags struct {
	arch            string
	check           bool
	fresh           bool
	withoutSecurity bool
	update          []string
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
code 4 when something has, 2 when the recipe asks for other packages than the lock
was made for, and with policy.mode approved 5 when the lock has what is not approved.

--without-security makes a lock as if the security suite were not there, to show or
compare what that mends. The lock says so, and so does every bake of it; the next
lock without the flag moves all again.

With policy.mode approved, a lock takes what is approved (imgbuild updates) and
nothing else: the latest of all packages, or of those that --update names. Where
that does not do, or moves nothing of what --update names, it ends with exit code 5
and says what waits for whom. A first
lock counts as approved by who makes it, and so does each with mode open.`,
		Example: `  imgbuild lock debian-12-nginx
  imgbuild lock debian-12-nginx --check
  imgbuild lock debian-12-nginx --update openssl --update libssl3
  imgbuild lock debian-12-nginx --fresh
  imgbuild lock debian-12-nginx --without-security
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
	flags.BoolVar(&f.withoutSecurity, "without-security", false, "leave the security suite out, on purpose; all packages move to what is offered without it")
	flags.StringArrayVar(&f.update, "update", nil, "`PACKAGE` that moves to its latest version, with what that demands")
	return cmd
}

func lock(ctx context.Context, env *environment, name string, f lockFlags) error {
	switch {
	case f.fresh && len(f.update) > 0:
		return fault.Inputf("--fresh moves every package; it leaves nothing for --update")
	case f.withoutSecurity && len(f.update) > 0:
		return fault.Inputf("--without-security moves every package; it leaves nothing for --update")
	case f.check && (f.fresh || f.withoutSecurity || len(f.update) > 0):
		return fault.Inputf("--check writes nothing; it does not go with --fresh, --without-security or --update").
			WithHint("see what has moved with --check alone, then move it with the other")
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
	was, err := updates.DigestAt(path)
	if err != nil {
		return err
	}
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
	if f.check {
		return checkLock(ctx, w, locker, recipe, previous)
	}
	// What is found in the archive now must be there when the lock names it.
	used, err := locker.Archive.Use(ctx)
	if err != nil {
		return err
	}
	defer used.Close()
	approval, err := w.approval(ctx, recipe, previous)
	if err != nil {
		return err
	}
	if f.withoutSecurity && approval != nil {
		return fault.Inputf("locking %s without its security suite: with policy.mode approved a lock goes back to nothing", recipe.Name).
			WithHint("do it in a project of its own: %s", env.command("init", "DIR"))
	}
	o := builder.LockOptions{Previous: previous, Fresh: f.fresh, Update: f.update, WithoutSecurity: f.withoutSecurity, Approval: approval, Named: len(f.update) > 0}
	if f.withoutSecurity || previous != nil && previous.WithoutSecurity && len(f.update) == 0 {
		o.Fresh = true // such a lock is none to stay close to
	}
	next, err := locker.Lock(ctx, recipe, o)
	if err != nil {
		return placeUnknown(recipe, err)
	}
	drift := debian.Drift{}
	if previous != nil {
		drift = debian.Check(previous, next)
	}
	record, err := w.approveLock(ctx, recipe, previous, next, nil)
	if err != nil {
		return err
	}
	if err := next.Replace(ctx, path, was); err != nil {
		return err
	}
	result := &lockedBaseline{
		Lock: path, Packages: len(next.Packages), First: previous == nil, WithoutSecurity: next.WithoutSecurity,
		Moves: describeMoves(drift.Moves), Security: len(drift.Security()), Mode: w.project.Config.Policy.Policy.Mode, Record: record,
	}
	return env.answer(result, result.write, env.command("bake", recipe.Typed()))
}

// checkLock tells what a lock made now would have otherwise: what the recipe
// asks for since, which locking takes in, apart from what has moved by itself.
func checkLock(ctx context.Context, w *workshop, locker *builder.Locker, recipe *baseline.Recipe, previous *updates.Lock) error {
	env := w.env
	fresh, err := locker.Lock(ctx, recipe, builder.LockOptions{Previous: previous, Fresh: true})
	if err != nil {
		return placeUnknown(recipe, err)
	}
	// Of another suite nothing can stay, so there is nothing to tell apart.
	edited := previous.Request != "" && fresh.Request != previous.Request && fresh.Suite == previous.Suite
	asked, kept := debian.Drift{}, previous
	if edited {
		if kept, err = locker.Lock(ctx, recipe, builder.LockOptions{Previous: previous}); err != nil {
			return err
		}
		asked = debian.Check(previous, kept)
	}
	drift := debian.Check(kept, fresh)
	result := &lockedBaseline{
		Lock: w.project.LockFile(recipe), Packages: len(fresh.Packages), Edited: edited, WithoutSecurity: previous.WithoutSecurity,
		Asked: describeMoves(asked.Moves), Moves: describeMoves(drift.Moves), Security: len(drift.Security()),
	}
	next := env.command("bake", recipe.Typed())
	switch {
	case edited:
		next = env.command("lock", recipe.Typed())
	case len(drift.Moves) > 0 && w.project.Config.Policy.Policy.Mode == policy.Approved:
		next = env.command("updates", "evaluate", recipe.Name)
	case len(drift.Moves) > 0:
		next = env.command("lock", recipe.Typed(), "--fresh")
	}
	if err := env.answer(result, result.writeCheck, next); err != nil {
		return err
	}
	if err := w.refuseUnapproved(ctx, recipe, previous); err != nil {
		return err
	}
	if edited {
		return fault.Inputf("%s asks for other packages than its lock was made for, which changes %d of them; %d have moved besides",
			recipe.Name, len(asked.Moves), len(drift.Moves)).WithHint("add what is missing, and move nothing else: %s", next)
	}
	if len(drift.Moves) > 0 {
		return fault.Worldf("%d packages have moved since the lock was made, %d of them for security", len(drift.Moves), result.Security).
			WithHint("or take some of them: %s", env.command("lock", recipe.Typed(), "--update", "PACKAGE"))
	}
	return nil
}

// placeUnknown makes of an error about unknown packages one that has the place
// of each in the recipe.
func placeUnknown(recipe *baseline.Recipe, err error) error {
	var unknown *resolve.UnknownError
	if !errors.As(err, &unknown) {
		return err
	}
	problems := &node.Problems{}
	for _, n := range unknown.Names {
		at, listed := recipe.PackageAt(n.Name)
		if !listed {
			return err
		}
		suggestion := ""
		if len(n.Near) > 0 {
			suggestion = fmt.Sprintf("; did you mean %s?", strings.Join(n.Near, ", "))
		}
		problems.Addf(at, "there is no package %q in %s%s", n.Name, recipe.Suite, suggestion)
	}
	return problems.Err()
}
