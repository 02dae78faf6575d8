package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"imgbuild/images/baseline/node"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
)

func newControlsDiffCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Show which controls changed between two versions or benchmarks",
		Long: `Compare the controls of two versions of the catalog, or of two benchmarks: which were
added and removed, and of which title, severity, sections or the desired state changed.
Of versions, controls are as they were defined when each was baked, by its signed
evidence; which results changed is told too, by the newest reports of both.`,
		Example: `  imgbuild controls diff debian-12-nginx:released debian-12-nginx
  imgbuild controls diff web:20260131.1 web:20260207.1 --output json
  imgbuild controls diff cis-debian-12 cis-debian-13`,
		Args: words("FROM", "TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return diffControls(cmd.Context(), env, args[0], args[1])
		},
	}
}

// controlsDiff is the document of controls diff --output json.
type controlsDiff struct {
	From     string           `json:"from"`
	To       string           `json:"to"`
	Controls []control.Change `json:"controls"`
	// Results are of versions of which the same output was scanned.
	Results []resultChange `json:"results"`
	scanned bool
}

// resultChange is a control that was held against an output of both versions
// with another result.
type resultChange struct {
	Control string         `json:"control"`
	Title   string         `json:"title"`
	Output  control.Output `json:"output"`
	From    control.Result `json:"from"`
	To      control.Result `json:"to"`
}

func diffControls(ctx context.Context, env *environment, from, to string) error {
	set, err := env.controlSet()
	if err != nil {
		return err
	}
	d := controlsDiff{From: from, To: to, Results: []resultChange{}}
	switch a, b := set.Benchmarks[from] != nil, set.Benchmarks[to] != nil; {
	case a && b:
		old, err := set.DefinitionsOf(from)
		if err != nil {
			return err
		}
		now, err := set.DefinitionsOf(to)
		if err != nil {
			return err
		}
		d.Controls = control.Compare(old, now)
	case a || b:
		is, other := to, from
		if a {
			is, other = from, to
		}
		return fault.Inputf("%q is a benchmark, and %q is none%s", is, other, node.Suggest(other, benchmarkIDs(set))).
			WithHint("compare two benchmarks, or two versions")
	default:
		if err := d.versions(ctx, env, set); err != nil {
			return err
		}
	}
	return env.answer(d, func(w io.Writer) { writeControlsDiff(w, d) }, "")
}

// versions compares two versions of the catalog.
func (d *controlsDiff) versions(ctx context.Context, env *environment, set *control.Set) error {
	p, c, err := env.catalog(ctx)
	if err != nil {
		return err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return err
	}
	var held [2]*evidence.Held
	for i, name := range []*string{&d.From, &d.To} {
		v, err := find(ctx, c, *name, catalog.AllowRevoked)
		if err != nil {
			if near := node.Nearest(*name, benchmarkIDs(set)); near != "" {
				return fault.Inputf("there is no benchmark %q; did you mean %q?", *name, near)
			}
			return err
		}
		*name = v.Ref()
		if held[i], err = evidence.HeldAgainst(ctx, c, v, trust); err != nil {
			return err
		}
		switch {
		case held[i].Known:
		case len(held[i].Controls) == 0:
			env.reporter().Note("%s was held against no control: it is not hardened, and was not scanned", v.Ref())
		default:
			env.reporter().Note("%s has a report, but its controls are not kept with it: what they demand is not compared", v.Ref())
		}
	}
	d.Controls = control.Compare(held[0].Controls, held[1].Controls)
	for _, output := range []control.Output{control.Container, control.Machine} {
		before, after := held[0].Findings[output], held[1].Findings[output]
		d.scanned = d.scanned || len(before) > 0 && len(after) > 0
		d.results(output, before, after)
	}
	return nil
}

func (d *controlsDiff) results(output control.Output, from, to []control.Finding) {
	old := map[string]control.Result{}
	for _, f := range from {
		old[f.Control] = f.Result
	}
	for _, f := range to {
		if was, held := old[f.Control]; held && was != f.Result {
			d.Results = append(d.Results, resultChange{f.Control, f.Title, output, was, f.Result})
		}
	}
}

func writeControlsDiff(w io.Writer, d controlsDiff) {
	signs := map[string]string{control.ChangeAdded: "+", control.ChangeRemoved: "-", control.ChangeChanged: "~"}
	kinds := []string{control.ChangeAdded, control.ChangeRemoved, control.ChangeChanged}
	count := map[string]int{}
	fmt.Fprintf(w, "%s to %s\n", d.From, d.To)
	for _, kind := range kinds {
		for _, c := range d.Controls {
			if c.Kind != kind {
				continue
			}
			count[kind]++
			fmt.Fprintf(w, "%s %-8s  %-44s  %s\n", signs[kind], c.Severity, shownText(c.Control), shownText(c.Title))
			for _, f := range c.Fields {
				fmt.Fprintf(w, "    %s: %s → %s\n", f.Name, noneOr(f.From), noneOr(f.To))
			}
			for _, line := range c.State {
				fmt.Fprintf(w, "    %s\n", shownText(line))
			}
		}
	}
	slices.SortStableFunc(d.Results, func(a, b resultChange) int { return strings.Compare(a.Control, b.Control) })
	if len(d.Results) > 0 {
		fmt.Fprintln(w, "\nresults that changed")
	}
	for _, r := range d.Results {
		fmt.Fprintf(w, "  %-9s  %-44s  %s → %s\n", r.Output, shownText(r.Control), r.From, r.To)
	}
	fmt.Fprintf(w, "\ncontrols added: %d, removed: %d, changed: %d", count[control.ChangeAdded], count[control.ChangeRemoved], count[control.ChangeChanged])
	if d.scanned {
		fmt.Fprintf(w, "; results that changed: %d", len(d.Results))
	}
	fmt.Fprintln(w)
}

func noneOr(text string) string {
	if text == "" {
		return "none"
	}
	return shownText(text)
}

// shownText is a text of a version without what would command a terminal.
func shownText(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
