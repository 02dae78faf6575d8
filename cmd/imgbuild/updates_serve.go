package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/netutil"

	"imgbuild/builder/debian/publish"
	"imgbuild/images/fault"
)

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
