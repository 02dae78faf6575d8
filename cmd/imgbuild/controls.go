package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

func newControlsCommand(env *environment) *cobra.Command {
	f := controlsFlags{level: maxLevel}
	list := func(*cobra.Command, []string) error { return listControls(env, f) }
	cmd := &cobra.Command{
		Use:   "controls",
		Short: "List, show and compare the hardening rules",
		Long: `A control is one hardening rule: a desired state, why it is desired, and the sections
of benchmarks that ask for it. Bakes apply those that the profiles of a recipe take,
scans hold all of a benchmark against the finished image. Controls come with the
program; a project's own are in its folder controls/. Without a further word, list
them.`,
		Example: "  imgbuild controls\n  imgbuild controls show sshd-no-root\n  imgbuild controls diff cis-debian-12 cis-debian-13",
		Args:    noWord,
		RunE:    list,
	}
	listing := &cobra.Command{
		Use:     "list",
		Short:   "List the controls",
		Long:    "List the controls by id; with --benchmark those that it asks for, with their sections.",
		Example: "  imgbuild controls list\n  imgbuild controls list --benchmark cis-debian-12 --level 1 --output json",
		Args:    cobra.NoArgs,
		RunE:    list,
	}
	flags := listing.Flags()
	flags.StringVar(&f.benchmark, "benchmark", "", "only those of a `BENCHMARK`")
	flags.IntVar(&f.level, "level", maxLevel, "only those of sections up to this `LEVEL`: 1 or 2")
	cmd.AddCommand(listing, newControlsShowCommand(env), newControlsDiffCommand(env))
	return cmd
}

// maxLevel is the highest level of a benchmark's sections.
const maxLevel = 2

type controlsFlags struct {
	benchmark string
	level     int
}

// controlSet reads the shipped controls and the project's.
func (e *environment) controlSet() (*control.Set, error) {
	source, err := e.baselines()
	if err != nil {
		return nil, err
	}
	set, err := source.Controls()
	if closed := source.Close(); err == nil {
		err = closed
	}
	return set, err
}

// listedControl is an entry of controls list --output json.
type listedControl struct {
	ID         string              `json:"id"`
	Title      string              `json:"title"`
	Severity   control.Severity    `json:"severity"`
	References []control.Reference `json:"references"`
}

func listControls(env *environment, f controlsFlags) error {
	if f.level != 1 && f.level != maxLevel {
		return fault.Inputf("--level is %d", f.level).WithHint("use 1 or 2")
	}
	set, err := env.controlSet()
	if err != nil {
		return err
	}
	if f.benchmark != "" {
		if err := set.Known(f.benchmark); err != nil {
			return err
		}
	}
	listed := []listedControl{}
	for _, id := range set.IDs() {
		c := set.Controls[id]
		entry := listedControl{ID: id, Title: c.Title, Severity: c.Severity, References: []control.Reference{}}
		for _, r := range set.References(id) {
			if r.Level <= f.level && (f.benchmark == "" || r.Benchmark == f.benchmark) {
				entry.References = append(entry.References, r)
			}
		}
		// Without a choice those of the project are listed too that no section
		// asks for.
		if f.benchmark == "" && f.level == maxLevel || slices.ContainsFunc(entry.References, func(r control.Reference) bool { return r.Level > 0 }) {
			listed = append(listed, entry)
		}
	}
	return env.answer(listed, func(w io.Writer) {
		for _, c := range listed {
			sections := ""
			if f.benchmark != "" {
				sections = fmt.Sprintf("%-20s  ", sectionsOf(c.References))
			}
			fmt.Fprintf(w, "%-8s  %s%-44s  %s\n", c.Severity, sections, c.ID, c.Title)
		}
	}, env.command("controls", "show", "ID"))
}

// sectionsOf are the sections of one benchmark, in short.
func sectionsOf(references []control.Reference) string {
	var list []string
	for _, r := range references {
		list = append(list, r.Section)
	}
	return strings.Join(list, " ")
}

func benchmarkIDs(set *control.Set) []string {
	var ids []string
	for id := range set.Benchmarks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// shownControl is the document of controls show --output json.
type shownControl struct {
	ID string `json:"id"`
	*control.Control
	// Resources is the desired state as it is defined.
	Resources  []string            `json:"resources"`
	When       []string            `json:"when,omitempty"`
	References []control.Reference `json:"references"`
	Defined    string              `json:"defined"`
}

func newControlsShowCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show a control: what it demands, why, and who asks for it",
		Long:    "Show a control: the state it demands, why, what may stop to work, and the sections of\nbenchmarks that ask for it.",
		Example: "  imgbuild controls show sshd-no-root\n  imgbuild controls show sshd-no-root --output json",
		Args:    words("ID"),
		RunE: func(_ *cobra.Command, args []string) error {
			set, err := env.controlSet()
			if err != nil {
				return err
			}
			c, ok := set.Controls[args[0]]
			if !ok {
				return fault.Inputf("there is no control %q%s", args[0], node.Suggest(args[0], set.IDs())).WithHint("%s lists them", env.command("controls", "list"))
			}
			shown := shownControl{
				ID: c.ID, Control: c, Resources: yamlLines(c.Resources), When: yamlLines(c.When),
				References: append([]control.Reference{}, set.References(c.ID)...), Defined: c.Pos().String(),
			}
			return env.answer(shown, func(w io.Writer) { writeControl(w, shown) }, "")
		},
	}
}

// yamlLines is a tree as YAML, a line each.
func yamlLines(n *node.Node) []string {
	if n == nil {
		return nil
	}
	var lines []string
	for _, line := range node.Lines(n) {
		lines = append(lines, line.Text)
	}
	return lines
}

func writeControl(w io.Writer, c shownControl) {
	fmt.Fprintf(w, "%s: %s\n", c.ID, c.Title)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-11s  %s\n", name, value)
		}
	}
	row("severity", string(c.Severity))
	row("why", c.Rationale)
	row("impact", c.Impact)
	row("platforms", strings.Join(c.Platforms, " "))
	var outputs []string
	for _, o := range c.Outputs {
		outputs = append(outputs, string(o))
	}
	row("outputs", strings.Join(outputs, " "))
	// Requirements of guides have no level, and there may be many of one guide.
	for i, r := range c.References {
		switch {
		case r.Level > 0:
			row("asked for", fmt.Sprintf("%s %s, section %s, level %d", r.Benchmark, r.Version, r.Section, r.Level))
		case i == 0 || c.References[i-1].Benchmark != r.Benchmark:
			row("helps with", strings.TrimSpace(r.Benchmark+" "+r.Version)+", "+r.Section)
		default:
			row(" ", r.Section)
		}
	}
	for i, line := range c.When {
		row([]string{"when", " "}[min(i, 1)], line)
	}
	for i, line := range c.Resources {
		row([]string{"state", " "}[min(i, 1)], line)
	}
	row("defined", c.Defined)
}
