package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
)

// words demands one word on the command line for each name.
func words(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		problem := func(format string, args ...any) error {
			return fault.Inputf(format, args...).WithHint("see: %s --help", cmd.CommandPath())
		}
		switch {
		case len(args) > len(names):
			return problem("nothing is expected after %s, found %q", strings.Join(args[:len(names)], " "), args[len(names)])
		case len(args) < len(names):
			return problem("%s is missing: %s %s", names[len(args)], cmd.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// noWord is for a command with commands below it, of which the word is none.
func noWord(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, below := range cmd.Commands() {
		names = append(names, below.Name())
	}
	return fault.Inputf("%s has no command %q%s", cmd.CommandPath(), args[0], node.Suggest(args[0], names)).WithHint("see: %s --help", cmd.CommandPath())
}

// flagError says what is wrong with a flag in the words of who typed it.
func flagError(err error) string {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	kinds := map[string]string{"int": "a whole number", "bool": "true or false", "duration": "a duration such as 90s"}
	want, known := kinds[invalid.GetFlag().Value.Type()]
	if !known {
		return err.Error()
	}
	return fmt.Sprintf("--%s is %q, expected %s", invalid.GetFlag().Name, invalid.GetValue(), want)
}
