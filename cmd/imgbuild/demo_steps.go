package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"imgbuild/builder/project"
	"imgbuild/images/baseline"
	"imgbuild/images/fault"
)

// demo runs commands of this program in a project of its own, as a user would.
type demo struct {
	env *environment
	// dir is the project's directory, absolute. mine are the settings of the user.
	dir  string
	mine project.Config
	// program is how commands are typed, and executable what they run.
	program, executable string
	steps               []demoStep
	codes               []error
}

// demoStep is one command of a demo.
type demoStep struct {
	// Why is the sentence that is told before it.
	Why string `json:"why"`
	// Command is as a user would type it, in the demo's directory.
	Command string  `json:"command"`
	Exit    int     `json:"exit"`
	Seconds float64 `json:"seconds"`
}

// demoLines is how many lines of a command's answer are shown.
const demoLines = 24

// demoPassword is the file with the password of a demo's keys: nobody is asked for one.
const demoPassword = ".imgbuild/key-password"

// newDemo finds what a demo goes by.
func newDemo(env *environment) (*demo, error) {
	p, err := env.project()
	if err != nil {
		return nil, err
	}
	d := &demo{env: env, mine: p.Config, program: env.program}
	if d.executable, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	if strings.ContainsRune(d.program, filepath.Separator) {
		// The commands run elsewhere.
		if d.program, err = filepath.Abs(d.program); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// enter makes the directory: dir, which must be new or empty, else a temporary one.
func (d *demo) enter(dir string) (err error) {
	if dir == "" {
		d.dir, err = os.MkdirTemp("", "imgbuild-demo-")
	} else if d.dir, err = filepath.Abs(dir); err == nil {
		err = os.MkdirAll(d.dir, 0o755)
	}
	if err != nil {
		return fault.Inputf("making the demo's directory").Because(err)
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fault.Inputf("making the demo's directory").Because(err)
	}
	if len(entries) > 0 {
		return fault.Inputf("the demo's directory %s is not empty", d.dir).WithHint("name a new one")
	}
	password := filepath.Join(d.dir, demoPassword)
	if err := os.MkdirAll(filepath.Dir(password), 0o755); err != nil {
		return err
	}
	return os.WriteFile(password, []byte(rand.Text()+"\n"), 0o600)
}

// begin makes the project. It has the user's ways to the mirrors and cache; the user's
// archive is sought in and not written to, for approvals are recorded beside the files.
func (d *demo) begin(ctx context.Context) error {
	if err := d.must(ctx, "Make a project: settings, keys, recipes. It is in a directory of its own, and nothing of yours is touched.",
		"init", ".", "--key-password-file", demoPassword); err != nil {
		return err
	}
	type places struct {
		Dir     string   `yaml:"dir"`
		Sources []string `yaml:"sources,omitempty"`
		Limit   string   `yaml:"limit,omitempty"`
	}
	settings, err := yaml.Marshal(struct {
		Mirror         string `yaml:"mirror,omitempty"`
		SecurityMirror string `yaml:"security-mirror,omitempty"`
		Snapshot       string `yaml:"snapshot,omitempty"`
		Keyring        string `yaml:"keyring,omitempty"`
		Proxy          string `yaml:"proxy,omitempty"`
		CA             string `yaml:"ca,omitempty"`
		Archive        places `yaml:"archive"`
		Cache          places `yaml:"cache"`
		Password       string `yaml:"key-password-file"`
	}{
		d.mine.Mirror, d.mine.SecurityMirror, d.mine.Snapshot, d.mine.Keyring, d.mine.Proxy, d.mine.CA,
		places{Dir: ".imgbuild/archive", Sources: append([]string{d.mine.Archive.Dir}, d.mine.Archive.Sources...)},
		places{Dir: d.mine.Cache.Dir, Limit: d.mine.Cache.Limit}, demoPassword,
	})
	if err != nil {
		return fmt.Errorf("writing the demo's settings: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, project.FileName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\n# Of the demo: its own archive, and your archive to look in, your cache and your mirrors.\n%s", settings)
	return errors.Join(err, f.Close())
}

// recipe writes the demo's own baseline, which extends another.
func (d *demo) recipe(parent *baseline.Recipe, disk bool) error {
	text := fmt.Sprintf("name: %s\ndescription: %[2]s, to see it rebuilt\nextends: %[2]s\n", demoBaseline, parent.Name)
	if !disk && parent.Outputs.VM != nil && parent.Outputs.Container != nil {
		text += "# A container alone is baked sooner.\nremove:\n  outputs: [vm]\n"
	}
	d.say("\n   And its baseline, in baselines/%s.yaml:\n\n%s\n", demoBaseline, text)
	return os.WriteFile(filepath.Join(d.dir, "baselines", demoBaseline+".yaml"), []byte(text), 0o644)
}

// parent loads the baseline that is to be shown, of the user's project or shipped. own
// says that it is the project's.
func (d *demo) parent(ctx context.Context, name string) (recipe *baseline.Recipe, own bool, err error) {
	if name == demoBaseline {
		return nil, false, fault.Inputf("the demo's own baseline is called %s", name).WithHint("name another one: %s", d.env.command("baselines", "list"))
	}
	source, err := d.env.baselines()
	if err != nil {
		return nil, false, err
	}
	defer source.Close()
	if recipe, err = loadBaseline(ctx, source, name, ""); err != nil {
		return nil, false, err
	}
	found, err := source.List(ctx)
	own = slices.ContainsFunc(found, func(l baseline.Listing) bool { return l.Name == name && l.Origin == "project" })
	return recipe, own, err
}

// copyRecipes takes what a project's recipes are made of.
func (d *demo) copyRecipes() error {
	p, err := d.env.project()
	if err != nil {
		return err
	}
	from, err := os.OpenRoot(p.Dir)
	if err != nil {
		return err
	}
	defer from.Close()
	for _, name := range []string{"baselines", "controls"} {
		part, err := fs.Sub(from.FS(), name)
		if err == nil {
			err = os.CopyFS(filepath.Join(d.dir, name), part)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("copying the %s of %s: %w", name, p.Dir, err)
		}
	}
	return nil
}

// must runs a command that the rest stands on.
func (d *demo) must(ctx context.Context, why string, words ...string) error {
	if err := d.may(ctx, why, words...); err != nil {
		return err
	}
	return d.last()
}

// last is what the last command ended with, as this one would.
func (d *demo) last() error { return d.codes[len(d.codes)-1] }

// may tells a command and runs it. How it ends is told, and is no error.
func (d *demo) may(ctx context.Context, why string, words ...string) error {
	command := d.typed(words...)
	d.say("\n%d. %s\n   $ %s\n\n", len(d.steps)+1, why, command)
	started := time.Now()
	cmd := d.command(ctx, words)
	cmd.Stderr = d.env.stderr
	var answer bytes.Buffer
	cmd.Stdout = &answer
	code, err := ended(ctx, cmd.Run())
	if err != nil {
		return fmt.Errorf("running %s: %w", command, err)
	}
	d.show(answer.String())
	var outcome error
	if code != 0 {
		d.say("   (exit code %d)\n", code)
		outcome = &fault.Error{Kind: fault.Kind(code), Message: fmt.Sprintf("%s ended with exit code %d", command, code), Hint: "it says why above; look at it: cd " + d.dir}
	}
	d.steps = append(d.steps, demoStep{why, command, code, time.Since(started).Seconds()})
	d.codes = append(d.codes, outcome)
	return nil
}

// ask runs a command for its document, and tells nothing.
func (d *demo) ask(ctx context.Context, document any, words ...string) error {
	cmd := d.command(ctx, append(words, "--output", "json"))
	var answer bytes.Buffer
	cmd.Stdout = &answer
	if _, err := ended(ctx, cmd.Run()); err != nil {
		return fmt.Errorf("running %s: %w", d.typed(words...), err)
	}
	if err := json.Unmarshal(answer.Bytes(), document); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", d.typed(words...), err)
	}
	return nil
}

// command is this program, in the demo's directory, without the settings that the
// environment has: the project's file has those that count.
func (d *demo) command(ctx context.Context, words []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.executable, words...)
	cmd.Args[0], cmd.Dir, cmd.Stdin = d.program, d.dir, nil
	own := append(settingVariables(), "PWD")
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !slices.Contains(own, name) {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = time.Minute
	return cmd
}

// settingVariables are the variables with settings that the environment has.
func settingVariables() []string {
	var set []string
	for _, s := range project.Settings() {
		if os.Getenv(s.Variable()) != "" {
			set = append(set, s.Variable())
		}
	}
	if os.Getenv(project.PasswordVariable) != "" {
		set = append(set, project.PasswordVariable)
	}
	return set
}

// ended is the exit code of a command, and an error where it has none.
func ended(ctx context.Context, err error) (int, error) {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode(), nil
	}
	return 0, err
}

// typed is a command line as a user would type it.
func (d *demo) typed(words ...string) string {
	quoted := []string{d.program}
	for _, word := range words {
		if word == "" || strings.ContainsAny(word, " \t\n'\"\\$&;|<>()*?[]#~`!{}") {
			word = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
		quoted = append(quoted, word)
	}
	return strings.Join(quoted, " ")
}

// show tells the beginning of an answer and its last lines, and not what it would have
// typed next: that is the next step.
func (d *demo) show(answer string) {
	if at := strings.LastIndex(answer, "\nnext: "); at >= 0 {
		answer = answer[:at]
	}
	lines := strings.Split(strings.TrimRight(answer, "\n"), "\n")
	const end = 3
	if left := len(lines) - demoLines - end; left > 1 {
		lines = append(append(lines[:demoLines:demoLines], fmt.Sprintf("… (%d lines more)", left)), lines[len(lines)-end:]...)
	}
	d.say("%s\n", strings.Join(lines, "\n"))
}

// say tells something: on standard output, or beside it where that is for one document.
func (d *demo) say(format string, args ...any) {
	w := d.env.stdout
	if d.env.output == outputJSON {
		w = d.env.stderr
	}
	fmt.Fprintf(w, format, args...)
}
