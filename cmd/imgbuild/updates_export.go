package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/progress"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/transfer"
)

// exportedUpdates is the answer of updates export as JSON.
type exportedUpdates struct {
	File  string `json:"file"`
	Bytes int64  `json:"bytes"`
	// AsOf is the newest date of the locks.
	AsOf time.Time `json:"as_of"`
	// Key is the file of the public key that the other side must trust, KeyID its
	// SHA-256.
	Key      string   `json:"key"`
	KeyID    string   `json:"key_id"`
	Locks    []string `json:"locks"`
	Packages int      `json:"packages"`
	Records  int      `json:"records"`
}

func newUpdatesExportCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE|DIR [LOCK|BASELINE...]",
		Short: "Write locks and all that they name to one signed file, for machines without a network",
		Long: `Write locks, of all baselines or of those that are named, every package file that
they name and the records of the life of updates to one file that the project's key
signs. Each file is compared with its digest as it is written, and the same locks
and records give the same bytes. In a DIR the file is called imgbuild-updates-DATE.zip.

Where it goes, updates import takes it in; imgbuild bake then needs no network.`,
		Example: "  imgbuild updates export /media/usb\n  imgbuild updates export web.zip debian-12-nginx",
		Args: func(cmd *cobra.Command, args []string) error {
			return words("FILE")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			isDir := err == nil && info.IsDir()
			if !isDir && filepath.Ext(args[0]) != ".zip" {
				// Such as a medium that is not mounted.
				return fault.Inputf("%s is no directory, and no name of a .zip file", args[0]).
					WithHint("make the directory, or name the file: %s", env.command("updates", "export", strings.TrimRight(args[0], "/")+".zip"))
			}
			p, locks, archive, err := env.lockedArchive(args[1:])
			if err != nil {
				return err
			}
			key, made, err := p.SigningKey(env.ask())
			if err != nil {
				return err
			}
			if made != nil {
				env.reporter().Note("made keys for you in %s; their password is in %s", made.Dir, made.PasswordFile)
			}
			records, err := p.Records()
			if err != nil {
				return err
			}
			export := transfer.Export{Locks: map[string]*updates.Lock{}, Archive: archive, Records: records, Key: key}
			answer := exportedUpdates{File: args[0], Key: p.SigningKeyFile(), KeyID: key.Public().ID()}
			for _, lock := range locks {
				export.Locks[lock.Name] = lock.Lock
				answer.Locks = append(answer.Locks, lock.Name)
			}
			if isDir {
				answer.File = filepath.Join(args[0], "imgbuild-updates-"+export.AsOf().Format("20060102")+".zip")
			}
			var task progress.Task
			export.Start = func(total int64) func(int64) {
				task = env.reporter().Start("export", total, progress.Bytes)
				return task.Add
			}
			m, err := export.Write(cmd.Context(), answer.File)
			if task != nil && err != nil {
				task.Fail(err)
			}
			if err != nil {
				return err
			}
			task.Done(progress.Count(len(m.Packages), "package"))
			if info, err = os.Stat(answer.File); err != nil {
				return fmt.Errorf("exporting updates: %w", err)
			}
			answer.Bytes, answer.AsOf, answer.Packages, answer.Records = info.Size(), m.AsOf, len(m.Packages), len(m.Records)
			return env.answer(answer, func(w io.Writer) { writeExportedUpdates(w, answer) }, env.command("updates", "import", answer.File))
		},
	}
}

func writeExportedUpdates(w io.Writer, e exportedUpdates) {
	fmt.Fprintf(w, "%s: %s, %s, %s, %d MiB\n", e.File, progress.Count(len(e.Locks), "lock"), progress.Count(e.Packages, "package"),
		progress.Count(e.Records, "record"), e.Bytes>>20)
	fmt.Fprintf(w, "signed by %s\n  %s\nwhich the other side must list under trust: in its imgbuild.yaml\n", e.Key, e.KeyID)
}
