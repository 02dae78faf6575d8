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
	// Preferences is what goes into /etc/apt/preferences.d/imgbuild.
	Preferences string `json:"preferences"`
}

// publication are the flags of updates serve and updates publish, and what both
// publish from.
type publication struct {
	validFor, keyOut string

	names   []string
	project *project.Project
	archive *updates.Store
	key     *signing.PGPKey
	keyFile string
	site    *publish.Site
}

// never is how it is said that a snapshot has no end.
const never = "never"

func (f *publication) add(cmd *cobra.Command, validFor, about string) {
	cmd.Flags().StringVar(&f.validFor, "valid-for", validFor, about)
	cmd.Flags().StringVar(&f.keyOut, "key-out", "", "copy the public key that servers need to this `FILE`, whose name ends in .asc")
}

// open reads the locks that names stand for, and shows them on a site.
func (f *publication) open(ctx context.Context, e *environment, names []string) error {
	var valid time.Duration
	if f.validFor != never {
		parsed, err := feeds.ParseDuration(f.validFor)
		if err != nil {
			return fault.Inputf("--valid-for: %v, or %s", err, never)
		}
		valid = time.Duration(parsed)
	}
	p, locks, archive, err := e.lockedArchive(names)
	if err != nil {
		return err
	}
	key, file, made, err := p.RepositoryKey(e.ask())
	if err != nil {
		return err
	}
	if made != nil {
		e.reporter().Note("made keys for you in %s; their password is in %s", made.Dir, made.PasswordFile)
	}
	if f.keyOut != "" {
		if file, err = copyKey(key, f.keyOut); err != nil {
			return err
		}
	}
	f.names, f.project, f.archive, f.key, f.keyFile = names, p, archive, key, file
	if f.site, err = publish.NewSite(key, valid); err != nil {
		return err
	}
	return f.show(ctx, e, locks)
}

// show has the site show what locks say now.
func (f *publication) show(ctx context.Context, e *environment, locks []project.NamedLock) error {
	var requests []publish.Request
	for _, lock := range locks {
		r := publish.Request{Name: lock.Name, Lock: lock.Lock, Archive: f.archive}
		if now := f.site.Edition(lock.Name); now == nil || now.Lock != lock.Digest() {
			task := e.reporter().Start("index "+lock.Name, int64(len(lock.Packages)), progress.Items)
			r.Done = func() { task.Add(1) }
			defer func() {
				if now := f.site.Edition(lock.Name); now != nil && now.Lock == lock.Digest() {
					task.Done(progress.Count(now.Packages, "package"))
				} else {
					task.Done("not published")
				}
			}()
		}
		requests = append(requests, r)
	}
	return f.site.Update(ctx, time.Now(), requests...)
}

// answer says what the site shows of the locks, to be had at base.
func (f *publication) answer(base string) (*served, error) {
	locks, err := f.project.Locks(f.names...)
	if err != nil {
		return nil, err
	}
	answer := &served{URL: base + "/", Key: f.keyFile, Fingerprint: f.key.Fingerprint()}
	for _, lock := range locks {
		now := f.site.Edition(lock.Name)
		if now == nil {
			continue // it came meanwhile
		}
		answer.Snapshots = append(answer.Snapshots, servedSnapshot{
			Name: now.Name, Exact: now.Exact(), Lock: now.Lock, Date: now.Date, ValidUntil: now.ValidUntil, Packages: now.Packages, Bytes: now.Bytes,
			Sources: now.Sources(base+"/snapshots/"+now.Name+"/", f.keyFile), Preferences: now.Preferences(),
		})
	}
	return answer, nil
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
		fmt.Fprintf(w, "\nin /etc/apt/preferences.d/imgbuild, so that no other snapshot of this key is installed from:\n\n%s", snapshot.Preferences)
	}
}
