package main

import (
	"context"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

func newImagesCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "images",
		Short: "List, inspect, verify and move the versions in the catalog",
		Long: `The catalog holds every version of every image with its evidence: a directory by
default, a registry when catalog: says so. An IMAGE is named by version
(web:20260131.1), by channel (web:released), by digest (web@sha256:…), or by its
baseline alone, which means the newest version that is not revoked; where an image
is run or exported, the newest that is not rejected by its gates either.

Without a further word, list what the catalog has.`,
		Example: "  imgbuild images\n  imgbuild images show debian-12-nginx\n  imgbuild images promote debian-12-nginx:20260131.1 released",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listImages(cmd.Context(), env, "") },
	}
	cmd.AddCommand(
		newImagesListCommand(env),
		newImagesShowCommand(env),
		newImagesHistoryCommand(env),
		newImagesDiffCommand(env),
		newImagesVerifyCommand(env),
		newImagesPromoteCommand(env),
		newImagesRevokeCommand(env),
		newImagesExportCommand(env),
		newImagesRmCommand(env),
		newImagesGCCommand(env),
	)
	return cmd
}

// catalog opens the configured catalog with the keys that count in it.
func (e *environment) catalog(ctx context.Context) (*project.Project, *catalog.Catalog, error) {
	p, err := e.project()
	if err != nil {
		return nil, nil, err
	}
	opened, err := e.catalogAt(ctx, p, p.Config.Catalog)
	return p, opened, err
}

// catalogAt opens the catalog at another place than the configured one.
func (e *environment) catalogAt(ctx context.Context, p *project.Project, place string) (*catalog.Catalog, error) {
	trust, err := p.Trust(place)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if err := p.ReachRegistries(transport); err != nil {
		return nil, err
	}
	return catalog.Open(ctx, catalog.Config{
		Location: place, Trust: trust, Transport: transport,
		Locks: filepath.Join(p.Config.Cache.Dir, "locks"), Memory: filepath.Join(p.StateDir(), "catalogs"),
	})
}

// find resolves an IMAGE of the command line. A baseline's bare name means its
// newest version; revoked says whether a revoked one will do. A damaged one is
// not passed over: whoever wants an older version says so.
func find(ctx context.Context, c *catalog.Catalog, image string, revoked catalog.Revoked) (*catalog.Version, error) {
	if at := strings.IndexAny(image, ":@"); at >= 0 {
		v, err := c.Resolve(ctx, image, revoked)
		if fault.KindOf(err) != fault.Input || catalog.CheckBaseline(image[:at]) != nil {
			return v, err
		}
		// Whose baseline was never baked has no use for a word about channels.
		if versions, damaged, failed := c.ListAll(ctx, image[:at]); failed == nil && len(versions)+len(damaged) == 0 {
			return nil, noImages(image[:at])
		}
		return nil, err
	}
	if err := catalog.CheckBaseline(image); err != nil {
		return nil, err
	}
	versions, damaged, err := c.ListAll(ctx, image)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if len(damaged) > 0 && damaged[0].After(v) {
			return nil, damaged[0]
		}
		revocation, err := c.Revocation(ctx, v)
		if err != nil {
			return nil, err
		}
		if revocation == nil {
			return v, nil
		}
	}
	switch {
	case len(damaged) > 0:
		return nil, damaged[0]
	case len(versions) == 0:
		return nil, noImages(image)
	}
	if revoked == catalog.AllowRevoked {
		return versions[0], nil
	}
	return nil, fault.Gatef("every version of %s is revoked", image).WithHint("imgbuild images list %s says why", image)
}

// findUsable resolves an IMAGE that is to be used. A bare name passes over
// versions that their gates reject, and says so; one that is named by number or
// digest is taken, for whoever names it wants it; a channel gives none.
func (e *environment) findUsable(ctx context.Context, c *catalog.Catalog, image string, revoked catalog.Revoked) (*catalog.Version, error) {
	newest, err := find(ctx, c, image, revoked)
	if err != nil {
		return nil, err
	}
	scope, err := judgedFor(ctx, c, image)
	if err != nil {
		return nil, err
	}
	verdict, err := c.Verdict(ctx, newest, scope)
	if err != nil || !verdict.Rejects() {
		return newest, err
	}
	if strings.ContainsAny(image, ":@") {
		e.reporter().Note("%s is rejected by its gates: %s", newest.Ref(), harmless(verdict.Reasons(reasonsShown)))
		return newest, nil
	}
	versions, err := c.List(ctx, image)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		verdict, err := c.Verdict(ctx, v, "")
		if err != nil {
			return nil, err
		}
		revocation, err := c.Revocation(ctx, v)
		if err != nil {
			return nil, err
		}
		if revocation == nil && !verdict.Rejects() {
			e.reporter().Note("%s is newer, but rejected by its gates; it is passed over", newest.Ref())
			return v, nil
		}
	}
	return nil, fault.Gatef("every version of %s is rejected by its gates, or revoked", image).
		WithHint("%s says why; one that is named by its number is taken all the same: %s", e.command("images", "show", image), newest.Ref())
}

// judgedFor is whom an IMAGE was judged for: that of the newest move of a
// channel, else everybody.
func judgedFor(ctx context.Context, c *catalog.Catalog, image string) (string, error) {
	ref, err := catalog.ParseReference(image)
	if err != nil || ref.Channel == "" {
		return "", nil // a bare name is none
	}
	moves, err := c.Moves(ctx, ref.Baseline, ref.Channel)
	if err != nil || len(moves) == 0 {
		return "", err
	}
	return moves[len(moves)-1].For, nil
}

// reasonsShown is how many reasons of a rejection a line has.
const reasonsShown = 3

func noImages(baseline string) error {
	return fault.Inputf("the catalog has no image of %q", baseline).WithHint("imgbuild bake %s makes one", baseline)
}

// orMe names the person for a record: user@machine unless they say otherwise.
func orMe(name string) string {
	if name != "" {
		return name
	}
	name = "unknown"
	if me, err := user.Current(); err == nil {
		name = me.Username
	}
	if machine, err := os.Hostname(); err == nil {
		name += "@" + machine
	}
	return name
}
