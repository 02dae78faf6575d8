package main

import (
	"fmt"
	"io"
	"path/filepath"

	"imgbuild/builder"
	"imgbuild/builder/stage"
)

// plannedStage is one stage of bake --plan --output json.
type plannedStage struct {
	Stage string `json:"stage"`
	Kind  string `json:"kind"`
	ID    string `json:"id"`
	// Cached is true when a cache has the finished stage.
	Cached bool `json:"cached"`
}

// look shows or explains a plan. It opens no key, no catalog and no sandbox:
// whoever reviews a lock can plan.
func look(env *environment, w *workshop, plan *builder.Plan, first, show bool) error {
	cache, err := stage.Peek(filepath.Join(w.project.Config.Cache.Dir, stagesDir))
	if err != nil {
		return err
	}
	if first {
		env.reporter().Note("there is no lock yet: this is what today's packages come to")
	}
	if show {
		return showPlan(env, cache, plan)
	}
	return explainPlan(env, cache, plan)
}

func showPlan(env *environment, cache *stage.Cache, plan *builder.Plan) error {
	var stages []plannedStage
	for _, s := range plan.Steps() {
		stages = append(stages, plannedStage{Stage: s.Title, Kind: s.Kind, ID: string(s.ID()), Cached: cache.Has(s.ID())})
	}
	return env.answer(stages, func(w io.Writer) {
		for _, s := range stages {
			state := "to be made"
			if s.Cached {
				state = "cached"
			}
			fmt.Fprintf(w, "%-12s %-11s %s\n", s.ID[:12], state, s.Stage)
		}
	}, env.command("bake", plan.Recipe.Typed()))
}

// explainedStage is one stage of bake --explain --output json.
type explainedStage struct {
	Stage  string `json:"stage"`
	Cached bool   `json:"cached"`
	Why    string `json:"why,omitempty"`
}

func explainPlan(env *environment, cache *stage.Cache, plan *builder.Plan) error {
	explanations, err := plan.Explain(cache)
	if err != nil {
		return err
	}
	var stages []explainedStage
	for _, e := range explanations {
		s := explainedStage{Stage: e.Definition.Name, Cached: e.Cached}
		if !e.Cached {
			s.Why = e.String()
		}
		stages = append(stages, s)
	}
	return env.answer(stages, func(w io.Writer) {
		for _, e := range explanations {
			fmt.Fprintln(w, e)
		}
	}, env.command("bake", plan.Recipe.Typed()))
}
