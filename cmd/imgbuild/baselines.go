package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/baselines"
	"imgbuild/provisioners"
)

func newBaselinesCommand(env *environment) *cobra.Command {
	list := func(cmd *cobra.Command, _ []string) error { return listBaselines(cmd.Context(), env) }
	cmd := &cobra.Command{
		Use:   "baselines",
		Short: "List and show baselines: the project's own and the shipped ones",
		Long: `A baseline is a recipe: what an image consists of. Your own are in baselines/ of
the project, one NAME.yaml each; the shipped ones come with the program. Without
a further word, list them.`,
		Example: "  imgbuild baselines\n  imgbuild baselines show debian-12-nginx --resolved",
		Args:    cobra.NoArgs,
		RunE:    list,
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the baselines",
		Long:    "List the project's own baselines and the shipped ones. Your own hides a shipped one\nof the same name.",
		Example: "  imgbuild baselines list\n  imgbuild baselines list --output json",
		Args:    cobra.NoArgs,
		RunE:    list,
	}, newBaselinesShowCommand(env), newBaselinesSchemaCommand(env))
	return cmd
}

func newBaselinesSchemaCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Write the JSON Schema of recipes, for editors",
		Long:    "Write the JSON Schema (draft 2020-12) of recipes to standard output. Editors complete\nand check recipes by it; the loader is stricter still.",
		Example: "  imgbuild baselines schema > baseline.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := provisioners.Schema()
			if err != nil {
				return err
			}
			_, err = env.stdout.Write(schema)
			return err
		},
	}
}

// listedBaseline is an entry of baselines list --output json.
type listedBaseline struct {
	Name        string `json:"name"`
	Origin      string `json:"origin"`
	File        string `json:"file"`
	Description string `json:"description,omitempty"`
	// Problem says why the recipe cannot be used.
	Problem string `json:"problem,omitempty"`
}

func listBaselines(ctx context.Context, env *environment) error {
	source, err := env.baselines()
	if err != nil {
		return err
	}
	defer source.Close()
	found, err := source.List(ctx)
	if err != nil {
		return err
	}
	listed := make([]listedBaseline, 0, len(found))
	for _, l := range found {
		entry := listedBaseline{Name: l.Name, Origin: l.Origin, File: l.File}
		if recipe, err := loadBaseline(ctx, source, l.Name, ""); err != nil {
			entry.Problem = err.Error()
		} else {
			entry.Description = recipe.Description
		}
		listed = append(listed, entry)
	}
	return env.answer(listed, func(w io.Writer) {
		for _, l := range listed {
			text := l.Description
			if l.Problem != "" {
				text = "cannot be used: " + l.Problem
			}
			fmt.Fprintf(w, "%-20s %-8s %s\n", l.Name, l.Origin, text)
		}
	}, env.command("baselines", "show", "NAME", "--resolved"))
}

// loadBaseline loads a recipe and refuses one that cannot be locked.
func loadBaseline(ctx context.Context, source *baseline.Source, name, arch string) (*baseline.Recipe, error) {
	recipe, err := baseline.Load(ctx, source, name, arch)
	if err != nil {
		return nil, err
	}
	return recipe, builder.Check(recipe)
}

// baselines opens the project's recipes and the shipped ones.
func (e *environment) baselines() (*baseline.Source, error) {
	p, err := e.project()
	if err != nil {
		return nil, err
	}
	return baseline.NewSource(p.Dir, baselines.FS())
}

func newBaselinesShowCommand(env *environment) *cobra.Command {
	var resolved bool
	var arch string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a baseline, and where each line of it comes from",
		Long: `Show what a baseline consists of. With --resolved, show the whole recipe after it
was merged with its ancestors: each line with the file and line that it comes
from. Mistakes are reported with file, line and column.`,
		Example: "  imgbuild baselines show debian-12-nginx\n  imgbuild baselines show debian-12-nginx --resolved\n  imgbuild baselines show debian-12 --arch arm64 --output json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := env.baselines()
			if err != nil {
				return err
			}
			defer source.Close()
			recipe, err := loadBaseline(cmd.Context(), source, args[0], arch)
			if err != nil {
				return err
			}
			shown := describeBaseline(recipe, resolved)
			if resolved {
				return env.answer(shown, func(w io.Writer) { writeResolved(w, recipe) }, env.command("bake", recipe.Typed()))
			}
			return env.answer(shown, func(w io.Writer) { writeBaseline(w, recipe) }, env.command("baselines", "show", recipe.Typed(), "--resolved"))
		},
	}
	cmd.Flags().BoolVar(&resolved, "resolved", false, "the merged recipe, each line with its origin")
	cmd.Flags().StringVar(&arch, "arch", "", "`ARCHITECTURE` to show it for, as Debian names it (default: its first)")
	return cmd
}

func writeBaseline(w io.Writer, r *baseline.Recipe) {
	fmt.Fprintf(w, "%s: %s\n", r.Name, r.Description)
	fmt.Fprintf(w, "  release      %s for %s\n", r.Suite, r.Architecture)
	for i, g := range r.Chain() {
		word := "extends"
		if i == len(r.Chain())-1 {
			word = "itself"
		}
		fmt.Fprintf(w, "  %-12s %s (%s)\n", word, g.Name, g.File)
		if len(g.Packages) > 0 {
			fmt.Fprintf(w, "  %-12s   packages: %s\n", "", strings.Join(g.Packages, " "))
		}
		if len(g.BootPackages) > 0 {
			fmt.Fprintf(w, "  %-12s   to boot: %s\n", "", strings.Join(g.BootPackages, " "))
		}
	}
	if c := r.Outputs.Container; c != nil {
		fmt.Fprintf(w, "  %-12s container: %s\n", "output", strings.Join(append(c.Entrypoint, c.Cmd...), " "))
	}
	if vm := r.Outputs.VM; vm != nil {
		fmt.Fprintf(w, "  %-12s disk: %s\n", "output", strings.Join(vm.Formats, " "))
	}
}

func writeResolved(w io.Writer, r *baseline.Recipe) {
	lines := r.Lines()
	width := 0
	for _, l := range lines {
		width = max(width, min(len(l.Text), 72))
	}
	for _, l := range lines {
		if l.Origin.Doc == nil {
			fmt.Fprintln(w, l.Text)
			continue
		}
		fmt.Fprintf(w, "%-*s  # %s:%d\n", width, l.Text, l.Origin.Doc.Name, l.Origin.Line)
	}
}
