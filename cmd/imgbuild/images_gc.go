package main

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/container"
	"imgbuild/builder/project"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/stage"
	"imgbuild/images/updates"
)

// collected is the document of images gc --output json.
type collected struct {
	// Blobs and BlobBytes are what no version named any more.
	Blobs     int   `json:"blobs"`
	BlobBytes int64 `json:"blob_bytes"`
	// Stages and StageBytes are what was cut from the cache.
	Stages     int   `json:"stages"`
	StageBytes int64 `json:"stage_bytes"`
	// LayerBytes are compressed container layers cut from the cache.
	LayerBytes int64 `json:"layer_bytes"`
}

func newImagesGCCommand(env *environment) *cobra.Command {
	var limit string
	cmd := &cobra.Command{
		Use:   "gc",
		Short: "Free the space of removed versions and of the cache beyond its limit",
		Long: `Remove blobs that no version names, what killed runs have left, and the stages and
compressed layers used least recently until each is within cache.limit. Versions, locks and the
archive of locked packages are never touched, nor is anything in use.`,
		Example: "  imgbuild images gc\n  imgbuild images gc --limit 0    empty the cache of stages",
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
			stages, err := stage.Open(filepath.Join(p.Config.Cache.Dir, "stages"), bound)
			if err != nil {
				return err
			}
			if err := stages.Sweep(ctx); err != nil {
				return err
			}
			gone, err := stages.GC(ctx, bound, nil)
			if err != nil {
				return err
			}
			layers, err := container.Prune(filepath.Join(p.Config.Cache.Dir, "layers"), bound, time.Now())
			if err != nil {
				return err
			}
			archive, err := updates.Open(p.Config.Archive.Dir)
			if err != nil {
				return err
			}
			if err := archive.Sweep(ctx); err != nil {
				return err
			}
			result := collected{Stages: len(gone), LayerBytes: layers}
			for _, s := range gone {
				result.StageBytes += s.Bytes
			}
			if project.IsRegistry(p.Config.Catalog) {
				env.reporter().Note("the catalog is a registry, which collects its garbage itself; the rest is collected")
			} else {
				blobs, err := c.GC(ctx)
				if err != nil {
					return err
				}
				result.Blobs, result.BlobBytes = blobs.Blobs, blobs.Bytes
			}
			return env.answer(result, func(w io.Writer) {
				fmt.Fprintf(w, "catalog  %d blobs, %d MiB freed\n", result.Blobs, result.BlobBytes>>20)
				fmt.Fprintf(w, "stages   %d, %d MiB freed\n", result.Stages, result.StageBytes>>20)
				fmt.Fprintf(w, "layers   %d MiB freed\n", result.LayerBytes>>20)
			}, env.command("images", "list"))
		},
	}
	cmd.Flags().StringVar(&limit, "limit", "", "`SIZE` to cut the cache down to (default: cache.limit)")
	return cmd
}
