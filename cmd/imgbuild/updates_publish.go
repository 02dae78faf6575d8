package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newUpdatesPublishCommand(env *environment) *cobra.Command {
	var f publication
	cmd := &cobra.Command{
		Use:   "publish DIR [LOCK|BASELINE...]",
		Short: "Write exactly what is locked as a signed apt repository, for any web server",
		Long: `Write what updates serve would serve into a directory that is not there yet. Any web
server, or a file: address, gives it to apt. It has no end unless --valid-for gives it
one, for nobody signs it anew.`,
		Example: "  imgbuild updates publish /srv/www/approved debian-12-nginx",
		Args: func(cmd *cobra.Command, args []string) error {
			return words("DIR")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("writing a repository: %w", err)
			}
			if err := f.open(cmd.Context(), env, args[1:]); err != nil {
				return err
			}
			answer, err := f.answer("file://" + dir)
			if err != nil {
				return err
			}
			if err := f.site.Write(cmd.Context(), dir); err != nil {
				return err
			}
			answer.URL, answer.Dir = "", dir
			return env.answer(answer, func(w io.Writer) { writeServed(w, answer) }, "")
		},
	}
	f.add(cmd, never, "`TIME`, such as 30d, from now on after which apt refuses what is written, or never; write it anew before")
	return cmd
}
