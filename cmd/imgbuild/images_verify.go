package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
)

func newImagesVerifyCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "verify IMAGE",
		Short: "Check every byte, signature and statement of a version",
		Long: `Read all of a version and its evidence and check it: every blob against its
digest, the signatures of the index and the container, every signed statement
(SBOMs, integrity manifests, recipe, provenance), and that none is missing. Only keys
under trust: count. Ends with exit code 4 when something is wrong, 3 when the
version is whole but revoked.`,
		Example: "  imgbuild images verify debian-12-nginx\n  imgbuild images verify debian-12-nginx:released --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			p, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			v, err := find(ctx, c, args[0], catalog.AllowRevoked)
			if err != nil {
				return err
			}
			trust, err := p.Trust(p.Config.Catalog)
			if err != nil {
				return err
			}
			report, err := evidence.Verify(ctx, c, v, trust)
			if err != nil {
				return err
			}
			problems := report.Problems()
			next := env.command("run", v.Ref())
			switch {
			case len(problems) > 0 || report.Revocation != nil:
				next = ""
			case report.Verdict.Rejects():
				next = env.command("images", "show", v.Ref())
			}
			if err := env.answer(report, func(w io.Writer) { writeReport(w, report) }, next); err != nil {
				return err
			}
			switch {
			case len(problems) > 0:
				return fault.Worldf("%s is not what it should be: %d of %d checks failed", v.Ref(), len(problems), len(report.Checks)).
					WithHint("do not use it; bake it again: %s; or copy it again from where it is whole", env.command("bake", v.Baseline))
			case report.Revocation != nil:
				err := fault.Gatef("%s is whole, but revoked: %s", v.Ref(), report.Revocation.Reason)
				if instead := report.Revocation.Rollback; instead != "" {
					return err.WithHint("use what it names instead: %s", env.command("images", "verify", instead))
				}
				return err.WithHint("see what else there is: %s", env.command("images", "list", v.Baseline))
			}
			return nil
		},
	}
}

func writeReport(w io.Writer, r *evidence.Report) {
	fmt.Fprintf(w, "%s %s\n", r.Image, r.Digest)
	for _, check := range r.Checks {
		word := "ok"
		if !check.OK {
			word = "WRONG"
		}
		fmt.Fprintf(w, "%-5s  %s: %s\n", word, check.Name, check.Detail)
	}
	if r.Verdict.Rejects() {
		fmt.Fprintf(w, "%-5s  rejected by its gates: %s\n", "note", gatesOf(r.Verdict.Refusals, reasonsShown))
	}
}
