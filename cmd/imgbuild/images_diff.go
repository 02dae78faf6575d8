package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
)

func newImagesDiffCommand(env *environment) *cobra.Command {
	var files bool
	cmd := &cobra.Command{
		Use:     "diff FROM TO",
		Short:   "Show which packages and files changed between two versions",
		Long:    "Compare two versions by their signed evidence: packages by the SBOM, files by the\nintegrity manifest. With --files, list every path and what of it changed.",
		Example: "  imgbuild images diff web:released web\n  imgbuild images diff web:20260131.1 web:20260207.1 --files",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			p, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			trust, err := p.Trust(p.Config.Catalog)
			if err != nil {
				return err
			}
			from, err := find(ctx, c, args[0], catalog.AllowRevoked)
			if err != nil {
				return err
			}
			to, err := find(ctx, c, args[1], catalog.AllowRevoked)
			if err != nil {
				return err
			}
			d, err := evidence.Diff(ctx, c, from, to, trust)
			if err != nil {
				return err
			}
			return env.answer(d, func(w io.Writer) { writeDifference(w, d, files) }, env.command("images", "verify", to.Ref()))
		},
	}
	cmd.Flags().BoolVar(&files, "files", false, "list every path that differs")
	return cmd
}

func writeDifference(w io.Writer, d *evidence.Difference, files bool) {
	fmt.Fprintf(w, "%s to %s\n", d.From, d.To)
	for _, p := range d.Packages {
		switch {
		case p.From == "":
			fmt.Fprintf(w, "  + %s %s\n", p.Name, p.To)
		case p.To == "":
			fmt.Fprintf(w, "  - %s %s\n", p.Name, p.From)
		default:
			fmt.Fprintf(w, "  ~ %s %s to %s\n", p.Name, p.From, p.To)
		}
	}
	fmt.Fprintf(w, "packages that differ: %d; paths of the %s that differ: %d\n", len(d.Packages), d.Output, len(d.Files))
	if !files {
		return
	}
	for _, f := range d.Files {
		fmt.Fprintf(w, "  %s\n", f)
	}
}
