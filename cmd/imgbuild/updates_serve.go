package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/fault"
)

func newUpdatesServeCommand(env *environment) *cobra.Command {
	var f publication
	var listen string
	cmd := &cobra.Command{
		Use:   "serve [LOCK|BASELINE...]",
		Short: "Serve exactly what is locked as a signed apt repository; Ctrl-C ends it",
		Long: `Serve a snapshot for each lock, or for those that are named, from which apt installs
the locked packages and no other. The project's OpenPGP key signs it. Every package is
read and compared with its lock before anything is served.

A lock that changes is served as soon as all that it names is in the archive; until
then, and when it is taken away, what it said before is. Each state stays at an address of its
own, with the first digits of its lock's digest, while this runs. What is signed ends
after --valid-for and is signed anew each day, so that nobody can hold a server on what was
once served.

What to write into a server's /etc/apt/sources.list.d/imgbuild.sources is printed. Only
this machine can ask unless --listen says otherwise; signatures and digests make plain
HTTP safe for apt with the preferences that are printed too.`,
		Example: "  imgbuild updates serve\n  imgbuild updates serve debian-12-nginx --listen 127.0.0.1:8080\n" +
			"  imgbuild updates serve --listen 10.0.0.5:80 --valid-for 30d --key-out /srv/imgbuild.asc",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			listener, err := net.Listen("tcp", listen)
			if err != nil {
				return fault.Inputf("listening").Because(err).WithHint("choose another address: --listen ADDRESS:PORT")
			}
			defer listener.Close()
			if err := f.open(ctx, env, args); err != nil {
				return err
			}
			answer, err := f.answer("http://" + asked(listener.Addr()))
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
			ctx, stop := context.WithCancel(ctx)
			followed := make(chan struct{})
			go func() {
				defer close(followed)
				f.follow(ctx, env)
			}()
			err = f.site.Serve(ctx, listener)
			stop()
			<-followed
			return err
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "`ADDRESS:PORT` to serve at; port 0 takes a free one")
	f.add(cmd, "7d", "`TIME`, such as 30d, for which a signature is good, or never; it is renewed while this runs")
	return cmd
}

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

// How often it is looked whether locks have changed, and one that could not be
// published is tried again: its packages may have come.
const (
	lookEvery  = 2 * time.Second
	retryEvery = time.Minute
)

// follow has the site show what locks say until ctx ends.
func (f *publication) follow(ctx context.Context, e *environment) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	stamp, told := f.stamp(), ""
	var tried time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := f.stamp()
		if now == stamp && !f.site.Due(time.Now()) && (told == "" || time.Since(tried) < retryEvery) {
			continue
		}
		stamp, tried = now, time.Now()
		locks, err := f.project.Locks(f.names...)
		shown := map[string]string{}
		for _, lock := range locks {
			if s := f.site.Edition(lock.Name); s != nil {
				shown[lock.Name] = s.Lock
			}
		}
		if showErr := f.show(ctx, e, locks); ctx.Err() != nil {
			return
		} else if err == nil {
			err = showErr
		}
		for _, lock := range locks {
			if s := f.site.Edition(lock.Name); s != nil && s.Lock != shown[lock.Name] {
				e.reporter().Note("%s is served as %s now: %d packages, locked as of %s", s.Name, s.Exact(), s.Packages, moment(s.Date))
			}
		}
		was := told
		if told = ""; err != nil {
			told = err.Error()
		}
		if told != "" && told != was {
			e.reporter().Note("%s; what was served before still is", harmless(told))
		}
	}
}

// stamp is another one when locks have changed.
func (f *publication) stamp() string {
	paths, err := f.project.LockFiles(f.names...)
	if err != nil {
		return err.Error()
	}
	var all strings.Builder
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintf(&all, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return all.String()
}
