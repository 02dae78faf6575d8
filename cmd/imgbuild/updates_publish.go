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
