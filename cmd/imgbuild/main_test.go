package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"imgbuild/builder/host"
	"imgbuild/builder/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	testscript.Main(m, map[string]func(){"imgbuild": main, "fixture-image": fixtureImage, "fixture-packages": fixturePackages, "fixture-damage": fixtureDamage})
}

// TestScripts runs the command line as a user types it. Each file of
// testdata/script is one story.
func TestScripts(t *testing.T) {
	mirror := newFixtureMirror(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "answered": answered, "offers": mirror.offers},
		Condition:           condition,
		Setup: func(env *testscript.Env) error {
			// A home of its own, so that no project, setting or key of the
			// machine is found.
			env.Setenv("HOME", env.WorkDir+"/home")
			return os.Mkdir(env.WorkDir+"/home", 0o755)
		},
	})
}

// condition knows [mirror]: this machine's apt says where Debian comes from.
func condition(name string) (bool, error) {
	if name != "mirror" {
		return false, fmt.Errorf("no condition is called %q", name)
	}
	sources, err := host.AptSources()
	if err != nil {
		return false, nil
	}
	_, debian := sources.Mirror(host.ArchiveDebian, "bookworm")
	_, security := sources.Mirror(host.ArchiveSecurity, "bookworm-security")
	return debian == nil && security == nil, nil
}

// fails runs a command that must end with the given exit code: fails 2
// imgbuild vesion.
func fails(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) < 2 {
		ts.Fatalf("usage: fails CODE COMMAND [WORD...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v: ended with %v, want exit code %s", args[1:], err, args[0])
	}
}

// answered keeps the one line that the last command wrote in a variable:
// answered IMAGE.
func answered(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 1 {
		ts.Fatalf("usage: answered VARIABLE")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}
