package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"imgbuild/builder/scan/layers"
	"imgbuild/builder/scan/volume"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
)

// Disk opens a disk image, raw or qcow2.
func Disk(path string) (*Target, error) {
	v, err := volume.Open(path)
	if err != nil {
		return nil, err
	}
	t, err := newTarget(path, control.Machine, v, v.Close)
	if err == nil {
		t.Unseen = v.Unseen()
	}
	return t, err
}

// Container opens a container image. dir is an existing directory with room for
// its files, which are not seen there.
func Container(ctx context.Context, from layers.Source, dir string) (*Target, error) {
	image, err := layers.Open(ctx, from, layers.Options{Spool: dir})
	if err != nil {
		return nil, err
	}
	configuration, err := json.Marshal(image.Config)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", from, err), image.Close())
	}
	t, err := newTarget(from.String(), control.Container, image, image.Close)
	if err == nil {
		t.configuration = configuration
	}
	return t, err
}

// Version opens an output of a version. What is read of the catalog is verified
// by digest. dir is an existing directory with room for the output.
func Version(ctx context.Context, c *catalog.Catalog, v *catalog.Version, output control.Output, dir string) (*Target, error) {
	if output == control.Container {
		return Container(ctx, layers.FromCatalog(c, v), dir)
	}
	work, err := os.MkdirTemp(dir, "scan-")
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", v.Ref(), err)
	}
	disk := filepath.Join(work, "disk")
	var t *Target
	err = c.ExportDisk(ctx, v, v.Disks[0].Format, disk)
	if err == nil {
		t, err = Disk(disk)
	}
	// What is open stays readable.
	if err = errors.Join(err, os.RemoveAll(work)); err != nil {
		if t != nil {
			err = errors.Join(err, t.Close())
		}
		return nil, fmt.Errorf("opening %s: %w", v.Ref(), err)
	}
	t.Name = v.Ref()
	return t, nil
}
