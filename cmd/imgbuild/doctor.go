package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"imgbuild/builder/host"
	"imgbuild/builder/project"
	"imgbuild/images/fault"
)

// diagnosis is the document of doctor --output json.
type diagnosis struct {
	// Ready says that nothing needed for a bake is missing.
	Ready    bool           `json:"ready"`
	Findings []host.Finding `json:"findings"`
}

func newDoctorCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks, and the command that mends it",
		Long: `Look at everything imgbuild uses of this machine: tools, name spaces, the archive
keyring, mirrors, disk space, and whether KVM really runs a guest. What is
"missing" keeps a bake from working; what is "optional" only some commands need.
Nothing is changed.`,
		Example: "  imgbuild doctor\n  imgbuild doctor --output json | jq -r '.findings[].mend // empty'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := env.project()
			if err != nil {
				return err
			}
			req := host.Request{
				CacheDir: p.Config.Cache.Dir, StoreDirs: []string{p.Config.Archive.Dir},
				Keyring: p.Keyring, Mirror: p.Mirror,
			}
			if !project.IsRegistry(p.Config.Catalog) {
				req.StoreDirs = append(req.StoreDirs, p.Config.Catalog)
			}
			findings, err := host.Diagnose(cmd.Context(), req)
			if err != nil {
				return err
			}
			missing := 0
			for _, f := range findings {
				if f.State == host.Missing {
					missing++
				}
			}
			next := env.command("init", "DIR")
			if p.Dir != "" {
				next = env.command("baselines")
			}
			if missing > 0 {
				next = ""
			}
			err = env.answer(diagnosis{Ready: missing == 0, Findings: findings}, func(w io.Writer) { writeFindings(w, findings) }, next)
			if err == nil && missing > 0 {
				return fault.Failedf("%d of the things a bake needs are missing", missing).
					WithHint("run the commands above, then: %s", env.command("doctor"))
			}
			return err
		},
	}
}

func writeFindings(w io.Writer, findings []host.Finding) {
	for _, f := range findings {
		fmt.Fprintf(w, "%-9s %-18s %s\n", f.State, f.Name, f.Detail)
		if f.State == host.Good {
			continue
		}
		fmt.Fprintf(w, "%-9s %-18s for: %s\n", "", "", f.For)
		if f.Mend != "" {
			fmt.Fprintf(w, "%-9s %-18s mend: %s\n", "", "", f.Mend)
		}
	}
}
