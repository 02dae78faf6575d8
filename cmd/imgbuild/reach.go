package main

import (
	"fmt"
	"os"
	"os/user"

	"github.com/spf13/pflag"

	"imgbuild/builder/scan/live"
)

// reachFlags are the flags of commands that log in to servers.
type reachFlags struct{ guest, identity, config string }

func (f *reachFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.identity, "identity", "i", "", "log in with the private key in `FILE`")
	flags.StringVarP(&f.config, "ssh-config", "F", "", "read `FILE` instead of ~/.ssh/config and /etc/ssh/ssh_config; none reads neither")
	flags.StringVar(&f.guest, "guest", "", "send the imgbuild-guest in `FILE` (default: the one beside imgbuild)")
}

// reach is from where servers are logged in to, and the program that is sent
// there.
func reach(f reachFlags) (live.Client, *live.Guest, error) {
	guest := &live.Guest{File: f.guest}
	if f.guest == "" {
		program, err := os.Executable()
		if err != nil {
			return live.Client{}, nil, fmt.Errorf("looking for imgbuild-guest: %w", err)
		}
		guest = live.GuestBeside(program)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return live.Client{}, nil, fmt.Errorf("looking for the keys of SSH: %w", err)
	}
	me, err := user.Current()
	if err != nil {
		return live.Client{}, nil, fmt.Errorf("logging in: %w", err)
	}
	client := live.NewClient(home, me.Username, os.Getenv("SSH_AUTH_SOCK"), f.config)
	if f.identity != "" {
		client.Identities = []string{f.identity}
	}
	return client, guest, nil
}
