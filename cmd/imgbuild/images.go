package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

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
baseline alone, which means the newest version that is not revoked.

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
// newest version; revoked says whether a revoked one will do.
func find(ctx context.Context, c *catalog.Catalog, image string, revoked catalog.Revoked) (*catalog.Version, error) {
	if strings.ContainsAny(image, ":@") {
		return c.Resolve(ctx, image, revoked)
	}
	if err := catalog.CheckBaseline(image); err != nil {
		return nil, err
	}
	versions, err := c.List(ctx, image)
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		revocation, err := c.Revocation(ctx, v)
		if err != nil {
			return nil, err
		}
		if revocation == nil {
			return v, nil
		}
	}
	if len(versions) == 0 {
		return nil, noImages(image)
	}
	if revoked == catalog.AllowRevoked {
		return versions[0], nil
	}
	return nil, fault.Gatef("every version of %s is revoked", image).WithHint("imgbuild images list %s says why", image)
}

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

// listedImage is an entry of images list --output json.
type listedImage struct {
	Image    string    `json:"image"`
	Digest   string    `json:"digest"`
	Baked    time.Time `json:"baked"`
	Outputs  []string  `json:"outputs"`
	Channels []string  `json:"channels,omitempty"`
	// Revoked is the reason of a revocation.
	Revoked string `json:"revoked,omitempty"`
	// Problem says what about the version's records cannot be believed.
	Problem string `json:"problem,omitempty"`
}

func newImagesListCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "list [BASELINE]",
		Short:   "List the versions in the catalog",
		Long:    "List the versions of one baseline or of all, newest first, with the channels that\npoint to them and whether they are revoked.",
		Example: "  imgbuild images list\n  imgbuild images list debian-12-nginx --output json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			baseline := ""
			if len(args) == 1 {
				baseline = args[0]
			}
			return listImages(cmd.Context(), env, baseline)
		},
	}
}

func listImages(ctx context.Context, env *environment, baseline string) error {
	_, c, err := env.catalog(ctx)
	if err != nil {
		return err
	}
	baselines := []string{baseline}
	if baseline == "" {
		if baselines, err = c.Baselines(ctx); err != nil {
			return err
		}
	}
	listed := []listedImage{}
	for _, b := range baselines {
		found, err := listBaseline(ctx, c, b)
		if err != nil {
			return err
		}
		listed = append(listed, found...)
	}
	if baseline != "" && len(listed) == 0 {
		return noImages(baseline)
	}
	next := env.command("bake", "debian-12-nginx")
	if len(listed) > 0 {
		next = env.command("images", "show", listed[0].Image)
	}
	return env.answer(listed, func(w io.Writer) {
		if len(listed) == 0 {
			fmt.Fprintln(w, "the catalog is empty")
		}
		for _, l := range listed {
			fmt.Fprintf(w, "%-32s %s  %-16s %s\n", l.Image, l.Baked.Format("2006-01-02 15:04"), strings.Join(l.Outputs, " "), l.remark())
		}
	}, next)
}

func (l listedImage) remark() string {
	if l.Problem != "" {
		return "DOUBTFUL: " + l.Problem
	}
	words := strings.Join(l.Channels, " ")
	if l.Revoked != "" {
		words = strings.TrimSpace(words + " revoked: " + l.Revoked)
	}
	return words
}

func listBaseline(ctx context.Context, c *catalog.Catalog, baseline string) ([]listedImage, error) {
	versions, err := c.List(ctx, baseline)
	if err != nil {
		return nil, err
	}
	channels, err := c.Channels(ctx, baseline)
	if err != nil {
		return nil, err
	}
	var listed []listedImage
	for _, v := range versions {
		l := listedImage{Image: v.Ref(), Digest: v.Index.Digest.String(), Baked: v.Baked, Outputs: outputsOf(v)}
		for _, ch := range channels {
			if ch.Head != nil && ch.Head.Digest == v.Index.Digest {
				l.Channels = append(l.Channels, ch.Name)
			}
		}
		if r, err := c.Revocation(ctx, v); err != nil {
			l.Problem = err.Error()
		} else if r != nil {
			l.Revoked = r.Reason
		}
		listed = append(listed, l)
	}
	for _, ch := range channels {
		if ch.Err != nil && len(listed) > 0 {
			listed[0].Problem = strings.TrimPrefix(listed[0].Problem+"; channel "+ch.Name+": "+ch.Err.Error(), "; ")
		}
	}
	return listed, nil
}

func outputsOf(v *catalog.Version) []string {
	outputs := []string{}
	if v.Container != nil {
		outputs = append(outputs, "container")
	}
	for _, d := range v.Disks {
		outputs = append(outputs, d.Format)
	}
	return outputs
}
