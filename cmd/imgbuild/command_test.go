package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryCommandTellsHowItIsUsed(t *testing.T) {
	env := newEnvironment("imgbuild", os.Stdin, os.Stdout, os.Stderr)
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			check(child)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its one line is %q", cmd.CommandPath(), cmd.Short)
		}
		if cmd.Long == "" {
			t.Errorf("%s: no description", cmd.CommandPath())
		}
		if cmd.Runnable() && cmd.Example == "" {
			t.Errorf("%s: no example", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Long+"\n"+cmd.Example, "\n") {
			if len([]rune(line)) > 100 {
				t.Errorf("%s: a line of help has %d columns: %s", cmd.CommandPath(), len([]rune(line)), line)
			}
		}
	}
	check(newRootCommand(env))
}
