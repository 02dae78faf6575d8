package main

import (
	"github.com/spf13/cobra"

	"imgbuild/images/fault"
)

// demoFlags are the flags of demo advisory.
type demoFlags struct {
	baseline string
	feeds    []string
	dir      string
	disk     bool
	remove   bool
}

func newDemoCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See what imgbuild does, on this machine and explained as it goes",
		Long: `Run commands of this program one after the other, each told before it runs and why.
What a demo makes is in a directory of its own; your project, catalog and servers are
not touched.`,
		Example: "  imgbuild demo advisory",
		Args:    noWord,
		RunE: func(*cobra.Command, []string) error {
			return fault.Inputf("nothing says what to show").WithHint("use: %s", env.command("demo", "advisory"))
		},
	}
	cmd.AddCommand(newDemoAdvisoryCommand(env))
	return cmd
}

func newDemoAdvisoryCommand(env *environment) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "advisory",
		Short: "See an advisory found, and an image rebuilt for it",
		Long: `Lock a baseline as if the security suite were not there, bake it, list the advisories
that hit the image, let the loop (advisories run) rebuild it, and list them again. Each
step is a command as you would type it.

All is in a project of its own, which is kept for you to go on with. Packages are
sought in your archive first, and the cache of stages is yours, so that little is done
twice. Your project, catalog and servers are not touched: of a baseline of your own the
recipes and controls are copied.

Ends as the loop does: with 4 when a feed is in alarm, or when there was nothing to mend.`,
		Example: `  imgbuild demo advisory                     the public feeds, from the internet
  imgbuild demo advisory --feeds /media/feeds
  imgbuild demo advisory --disk --dir /srv/demo
  imgbuild demo advisory --remove --output json`,
		Args: noWord,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demoAdvisory(cmd.Context(), env, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.baseline, "baseline", "b", "debian-12-nginx", "`NAME` of the baseline, shipped or your own")
	flags.StringArrayVar(&f.feeds, "feeds", nil, "`SOURCE` of advisories, as feeds add takes it: a directory, a file, a bundle, an address, a name (default: osv-debian, kev)")
	flags.BoolVar(&f.disk, "disk", false, "bake the disk of virtual machines too")
	flags.StringVar(&f.dir, "dir", "", "new `DIR` for the project (default: a temporary one, which is told)")
	flags.BoolVar(&f.remove, "remove", false, "remove the demo's directory in the end, whatever comes out")
	return cmd
}
