package main

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/images/fault"
)

// newHelpCommand takes the place of the library's, for which a command that
// does not exist is no mistake.
func newHelpCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about a command or topic",
		Long:    "Show the help of a command, or of the topic settings.",
		Example: "  imgbuild help bake\n  imgbuild help settings",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				unknown := fault.Inputf("there is no command %q to help with", strings.Join(args, " "))
				if near := cmd.Root().SuggestionsFor(args[0]); err != nil && len(near) > 0 {
					return unknown.WithHint("did you mean %s?", strings.Join(near, " or "))
				}
				return unknown.WithHint("see: %s --help", env.command(strings.Fields(about.CommandPath())[1:]...))
			}
			return about.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			about, _, err := cmd.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, child := range about.Commands() {
				names = append(names, child.Name()+"\t"+child.Short)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// typed has a hint name the program as the user does: what is below this
// package knows it by its bare name alone.
func (e *environment) typed(hint string, root *cobra.Command) string {
	var names []string
	for _, command := range root.Commands() {
		names = append(names, regexp.QuoteMeta(command.Name()))
	}
	commands := regexp.MustCompile(`(^|[\s(])imgbuild (` + strings.Join(names, "|") + `)\b`)
	return commands.ReplaceAllStringFunc(hint, func(found string) string {
		return strings.Replace(found, "imgbuild ", e.program+" ", 1)
	})
}
