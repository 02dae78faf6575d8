package main

import (
	"github.com/spf13/cobra"

	"imgbuild/images/fault"
)

func newCompletionCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the completion script of a shell",
		Long:  "Write a script to standard output that completes imgbuild's commands and flags in\nbash, zsh or fish.",
		Example: `  imgbuild completion bash > /etc/bash_completion.d/imgbuild
  imgbuild completion zsh > "${fpath[1]}/_imgbuild"
  imgbuild completion fish > ~/.config/fish/completions/imgbuild.fish`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(env.stdout, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(env.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(env.stdout, true)
			}
			return fault.Inputf("no completion for %q", args[0]).WithHint("use bash, zsh or fish")
		},
	}
}
