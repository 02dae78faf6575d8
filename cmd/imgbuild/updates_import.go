package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/builder/debian"
	"imgbuild/builder/progress"
	"imgbuild/builder/project"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
	"imgbuild/images/updates/transfer"
)

// importedUpdates is the answer of updates import as JSON.
type importedUpdates struct {
	File string    `json:"file"`
	AsOf time.Time `json:"as_of"`
	// Signer is the name of the trusted key that signed it.
	Signer string `json:"signer"`
	// Packages and Records are how many the bundle has, Added and NewRecords how
	// many of them were not here.
	Packages   int   `json:"packages"`
	Added      int   `json:"added"`
	AddedBytes int64 `json:"added_bytes"`
	Records    int   `json:"records"`
	NewRecords int   `json:"new_records"`
	// NewLocks were written, with what differs in those that took another one's place.
	NewLocks  []importedLock `json:"new_locks"`
	SameLocks []string       `json:"same_locks"`
}

type importedLock struct {
	Path  string     `json:"path"`
	Moves []lockMove `json:"moves,omitempty"`
}

func newUpdatesImportCommand(env *environment) *cobra.Command {
	var replace, older bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take in what updates export wrote elsewhere",
		Long: `Verify the signature of a bundle, every digest in it and every lock, and only then
take it in: packages into the archive, records to the records, locks to the locks.
Its signer's public key must be listed under trust: in imgbuild.yaml, where
for: bundles trusts it with nothing else. One that was
interrupted goes on when it is started again.

A lock that is here under the same name and is another one is kept, and nothing is
taken in, unless --replace-locks says otherwise; one that is newer asks for --older
too. With policy.mode approved, a lock takes another one's place only where all that
is new in it is approved, by the records here and those of the bundle; with mode open,
only where nothing that is new in it is held or rejected here. With mode approved, a
baseline's first lock counts as approved by who takes it in.`,
		Example: "  imgbuild updates import /media/usb/imgbuild-updates-20260131.zip",
		Args:    words("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := env.project()
			if err != nil {
				return err
			}
			archive, err := updates.Open(p.Config.Archive.Dir)
			if err != nil {
				return err
			}
			trust, err := p.BundleTrust()
			if err != nil {
				return err
			}
			records, err := p.Records()
			if err != nil {
				return err
			}
			var task progress.Task
			done, err := transfer.Import{
				Archive: archive, LocksDir: p.LocksDir(), Records: records, Trust: trust, Replace: replace, Older: older,
				Approve: func(ctx context.Context, was, is *updates.Lock) error { return env.approveImported(ctx, p, was, is) },
				Start: func(name string, total int64) func(int64) {
					if task != nil {
						task.Done("")
					}
					task = env.reporter().Start(name, total, progress.Bytes)
					return task.Add
				},
			}.Read(cmd.Context(), args[0])
			switch {
			case task == nil:
			case err != nil:
				task.Fail(err)
			default:
				task.Done(progress.Count(done.Added, "new package"))
			}
			if err != nil {
				return err
			}
			answer := importedUpdates{
				File: args[0], AsOf: done.AsOf, Signer: done.Signer.Name,
				Packages: len(done.Packages), Added: done.Added, AddedBytes: done.Bytes, Records: len(done.Records), NewRecords: done.NewRecords,
				NewLocks: []importedLock{}, SameLocks: append([]string{}, done.SameLocks...),
			}
			for _, l := range done.NewLocks {
				lock := importedLock{Path: l.Path}
				if l.Was != nil {
					lock.Moves = describeMoves(debian.Check(l.Was, l.Is).Moves)
				}
				answer.NewLocks = append(answer.NewLocks, lock)
			}
			return env.answer(answer, func(w io.Writer) { writeImportedUpdates(w, answer) }, env.command("bake", done.Baselines[0]))
		},
	}
	cmd.Flags().BoolVar(&replace, "replace-locks", false, "take locks of the bundle in the place of other ones that are here")
	cmd.Flags().BoolVar(&older, "older", false, "with --replace-locks, also of locks that are newer")
	return cmd
}

