package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imgbuild/builder/project"
	"imgbuild/images/fault"
)

// The forms of --output.
const (
	outputText = "text"
	outputJSON = "json"
)

func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "imgbuild",
		Short: "Bake server images from reviewed recipes and locked updates",
		Long: `imgbuild bakes versioned, signed images of web servers: a baseline (a recipe)
and a lock (the exact packages) become a container image and a bootable disk in
a catalog. Servers are replaced by newer images, never patched in place.

Exit codes: 0 done, 1 failed, 2 your input is wrong, 3 a gate said no,
4 the world differs from what was expected, 5 held for a person.`,
		Example: `  imgbuild doctor                  what this machine lacks, and how to mend it
  imgbuild init acme               a project with keys and an example baseline
  imgbuild bake debian-12-nginx    an image of a shipped baseline, without a project
  imgbuild help settings           every setting, variable and flag`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if env.output != outputText && env.output != outputJSON {
				return fault.Inputf("--output is %q", env.output).WithHint("use text or json")
			}
			env.running = true
			return nil
		},
	}
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.Inputf("%s", flagError(err)).WithHint("see: %s --help", cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&env.output, "output", "o", outputText, "`FORM` of the answer: text, or json, which is one document on standard output")
	flags.BoolVarP(&env.verbose, "verbose", "v", false, "structured logs on standard error")
	flags.StringVar(&env.projectDir, "project", "", "project `DIR` (default: the nearest one upward, else your own directories)")
	env.settings = settingFlags()
	flags.AddFlagSet(env.settings)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelpCommand(env))
	root.AddCommand(
		newInitCommand(env),
		newBaselinesCommand(env),
		newControlsCommand(env),
		newLockCommand(env),
		newBakeCommand(env),
		newRunCommand(env),
		newScanCommand(env),
		newCheckCommand(env),
		newDiffCommand(env),
		newImagesCommand(env),
		newFeedsCommand(env),
		newAdvisoriesCommand(env),
		newUpdatesCommand(env),
		newRebuildCommand(env),
		newDemoCommand(env),
		newDoctorCommand(env),
		newVersionCommand(env),
		newCompletionCommand(env),
		newSettingsTopic(),
	)
	return root
}

// settingFlags makes a flag of every setting. Only those of daily use are
// shown by each command's help; "imgbuild help settings" shows all.
func settingFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("settings", pflag.ContinueOnError)
	for _, s := range project.Settings() {
		flags.String(s.Flag(), "", s.Usage)
		flags.Lookup(s.Flag()).Hidden = s.Key != "mirror" && s.Key != "security-mirror" && s.Key != "catalog"
	}
	return flags
}
