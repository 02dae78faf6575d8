package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"imgbuild/builder/scan/layers"
	"imgbuild/builder/scan/openscap"
	"imgbuild/builder/scan/volume"
	"imgbuild/builder/scratch"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
)

// Disk opens a disk image, raw or qcow2.
func Disk(path string) (*Target, error) {
	v, err := volume.Open(path)
	if err != nil {
		return nil, err
	}
	return diskTarget(path, v)
}

func diskTarget(name string, v *volume.Volume) (*Target, error) {
	t, err := newTarget(name, control.Machine, v, v.Close)
	if err == nil {
		t.Unseen = v.Unseen()
	}
	return t, err
}

// workPrefix begins the names of directories that scans work in.
const workPrefix = "scan-"

// Sweep removes what killed scans have left below dir.
func Sweep(ctx context.Context, dir string) error {
	return errors.Join(scratch.Sweep(ctx, dir, workPrefix, nil), scratch.Sweep(ctx, dir, openscap.WorkPrefix, nil))
}

// Container opens a container image. dir is an existing directory with room for
// its files.
func Container(ctx context.Context, from layers.Source, dir string) (*Target, error) {
	work, err := scratch.New(ctx, dir, workPrefix, nil)
	if err != nil {
		return nil, err
	}
	image, err := layers.Open(ctx, from, layers.Options{Spool: work.Path})
	// What is open stays readable.
	if err = errors.Join(err, work.Close()); err != nil {
		if image != nil {
			err = errors.Join(err, image.Close())
		}
		return nil, err
	}
	configuration, err := json.Marshal(image.Config)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", from, err), image.Close())
	}
	t, err := newTarget(from.String(), control.Container, image, image.Close)
	if err == nil {
		t.image, t.configuration = image, configuration
	}
	return t, err
}

// Version opens an output of a version. What is read of the catalog is verified
// by digest. dir is an existing directory with room for the output. Of several
// disks the first is opened, and the others are held against it, byte for byte:
// one that is another is a part that is not seen.
func Version(ctx context.Context, c *catalog.Catalog, v *catalog.Version, output control.Output, dir string) (*Target, error) {
	if output == control.Container {
		return Container(ctx, layers.FromCatalog(c, v), dir)
	}
	t, err := disks(ctx, c, v, dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", v.Ref(), err)
	}
	return t, nil
}

func disks(ctx context.Context, c *catalog.Catalog, v *catalog.Version, dir string) (_ *Target, err error) {
	work, err := scratch.New(ctx, dir, workPrefix, nil)
	if err != nil {
		return nil, err
	}
	var first *volume.Volume
	var unseen []string
	defer func() {
		// What is open stays readable.
		if err = errors.Join(err, work.Close()); err != nil && first != nil {
			err = errors.Join(err, first.Close())
		}
	}()
	for i, d := range v.Disks {
		path := filepath.Join(work.Path, d.Format)
		if err := c.ExportDisk(ctx, v, d.Format, path); err != nil {
			return nil, err
		}
		disk, err := volume.Open(path)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = disk
			continue
		}
		at, err := volume.Difference(ctx, first, disk)
		if err = errors.Join(err, disk.Close()); err != nil {
			return nil, fmt.Errorf("comparing the %s disk with the %s one: %w", d.Format, v.Disks[0].Format, err)
		}
		if at >= 0 {
			unseen = append(unseen, fmt.Sprintf("the %s disk: from byte %d on it is not what the %s one is", d.Format, at, v.Disks[0].Format))
		}
	}
	t, err := diskTarget(v.Ref(), first)
	if err != nil {
		first = nil // it is closed
		return nil, err
	}
	t.Unseen = append(t.Unseen, unseen...)
	return t, nil
}
