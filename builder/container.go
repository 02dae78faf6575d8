package builder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/container"
	"imgbuild/builder/seal"
	"imgbuild/builder/stage"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
)

// container writes the container image into the draft.
func (b *Builder) container(ctx context.Context, plan *Plan, made *outputs, draft *catalog.Draft) (*ocispec.Descriptor, error) {
	task := b.Report.Start("container", 0, 0)
	manifest, err := readManifest(made.evidence[0])
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	sealed, err := resultOf[seal.Result](made.root[len(made.root)-1])
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	spec := plan.containerSpec()
	if sealed.Regenerates {
		spec.Config.Entrypoint = append([]string{seal.EntryPoint}, spec.Config.Entrypoint...)
	}
	var result *container.Result
	err = b.view(ctx, made.root, func(root string) (err error) {
		spec.Root, spec.Entries, spec.CacheDir = root, manifest, b.LayerCache
		if spec.Owner, err = owners(root, made.root); err != nil {
			return err
		}
		result, err = container.Build(ctx, spec, draft)
		return err
	})
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	task.Done(fmt.Sprintf("%d layers, %d of them new", len(result.Layers), result.Compressed))
	return &result.Manifest, nil
}

// owners tells which package a path comes from, by dpkg's lists; what stages
// other than packages' wrote belongs to none.
func owners(root string, stages []*stage.Stage) (func(string) string, error) {
	of := map[string]string{}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	lists, err := fs.Glob(dir.FS(), "var/lib/dpkg/info/*.list")
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		name := strings.TrimSuffix(filepath.Base(list), ".list")
		name, _, _ = strings.Cut(name, ":")
		if err := readList(dir.FS(), list, func(path string) { of[path] = name }); err != nil {
			return nil, fmt.Errorf("reading package lists: %w", err)
		}
	}
	for _, s := range stages {
		if s.Definition.Kind == "packages" {
			continue
		}
		err := filepath.WalkDir(s.Diff(), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				delete(of, strings.TrimPrefix(strings.TrimPrefix(path, s.Diff()), "/"))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading stage %s: %w", s.ID.Short(), err)
		}
	}
	return func(path string) string {
		if info, ok := strings.CutPrefix(path, "var/lib/dpkg/info/"); ok {
			name, _, _ := strings.Cut(strings.TrimSuffix(info, filepath.Ext(info)), ":")
			return name
		}
		return of[path]
	}, nil
}

// readList calls do for each path of a package's list, relative to the root
// and as it lies on a system whose /bin, /sbin and /lib* are links into /usr.
func readList(root fs.FS, list string, do func(path string)) (err error) {
	// It may be a link, but not out of the root, and not to a pipe.
	if info, err := fs.Stat(root, list); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fault.Worldf("%s is no regular file", list))
	}
	f, err := root.Open(list)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		path := strings.TrimPrefix(lines.Text(), "/")
		do(path)
		top, _, below := strings.Cut(path, "/")
		if below && (top == "bin" || top == "sbin" || strings.HasPrefix(top, "lib")) {
			do("usr/" + path)
		}
	}
	return lines.Err()
}

// readManifest reads the entries that an evidence stage described.
func readManifest(s *stage.Stage) (integrity.Manifest, error) {
	f, err := os.Open(filepath.Join(s.Diff(), manifestName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return integrity.ReadMtree(f)
}

func diskFile(s *stage.Stage, format string) string {
	if format == "raw" {
		return filepath.Join(s.Diff(), rawName)
	}
	return filepath.Join(s.Diff(), qcow2Name)
}
