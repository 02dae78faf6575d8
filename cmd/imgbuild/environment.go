package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"imgbuild/builder/progress"
	"imgbuild/builder/project"
	"imgbuild/cmd/imgbuild/internal/terminal"
	"imgbuild/images/fault"
)

// environment is what every command gets: where to write, the project, who to
// ask. Commands are made by constructors that take it: newBakeCommand(env).
type environment struct {
	program        string
	stdin          *os.File
	stdout, stderr *os.File

	// Flags of the root command.
	output     string
	verbose    bool
	projectDir string
	settings   *pflag.FlagSet

	running  bool // a command's own code has been reached
	warned   bool // misspelt variables are told of
	answered bool // the one document of --output json is written
	reports  progress.Reporter
	bars     *terminal.Bars // reports, when they are bars

	// noted are the notes that noteOnce has made.
	noted sync.Map
}

func newEnvironment(program string, stdin, stdout, stderr *os.File) *environment {
	return &environment{program: program, stdin: stdin, stdout: stdout, stderr: stderr}
}

// execute runs one command line and returns the exit code.
func (e *environment) execute(ctx context.Context, args []string) int {
	root := newRootCommand(e)
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	e.closeBars()
	if err == nil {
		return 0
	}
	kind := fault.KindOf(err)
	if !e.running {
		// The command line itself could not be understood, nor perhaps the flag
		// that asks for a document.
		kind = fault.Input
		if asksForJSON(args) {
			e.output = outputJSON
		}
		if fault.HintOf(err) == "" {
			err = fault.Inputf("%v", err).WithHint("see: %s --help", command.CommandPath())
		}
	}
	e.complain(ctx, command, err, kind)
	return int(kind)
}

// keepers are the commands that keep what is done when they are interrupted.
var keepers = []string{"bake", "lock", "rebuild", "updates trial", "advisories run"}

// asksForJSON finds --output json in a command line that has not been parsed to
// its end.
func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end] // the rest is another program's
	}
	form := ""
	for i, arg := range args {
		switch {
		case (arg == "--output" || arg == "-o") && i+1 < len(args):
			form = args[i+1]
		case strings.HasPrefix(arg, "--output="), strings.HasPrefix(arg, "-o="):
			_, form, _ = strings.Cut(arg, "=")
		case strings.HasPrefix(arg, "-o"):
			form = strings.TrimPrefix(arg, "-o")
		}
	}
	return form == outputJSON
}

func (e *environment) complain(ctx context.Context, command *cobra.Command, err error, kind fault.Kind) {
	message, hint := err.Error(), e.typed(fault.HintOf(err), command.Root())
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		message, hint = "interrupted", "run the same command again"
		if slices.Contains(keepers, strings.TrimPrefix(command.CommandPath(), command.Root().Name()+" ")) {
			hint += ": it goes on from what is done"
		}
	}
	fmt.Fprintf(e.stderr, "imgbuild: %s\n", harmless(message))
	if hint != "" {
		fmt.Fprintf(e.stderr, "  hint: %s\n", hint)
	}
	if e.output == outputJSON && !e.answered {
		e.encode(failure{Error: message, Hint: hint, Exit: int(kind)})
	}
}

// harmless is a message without what would command a terminal: images and
// packages have a say in it.
func harmless(message string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, message)
}

// failure is the JSON document of a command that had no result.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"`
}

// project finds the project and its settings.
func (e *environment) project() (*project.Project, error) {
	if !e.warned {
		e.warned = true
		for _, slip := range project.Slips() {
			e.reporter().Note("the variable %s is none that imgbuild reads; did you mean %s?", slip.Name, slip.Meant)
		}
	}
	p, err := project.Open(e.projectOptions())
	if err == nil {
		e.logger().Debug("settings", "project", p.Dir, "file", p.File, "archive", p.Config.Archive.Dir,
			"cache", p.Config.Cache.Dir, "catalog", p.Config.Catalog)
	}
	return p, err
}

func (e *environment) projectOptions() project.Options {
	return project.Options{Dir: e.projectDir, Flags: e.settings}
}

// command is a command line of this program as the user would type it: by the
// path they used, or the bare name.
func (e *environment) command(words ...string) string {
	return strings.Join(append([]string{e.program}, words...), " ")
}

// ask asks the person at the terminal for a password; nil when nobody is there.
func (e *environment) ask() project.Ask { return terminal.Ask(e.stdin, e.stderr) }

// reporter shows progress on standard error: bars on a terminal, structured
// logs with -v, plain lines otherwise.
func (e *environment) reporter() progress.Reporter {
	if e.reports == nil {
		switch {
		case e.verbose:
			e.reports = terminal.NewLog(e.logger(), time.Now)
		case terminal.Is(e.stderr):
			e.bars = terminal.NewBars(e.stderr, time.Now)
			e.reports = e.bars
		default:
			e.reports = terminal.NewLines(e.stderr, time.Now)
		}
	}
	return e.reports
}

// logger writes structured logs to standard error with -v, else nowhere.
func (e *environment) logger() *slog.Logger {
	if !e.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// closeBars stops drawing, so that something else can be written.
func (e *environment) closeBars() {
	if e.bars != nil {
		e.bars.Close()
		e.bars, e.reports = nil, nil
	}
}

// answer writes a command's result to standard output: as one JSON document,
// or as text. Either ends with the next command worth typing, for which a
// document has the key next, unless it is a list.
func (e *environment) answer(result any, text func(w io.Writer), next string) error {
	e.closeBars()
	e.answered = true
	if e.output == outputJSON {
		document, err := withNext(result, next)
		if err != nil {
			return err
		}
		return e.encode(document)
	}
	text(e.stdout)
	if next != "" {
		fmt.Fprintf(e.stdout, "\nnext: %s\n", next)
	}
	return nil
}

// withNext is a JSON document with one key more.
func withNext(result any, next string) (json.RawMessage, error) {
	document, err := marshal(result)
	if err != nil || next == "" || document[0] != '{' {
		return document, err
	}
	value, err := marshal(next)
	if err != nil {
		return nil, err
	}
	document = document[:len(document)-1]
	if len(document) > 1 {
		document = append(document, ',')
	}
	return slices.Concat(document, []byte(`"next":`), value, []byte("}")), nil
}

// marshal is json.Marshal, but leaves <, > and & for people to read.
func marshal(value any) (json.RawMessage, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("writing the result: %w", err)
	}
	return bytes.TrimSpace(text.Bytes()), nil
}

func (e *environment) encode(result any) error {
	encoder := json.NewEncoder(e.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
