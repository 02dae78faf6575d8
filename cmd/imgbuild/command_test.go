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

func TestHintsNameTheProgramAsTheUserDoes(t *testing.T) {
	env := newEnvironment("./bin/imgbuild", os.Stdin, os.Stdout, os.Stderr)
	root := newRootCommand(env)
	for hint, want := range map[string]string{
		"run: imgbuild init acme":               "run: ./bin/imgbuild init acme",
		"or make it anew: imgbuild lock web":    "or make it anew: ./bin/imgbuild lock web",
		"imgbuild baselines list":               "./bin/imgbuild baselines list",
		"a variable that imgbuild reads":        "a variable that imgbuild reads",
		"run: ./bin/imgbuild lock web --fresh":  "run: ./bin/imgbuild lock web --fresh",
		"set keyring: in imgbuild.yaml (or no)": "set keyring: in imgbuild.yaml (or no)",
	} {
		if got := env.typed(hint, root); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
