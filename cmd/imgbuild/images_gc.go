package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/launch"
	"imgbuild/builder/project"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/scan"
	"imgbuild/builder/stage"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/updates"
)

// collected is the document of images gc --output json.
type collected struct {
	// Blobs and BlobBytes are what no version named any more.
	Blobs int `json:"blobs"`
	// Reports are scans of versions that newer ones have replaced.
	Reports   int   `json:"reports"`
	BlobBytes int64 `json:"blob_bytes"`
	// Stages and StageBytes are what was cut from the cache.
	Stages     int   `json:"stages"`
	StageBytes int64 `json:"stage_bytes"`
	// PackageBytes are unpacked packages cut from the cache, LayerBytes
	// compressed container layers, IndexBytes indexes of repositories.
	PackageBytes int64 `json:"package_bytes"`
	LayerBytes   int64 `json:"layer_bytes"`
	IndexBytes   int64 `json:"index_bytes"`
	// TriedBytes are the images of the last trials.
	TriedBytes int64 `json:"tried_bytes"`
}

func newImagesGCCommand(env *environment) *cobra.Command {
	var limit string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Free the space of removed versions and of the cache beyond its limit",
		Long: `Remove blobs that no version names, what killed runs have left, the images of the last
trials of updates, and of the cache what was used least recently until it is within
cache.limit: half of that for stages, a quarter for unpacked packages, an eighth each for
compressed layers and for indexes of repositories. Indexes that no lock has read for 30
days go in any case. Of a version with many scan reports those go that newer ones have
replaced; the first and the newest, and the newest with a boot trial, stay. Versions,
locks and the archive of locked packages are never touched, nor is a stage in use.`,
		Example: "  imgbuild images gc\n  imgbuild images gc --limit 0    empty the cache",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Stages hold files of many owners.
			if err := sandbox.Enter(); err != nil {
				return err
			}
			ctx := cmd.Context()
			p, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			bound := p.Config.Cache.LimitBytes
			if limit != "" {
				if bound, err = project.ParseSize(limit); err != nil {
					return err
				}
			}
			stages, err := stage.Open(filepath.Join(p.Config.Cache.Dir, stagesDir), bound)
			if err != nil {
				return err
			}
			if err := stages.Sweep(ctx); err != nil {
				return err
			}
			in := func(name string) string { return filepath.Join(p.Config.Cache.Dir, name) }
			caches := builder.Caches{
				Stages: stages, Unpacked: in(unpackedDir), Layers: in(layersDir),
				// The releases beside the indexes stay: older ones are refused by them.
				Indexes: filepath.Join(in(indexesDir), repo.Indexes),
			}
			freed, err := caches.Cut(ctx, bound, nil, time.Now())
			if err != nil {
				return err
			}
			archive, err := updates.Open(p.Config.Archive.Dir)
			if err != nil {
				return err
			}
			if err := errors.Join(archive.Sweep(ctx), scan.Sweep(ctx, in(scansDir)), launch.SweepScratch(ctx, in(trialsDir))); err != nil {
				return err
			}
			result := collected{
				Stages: freed.Stages, StageBytes: freed.StageBytes,
				PackageBytes: freed.PackageBytes, LayerBytes: freed.LayerBytes, IndexBytes: freed.IndexBytes,
			}
			if result.TriedBytes, err = forgetTried(ctx, in(triedDir), stages); err != nil {
				return err
			}
			if project.IsRegistry(p.Config.Catalog) {
				env.reporter().Note("the catalog is a registry, which collects its garbage itself; the rest is collected")
			} else {
				if result.Reports, err = env.forgetReports(ctx, p, c); err != nil {
					return err
				}
				blobs, err := c.GC(ctx)
				if err != nil {
					return err
				}
				result.Blobs, result.BlobBytes = blobs.Blobs, blobs.Bytes
			}
			return env.answer(result, func(w io.Writer) {
				fmt.Fprintf(w, "catalog            %d blobs, %d MiB freed\n", result.Blobs, result.BlobBytes>>20)
				fmt.Fprintf(w, "reports of scans   %d removed that newer ones have replaced\n", result.Reports)
				fmt.Fprintf(w, "images of trials   %d MiB freed\n", result.TriedBytes>>20)
				fmt.Fprintf(w, "stages             %d, %d MiB freed\n", result.Stages, result.StageBytes>>20)
				fmt.Fprintf(w, "unpacked packages  %d MiB freed\n", result.PackageBytes>>20)
				fmt.Fprintf(w, "compressed layers  %d MiB freed\n", result.LayerBytes>>20)
				fmt.Fprintf(w, "indexes            %d MiB freed\n", result.IndexBytes>>20)
			}, env.command("images", "list"))
		},
	}
	cmd.Flags().StringVar(&limit, "limit", "", "`SIZE` to cut the cache down to (default: cache.limit)")
	return cmd
}

// forgetReports removes the reports of scans that newer ones have replaced, and returns how
// many. A version of which not all can be believed keeps them, and is told.
func (e *environment) forgetReports(ctx context.Context, p *project.Project, c *catalog.Catalog) (removed int, err error) {
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return 0, err
	}
	baselines, err := c.Baselines(ctx)
	if err != nil {
		return 0, err
	}
	for _, name := range baselines {
		versions, _, err := c.ListAll(ctx, name)
		if err != nil {
			return removed, err
		}
		for _, v := range versions {
			old, err := evidence.Superseded(ctx, c, v, trust)
			if ctx.Err() != nil {
				return removed, context.Cause(ctx)
			}
			if err != nil {
				e.reporter().Note("the scan reports of %s are kept: %v", v.Ref(), err)
				continue
			}
			if err := c.Forget(ctx, v, old); err != nil {
				return removed, err
			}
			removed += len(old)
		}
	}
	return removed, nil
}