// approveImported refuses a lock that would take the place of another one with what is
// not approved or, with mode open, with what is held or rejected. One that is the first
// here is its user's, as a first lock is: what the records do not say of it already is
// recorded.
func (e *environment) approveImported(ctx context.Context, p *project.Project, was, is *updates.Lock) error {
	l, err := e.ledgerOf(ctx, p)
	if err != nil {
		return err
	}
	open := l.policy.Mode != policy.Approved
	approval := builder.NewApproval(l.history, l.policy, l.approvers, is.Baseline, cmp.Or(was, is), l.now)
	approval.Candidate = open
	var missing []string
	for _, pkg := range is.Packages {
		// What the lock here has already is not the bundle's to decide, and files of the
		// project are reviewed with it.
		if was != nil && approval.Locked[pkg.SHA256] || pkg.Archive == "" && hasFile(p.Dir, pkg) {
			continue
		}
		if ok, d := approval.Judge(pkg); !ok {
			missing = append(missing, fmt.Sprintf("  %s: %s", life.OfPackage(pkg), d.Why))
		}
	}
	if len(missing) == 0 {
		if !open {
			return nil
		}
		err := e.recordImported(ctx, p, was, is)
		var rejected *builder.RejectedError
		if kind := fault.KindOf(err); !errors.As(err, &rejected) && (kind == fault.Input || kind == fault.Held) {
			// A colleague without the project's key may take locks in where locking is open.
			e.reporter().Note("that you approve the lock of %s is not recorded: %v", is.Baseline, err)
			return nil
		}
		return err
	}
	few := strings.Join(missing[:min(20, len(missing))], "\n")
	if open {
		return fault.Heldf("the bundle's lock of %s has %s held or rejected here:\n%s", is.Baseline, plural(len(missing), "package that is", "packages that are"), few).
			WithHint("keep the lock that is here; or end the hold, in imgbuild.yaml or by: %s", e.command("updates", "approve", "UPDATE", "--reopen", "--why", "REASON"))
	}
	if was == nil && l.history.FirstLock(is.Baseline, is.Architecture) == "" {
		return e.recordImported(ctx, p, nil, is)
	}
	return fault.Heldf("the bundle's lock of %s has %d packages that are not approved here, such as:\n%s", is.Baseline, len(missing), few).
		WithHint("approve them (%s), and import it again", e.command("updates", "list"))
}

// recordImported records that who takes in a lock approves it: a first one, and with mode
// open every one, as by locking.
func (e *environment) recordImported(ctx context.Context, p *project.Project, was, lock *updates.Lock) error {
	key, made, err := p.SigningKey(e.ask())
	if err != nil {
		return err
	}
	if made != nil {
		e.reporter().Note("made a signing key for you in %s; its password is in %s", made.Dir, made.PasswordFile)
	}
	store, err := p.Records() // which trusts a new key
	if err != nil {
		return err
	}
	of := &baseline.Recipe{Name: lock.Baseline, Architecture: lock.Architecture}
	record, err := builder.RecordLock(ctx, store, key, orMe(""), of, was, lock)
	if err == nil && record != "" && was == nil {
		e.reporter().Note("a first lock counts as approved by who takes it in: %s, record %s", lock.Baseline, record[:12])
	}
	return err
}

// hasFile tells whether a project has a package's file as it is locked.
func hasFile(dir string, p updates.Package) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	f, err := root.Open(p.Path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, p.Size+1))
	return err == nil && n == p.Size && hex.EncodeToString(h.Sum(nil)) == p.SHA256
}

func writeImportedUpdates(w io.Writer, i importedUpdates) {
	fmt.Fprintf(w, "%s: as of %s, signed by %s\n", i.File, moment(i.AsOf), i.Signer)
	fmt.Fprintf(w, "%s, %d of them new (%d MiB)\n", progress.Count(i.Packages, "package"), i.Added, i.AddedBytes>>20)
	if i.Records > 0 {
		fmt.Fprintf(w, "%s of updates, %d of them new\n", progress.Count(i.Records, "record"), i.NewRecords)
	}
	for _, lock := range i.NewLocks {
		fmt.Fprintf(w, "wrote %s\n", lock.Path)
		for _, m := range lock.Moves {
			fmt.Fprintf(w, "  %s\n", m.Why)
		}
	}
	for _, lock := range i.SameLocks {
		fmt.Fprintf(w, "%s is the same\n", lock)
	}
}
