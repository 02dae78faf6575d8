package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/images/catalog"
)

// history is the document of images history --output json.
type history struct {
	// Line is the version and its ancestors, nearest first.
	Line []listedImage `json:"line"`
	// Moves are the moves of the baseline's channels, oldest first.
	Moves []*catalog.Move `json:"moves"`
	// Verdicts are what the gates of its recipe said of the version, where they
	// ever said no: for all and for customers, oldest first.
	Verdicts []*catalog.Verdict `json:"verdicts"`
}

func newImagesHistoryCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "history IMAGE",
		Short: "Show a version's ancestry and every move of its channels",
		Long: `Show which versions an image was baked on, what the gates of its recipe said of it
where they ever said no, and the signed record of every move of its baseline's
channels: who moved which channel when, from what to what, and why.`,
		Example: "  imgbuild images history debian-12-nginx",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			_, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			v, err := find(ctx, c, args[0], catalog.AllowRevoked)
			if err != nil {
				return err
			}
			h, err := readHistory(ctx, c, v)
			if err != nil {
				return err
			}
			return env.answer(h, h.write, env.command("images", "show", v.Ref()))
		},
	}
}

func readHistory(ctx context.Context, c *catalog.Catalog, v *catalog.Version) (*history, error) {
	line, err := c.History(ctx, v)
	if err != nil {
		return nil, err
	}
	h := &history{Moves: []*catalog.Move{}, Verdicts: []*catalog.Verdict{}}
	verdicts, err := c.Verdicts(ctx, v)
	if err != nil {
		return nil, err
	}
	h.Verdicts = append(h.Verdicts, verdicts...)
	for _, a := range line {
		h.Line = append(h.Line, listedImage{Image: a.Ref(), Digest: a.Index.Digest.String(), Baked: a.Baked, Outputs: outputsOf(a)})
	}
	channels, err := c.Channels(ctx, v.Baseline)
	if err != nil {
		return nil, err
	}
	for _, ch := range channels {
		moves, err := c.Moves(ctx, v.Baseline, ch.Name)
		if err != nil {
			return nil, err
		}
		h.Moves = append(h.Moves, moves...)
	}
	return h, nil
}

func (h *history) write(w io.Writer) {
	for i, l := range h.Line {
		word := "baked on"
		if i == 0 {
			word = "image"
		}
		fmt.Fprintf(w, "%-9s %s, %s\n", word, l.Image, l.Baked.Format("2006-01-02 15:04 UTC"))
	}
	for _, v := range h.Verdicts {
		what := "accepted"
		if v.Rejects() {
			what = "rejected"
		}
		fmt.Fprintf(w, "%-9s %s%s by %s on %s%s\n", "gates", what, forWhom(v), v.Who, v.When.Format(time.DateOnly), because(gatesOf(v.Refusals, reasonsShown)))
	}
	for _, m := range h.Moves {
		whom := ""
		if m.For != "" {
			whom = " for " + m.For
		}
		fmt.Fprintf(w, "%-9s %d: to %s%s by %s on %s%s\n", m.Channel, m.Serial, m.Version, whom, m.Who, m.When.Format(time.DateOnly), because(m.Why))
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}
