package main

import (
	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
)

// shownBaseline is the document of baselines show --output json: the recipe, in
// which resources and variables have the values that YAML gives them.
type shownBaseline struct {
	*baseline.Recipe
	Resources    any                      `json:"resources,omitempty"`
	Boot         shownBoot                `json:"boot,omitzero"`
	Vars         map[string]shownVariable `json:"vars,omitempty"`
	Architecture string                   `json:"architecture"`
	Chain        []baseline.Generation    `json:"chain"`
	// Lines are the resolved recipe's, with --resolved.
	Lines []shownLine `json:"lines,omitempty"`
}

type shownBoot struct {
	baseline.Boot
	Resources any `json:"resources,omitempty"`
}

type shownVariable struct {
	baseline.Variable
	Default any `json:"default,omitempty"`
}

// shownLine is one line of the resolved recipe, as YAML, and where it comes from.
type shownLine struct {
	Text string `json:"text"`
	// File and Line are empty on the further lines of a text of many.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

func describeBaseline(r *baseline.Recipe, resolved bool) *shownBaseline {
	shown := &shownBaseline{
		Recipe: r, Resources: node.Plain(r.Resources), Architecture: r.Architecture, Chain: r.Chain(),
		Boot: shownBoot{Boot: r.Boot, Resources: node.Plain(r.Boot.Resources)},
		Vars: map[string]shownVariable{},
	}
	for name, v := range r.Vars {
		shown.Vars[name] = shownVariable{Variable: v, Default: node.Plain(v.Default)}
	}
	if !resolved {
		return shown
	}
	for _, l := range r.Lines() {
		line := shownLine{Text: l.Text}
		if l.Origin.Doc != nil {
			line.File, line.Line = l.Origin.Doc.Name, l.Origin.Line
		}
		shown.Lines = append(shown.Lines, line)
	}
	return shown
}
