package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/debian/publish"
	"imgbuild/builder/progress"
	"imgbuild/builder/project"
	"imgbuild/ci/feeds"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// served is the answer of updates serve and updates publish as JSON.
type served struct {
	// URL is the root of all; of publish it is empty, and Dir is the directory.
	URL string `json:"url,omitempty"`
	Dir string `json:"directory,omitempty"`
	// Key is the file of the public key, Fingerprint its 40 hex digits.
	Key         string           `json:"key"`
	Fingerprint string           `json:"fingerprint"`
	Snapshots   []servedSnapshot `json:"snapshots"`
}

type servedSnapshot struct {
	Name string `json:"name"`
	// Exact names the same snapshot for as long as its lock does not change.
	Exact      string    `json:"exact"`
	Lock       string    `json:"lock_sha256"`
	Date       time.Time `json:"date"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Packages   int       `json:"packages"`
	Bytes      int64     `json:"bytes"`
	// Sources is what goes into /etc/apt/sources.list.d/imgbuild.sources.
	Sources string `json:"sources"`
}

// publication are the flags of updates serve and updates publish.
type publication struct{ validFor, keyOut string }

func (f *publication) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.validFor, "valid-for", "", "`TIME`, such as 30d, after a lock's date from which apt refuses its snapshot (default: never)")
	cmd.Flags().StringVar(&f.keyOut, "key-out", "", "copy the public key that servers need to this `FILE`, whose name ends in .asc")
}

// snapshots makes the snapshots of locks, to be had at base.
func (e *environment) snapshots(ctx context.Context, f publication, names []string, base string) (*served, *publish.Site, error) {
	var validFor time.Duration
	if f.validFor != "" {
		parsed, err := feeds.ParseDuration(f.validFor)
		if err != nil {
			return nil, nil, fault.Inputf("--valid-for: %v", err)
		}
		validFor = time.Duration(parsed)
	}
	p, locks, archive, err := e.lockedArchive(names)
	if err != nil {
		return nil, nil, err
	}
	key, file, made, err := p.RepositoryKey(e.ask())
	if err != nil {
		return nil, nil, err
	}
	if made != nil {
		e.reporter().Note("made keys for you in %s; their password is in %s", made.Dir, made.PasswordFile)
	}
	if f.keyOut != "" {
		if file, err = copyKey(key, f.keyOut); err != nil {
			return nil, nil, err
		}
	}
	answer := &served{URL: base + "/", Key: file, Fingerprint: key.Fingerprint()}
	snapshots, err := e.makeSnapshots(ctx, locks, archive, key, validFor)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range snapshots {
		if s.Expired(time.Now()) {
			return nil, nil, fault.Worldf("the lock of %s is of %s, so that apt refuses its snapshot since %s", s.Name, moment(s.Date), moment(s.ValidUntil)).
				WithHint("renew the lock: %s, or allow more with --valid-for", e.command("lock", s.Name, "--fresh"))
		}
		answer.Snapshots = append(answer.Snapshots, servedSnapshot{
			Name: s.Name, Exact: s.Exact(), Lock: s.Lock, Date: s.Date, ValidUntil: s.ValidUntil, Packages: s.Packages, Bytes: s.Bytes,
			Sources: s.Sources(base+"/snapshots/"+s.Name+"/", file),
		})
	}
	site, err := publish.NewSite(key, snapshots...)
	return answer, site, err
}

// lockedArchive opens the archive and reads the locks that names stand for; none
// at all is an error.
func (e *environment) lockedArchive(names []string) (*project.Project, []project.NamedLock, *updates.Store, error) {
	p, err := e.project()
	if err != nil {
		return nil, nil, nil, err
	}
	locks, err := p.Locks(names...)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(locks) == 0 {
		return nil, nil, nil, fault.Inputf("there is no lock in %s", p.LocksDir()).WithHint("make one: %s", e.command("lock", "debian-12-nginx"))
	}
	archive, err := updates.Open(p.Config.Archive.Dir)
	return p, locks, archive, err
}

func (e *environment) makeSnapshots(ctx context.Context, locks []project.NamedLock, archive *updates.Store, key *signing.PGPKey, validFor time.Duration) ([]*publish.Snapshot, error) {
	var all []*publish.Snapshot
	for _, lock := range locks {
		task := e.reporter().Start("index "+lock.Name, int64(len(lock.Packages)), progress.Items)
		s, err := publish.Make(ctx, publish.Request{
			Name: lock.Name, Lock: lock.Lock, Archive: archive, Key: key, ValidFor: validFor, Done: func() { task.Add(1) },
		})
		if err != nil {
			task.Fail(err)
			return nil, err
		}
		task.Done(progress.Count(s.Packages, "package"))
		all = append(all, s)
	}
	return all, nil
}

// copyKey writes the public key to a file that apt reads, and says where that is.
func copyKey(key *signing.PGPKey, file string) (string, error) {
	if filepath.Ext(file) != ".asc" {
		return "", fault.Inputf("--key-out %s: apt reads the key from a file whose name ends in .asc", file)
	}
	text, err := key.PublicArmor()
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return "", fault.Inputf("writing the public key").Because(err)
	}
	return filepath.Abs(file)
}

func writeServed(w io.Writer, s *served) {
	where := s.URL
	if where == "" {
		where = s.Dir
	}
	fmt.Fprintf(w, "%s\nkey  %s\n     %s\n", where, s.Key, s.Fingerprint)
	for _, snapshot := range s.Snapshots {
		fmt.Fprintf(w, "\n%s  %d packages, %d MiB, locked as of %s", snapshot.Name, snapshot.Packages, snapshot.Bytes>>20, moment(snapshot.Date))
		if !snapshot.ValidUntil.IsZero() {
			fmt.Fprintf(w, ", valid until %s", moment(snapshot.ValidUntil))
		}
		fmt.Fprintf(w, "\nin /etc/apt/sources.list.d/imgbuild.sources, with the key copied to where Signed-By says:\n\n%s", snapshot.Sources)
	}
}
