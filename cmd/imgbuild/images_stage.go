package main

import (
	"context"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// stagePrefix is a stage's id, or its first digits: twelve are what other
// commands show of one.
var stagePrefix = regexp.MustCompile(`^[0-9a-f]{12,64}$`)

// listStage lists the versions with a stage whose id starts as given. Several
// versions may have the same stage, but the digits must mean one.
func listStage(ctx context.Context, env *environment, baseline, prefix string) error {
	if !stagePrefix.MatchString(prefix) {
		return fault.Inputf("%q is not the id of a stage", prefix).
			WithHint("give 12 to 64 hexadecimal digits, as IMAGE_VERSION in /etc/os-release of a server has them")
	}
	all, err := listAll(ctx, env, baseline)
	if err != nil {
		return err
	}
	found, unknown := []listedImage{}, []string{}
	ids := map[string]bool{}
	for _, l := range all {
		if l.Damaged != "" {
			unknown = append(unknown, l.Image)
		}
		matching := slices.DeleteFunc(slices.Collect(maps.Values(l.Stages)), func(id string) bool { return !strings.HasPrefix(id, prefix) })
		for _, id := range matching {
			ids[id] = true
		}
		if len(matching) > 0 {
			found = append(found, l)
		}
	}
	switch {
	case len(ids) > 1:
		return fault.Inputf("%d stages start with %s: %s", len(ids), prefix, strings.Join(slices.Sorted(maps.Keys(ids)), ", ")).
			WithHint("give more digits")
	case len(found) == 0 && len(unknown) > 0:
		return fault.Inputf("no version in the catalog has the stage %s, as far as it can be read: %s cannot", prefix, strings.Join(unknown, ", ")).
			WithHint("%s says why", env.command("images", "verify", unknown[0]))
	case len(found) == 0:
		return fault.Inputf("no version in the catalog has the stage %s", prefix).
			WithHint("it was removed, or is in another catalog: name that with --catalog")
	}
	return env.answer(found, func(w io.Writer) { writeListed(w, found) }, env.command("images", "show", found[0].Image))
}
