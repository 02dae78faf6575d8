package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/progress"
	"imgbuild/images/updates"
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
	Packages   int      `json:"packages"`
	Added      int      `json:"added"`
	AddedBytes int64    `json:"added_bytes"`
	Records    int      `json:"records"`
	NewRecords int      `json:"new_records"`
	NewLocks   []string `json:"new_locks"`
	SameLocks  []string `json:"same_locks"`
}

func newUpdatesImportCommand(env *environment) *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Take in what updates export wrote elsewhere",
		Long: `Verify the signature of a bundle, every digest in it and every lock, and only then
take it in: packages into the archive, records to the records, locks to the locks.
Its signer's public key must be listed under trust: in imgbuild.yaml. One that was
interrupted goes on when it is started again.

A lock that is here under the same name and is another one is kept, and nothing is
taken in, unless --replace-locks says otherwise.`,
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
			trust, err := p.Trust(p.Config.Catalog)
			if err != nil {
				return err
			}
			records, err := p.Records()
			if err != nil {
				return err
			}
			var task progress.Task
			done, err := transfer.Import{
				Archive: archive, LocksDir: p.LocksDir(), Records: records, Trust: trust, Replace: replace,
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
				NewLocks: append([]string{}, done.NewLocks...), SameLocks: append([]string{}, done.SameLocks...),
			}
			return env.answer(answer, func(w io.Writer) { writeImportedUpdates(w, answer) }, env.command("bake", done.Baselines[0]))
		},
	}
	cmd.Flags().BoolVar(&replace, "replace-locks", false, "take locks of the bundle in the place of other ones that are here")
	return cmd
}

func writeImportedUpdates(w io.Writer, i importedUpdates) {
	fmt.Fprintf(w, "%s: as of %s, signed by %s\n", i.File, moment(i.AsOf), i.Signer)
	fmt.Fprintf(w, "%s, %d of them new (%d MiB)\n", progress.Count(i.Packages, "package"), i.Added, i.AddedBytes>>20)
	if i.Records > 0 {
		fmt.Fprintf(w, "%s of updates, %d of them new\n", progress.Count(i.Records, "record"), i.NewRecords)
	}
	for _, lock := range i.NewLocks {
		fmt.Fprintf(w, "wrote %s\n", lock)
	}
	for _, lock := range i.SameLocks {
		fmt.Fprintf(w, "%s is the same\n", lock)
	}
}
