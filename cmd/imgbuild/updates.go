package main

import (
	"github.com/spf13/cobra"
)

func newUpdatesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "updates",
		Short: "Follow updates from their discovery to approval, and keep their archive",
		Long: `An update is one package in one version, of one file. It is discovered in a
repository, evaluated (which baselines it applies to, and why), tried in a trial, and
then approved or rejected. Each step is a signed record in the archive that says who
made it, when, why and by what.

With "policy: {mode: approved}" in imgbuild.yaml, lock takes what is approved and
nothing else; with mode open, whoever locks a baseline approves what is locked.`,
		Args: noWord,
	}
	// One line a command: those who add one add a line.
	cmd.AddCommand(updatesCommands(env)...)
	return cmd
}

// updatesCommands are the commands below updates, in the order in which an update
// meets them, and then those of the archive as a whole.
func updatesCommands(env *environment) []*cobra.Command {
	return []*cobra.Command{}
}
