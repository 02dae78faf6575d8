package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/signing"
)

// exportedFeeds is the answer of feeds export as JSON.
type exportedFeeds struct {
	File   string    `json:"file"`
	Made   time.Time `json:"made"`
	Signed bool      `json:"signed"`
	Feeds  []string  `json:"feeds"`
}

func newFeedsExportCommand(env *environment) *cobra.Command {
	var sign bool
	cmd := &cobra.Command{
		Use:   "export FILE [FEED...]",
		Short: "Write what is kept of the feeds to a bundle, for machines without a network",
		Long: `Write what is kept of all feeds, or of some, to one file with the digest of each of
their files. Where it is added, each feed counts as read when it was read here, so
it grows stale there as it does here. With --sign, the project's key signs it.`,
		Example: "  imgbuild feeds export feeds-20260131.zip --sign\n  imgbuild feeds export kev.zip kev",
		Args: func(cmd *cobra.Command, args []string) error {
			return words("FILE")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, store, list, err := env.feeds()
			if err != nil {
				return err
			}
			chosen, err := list.Select(args[1:])
			if err != nil {
				return err
			}
			var key *signing.Key
			if sign {
				if key, _, err = p.SigningKey(env.ask()); err != nil {
					return err
				}
			}
			m, err := store.Export(cmd.Context(), args[0], chosen, key)
			if err != nil {
				return err
			}
			answer := exportedFeeds{File: args[0], Made: m.Made, Signed: sign}
			for _, s := range m.Feeds {
				answer.Feeds = append(answer.Feeds, s.Feed)
			}
			next := env.command("feeds", "add", args[0])
			if !sign {
				next += " --unsigned"
			}
			return env.answer(answer, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d feeds\n", args[0], len(answer.Feeds))
			}, next)
		},
	}
	cmd.Flags().BoolVar(&sign, "sign", false, "sign it with the project's key")
	return cmd
}
