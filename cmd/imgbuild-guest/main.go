// Command imgbuild-guest looks at the server that it runs on, or applies
// controls to it: questions come as JSON on standard input, answers go as JSON to
// standard output (imgbuild/provisioners/agent). It uses no network, asks for no
// secret, and writes nothing but what apply is asked for.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"imgbuild/images/fault"
	"imgbuild/provisioners/agent"
	"imgbuild/provisioners/system"
)

// version is set by the linker.
var version = "devel"

const usage = `usage: imgbuild-guest [--root DIR] check|manifest|inventory|apply|version

  check      hold the controls of the question against this system
  manifest   answer the integrity manifest of this system's local files
  inventory  answer its packages, users, units, jobs and listening ports
  apply      bring this system into the state of the controls; changes nothing without --yes
  version    print the program's version

DIR is the system's root directory, / when it is not given: what runs here. On
Windows that is every local drive, C: below /C:/; DIR may be C:\ alone.

The question is a JSON document on standard input, the answer one on standard
output. Exit codes: 0 answered, 1 failed, 2 the question or command line is wrong.
`

func main() {
	// It ends too when the connection that started it is gone.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is one command line; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("imgbuild-guest", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	root := flags.String("root", "/", "")
	yes := flags.Bool("yes", false, "")
	command, err := parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "imgbuild-guest: %v\n%s", err, usage)
		return int(fault.Input)
	}
	if command == "version" {
		fmt.Fprintf(stdout, "imgbuild-guest %s %s/%s\n", version, runtime.GOOS, runtime.GOARCH)
		return 0
	}
	answer, err := ask(ctx, command, *root, *yes, stdin)
	if err != nil {
		if answer == nil {
			answer = &agent.Answer{Format: agent.Format}
		}
		answer.Error = err.Error()
		if hint := fault.HintOf(err); hint != "" {
			answer.Error += "; " + hint
		}
		fmt.Fprintf(stderr, "imgbuild-guest: %s\n", answer.Error)
	}
	if writeErr := json.NewEncoder(stdout).Encode(answer); writeErr != nil {
		fmt.Fprintf(stderr, "imgbuild-guest: writing the answer: %v\n", writeErr)
		return int(fault.Failed)
	}
	return int(fault.KindOf(err))
}

// parse takes flags before and after the one command.
func parse(flags *flag.FlagSet, args []string) (command string, err error) {
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	command = flags.Arg(0)
	if flags.NArg() > 1 {
		if err := flags.Parse(flags.Args()[1:]); err != nil {
			return "", err
		}
		if flags.NArg() > 0 {
			return "", fmt.Errorf("unexpected %q", strings.Join(flags.Args(), " "))
		}
	}
	switch command {
	case "check", "manifest", "inventory", "apply", "version":
		return command, nil
	case "":
		return "", errors.New("no command is given")
	}
	return "", fmt.Errorf("unknown command %q", command)
}

// ask reads the question and has it answered.
func ask(ctx context.Context, command, root string, yes bool, stdin io.Reader) (_ *agent.Answer, err error) {
	if command == "apply" && !yes {
		return nil, fault.Inputf("apply changes this system").WithHint("add --yes when that is meant")
	}
	question, err := agent.ReadQuestion(stdin)
	if err != nil {
		return nil, err
	}
	s, err := system.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch command {
	case "check":
		return agent.Check(ctx, s, question)
	case "manifest":
		return agent.Manifest(ctx, s, question)
	case "inventory":
		return agent.Inventory(ctx, s)
	default:
		return agent.Apply(ctx, s, question)
	}
}
