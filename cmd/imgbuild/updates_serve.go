package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

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

func newUpdatesServeCommand(env *environment) *cobra.Command {
	var f publication
	var listen string
	cmd := &cobra.Command{
		Use:   "serve [LOCK|BASELINE...]",
		Short: "Serve exactly what is locked as a signed apt repository; Ctrl-C ends it",
		Long: `Serve a snapshot for each lock, or for those that are named, from which apt installs
the locked packages and no other. The project's OpenPGP key signs it, and the same
lock always gives the same bytes. Every package is read and compared with its lock
before anything is served.

What to write into a server's /etc/apt/sources.list.d/imgbuild.sources is printed. A
lock that changes is served when this is started again. Only this machine can ask
unless --listen says otherwise; signatures and digests make plain HTTP safe for apt.`,
		Example: "  imgbuild updates serve\n  imgbuild updates serve debian-12-nginx --listen 127.0.0.1:8080\n" +
			"  imgbuild updates serve --listen 10.0.0.5:80 --valid-for 30d --key-out /srv/imgbuild.asc",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return fault.Inputf("listening").Because(err).WithHint("choose another address: --listen ADDRESS:PORT")
			}
			defer listener.Close()
			answer, site, err := env.snapshots(ctx, f, args, "http://"+asked(listener.Addr()))
			if err != nil {
				return err
			}
			err = env.answer(answer, func(w io.Writer) {
				writeServed(w, answer)
				fmt.Fprintln(w, "\nCtrl-C ends it")
			}, "")
			if err != nil {
				return err
			}
			return serveSite(ctx, listener, site)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`ADDRESS:PORT` to serve at; port 0 takes a free one")
	f.add(cmd)
	return cmd
}

func newUpdatesPublishCommand(env *environment) *cobra.Command {
	var f publication
	cmd := &cobra.Command{
		Use:   "publish DIR [LOCK|BASELINE...]",
		Short: "Write exactly what is locked as a signed apt repository, for any web server",
		Long: `Write what updates serve would serve into a directory that is not there yet. Any web
server, or a file: address, gives it to apt.`,
		Example: "  imgbuild updates publish /srv/www/approved debian-12-nginx",
		Args: func(cmd *cobra.Command, args []string) error {
			return words("DIR")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("writing a repository: %w", err)
			}
			answer, site, err := env.snapshots(cmd.Context(), f, args[1:], "file://"+dir)
			if err != nil {
				return err
			}
			if err := site.Write(cmd.Context(), dir); err != nil {
				return err
			}
			answer.URL, answer.Dir = "", dir
			return env.answer(answer, func(w io.Writer) { writeServed(w, answer) }, "")
		},
	}
	f.add(cmd)
	return cmd
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

// The bounds on who asks: how long a client may take to send its question and to
// take its answer, how long it may be idle, and how many may be there at once.
const (
	askingTime = 10 * time.Second
	takingTime = time.Hour
	idleTime   = time.Minute
	mostAsking = 256
)

// asked is the address that others ask for: of one that stands for all of this
// machine's addresses, its name.
func asked(address net.Addr) string {
	at, ok := address.(*net.TCPAddr)
	if !ok || !at.IP.IsUnspecified() {
		return address.String()
	}
	name, err := os.Hostname()
	if err != nil {
		return address.String()
	}
	return net.JoinHostPort(name, strconv.Itoa(at.Port))
}

// serveSite answers until ctx ends, and then finishes what is under way.
func serveSite(ctx context.Context, listener net.Listener, site *publish.Site) error {
	server := &http.Server{
		Handler: site.Handler(), ReadTimeout: askingTime, WriteTimeout: takingTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10,
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(listener, mostAsking)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		_ = server.Close() // a client that will not end
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return nil
}
