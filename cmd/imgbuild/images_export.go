package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"imgbuild/builder/project"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
)

// exported is the document of images export --output json.
type exported struct {
	Image string `json:"image"`
	Form  string `json:"form"`
	To    string `json:"to"`
}

// formCatalog is the form of a whole version with its evidence.
const formCatalog = "catalog"

func newImagesExportCommand(env *environment) *cobra.Command {
	var form string
	var evenRevoked bool
	cmd := &cobra.Command{
		Use:   "export IMAGE TO",
		Short: "Write a version's container or disk to a file, or copy it to another catalog",
		Long: `Write one output of a version to the path TO, which must not exist. Forms of the
container are oci and oci-archive (zstd layers), oci-gzip and oci-archive-gzip
(for programs that know no zstd) and docker-archive; forms of the disk are qcow2
and raw. The form follows from TO's ending (.qcow2, .raw, .tar) unless --form
says it.

With --form catalog, or a TO of docker://REGISTRY/PATH, the whole version goes to
another catalog with all of its evidence.

Only a version that a trusted key has signed is exported.`,
		Example: `  imgbuild images export debian-12-nginx web.qcow2
  imgbuild images export debian-12-nginx web.tar --form docker-archive
  imgbuild images export debian-12-nginx:released docker://registry.example/images`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			p, c, err := env.catalog(ctx)
			if err != nil {
				return err
			}
			revoked := catalog.RefuseRevoked
			if evenRevoked {
				revoked = catalog.AllowRevoked
			}
			v, err := env.findUsable(ctx, c, args[0], revoked)
			if err != nil {
				return err
			}
			if err := env.signed(ctx, p, c, v); err != nil {
				return err
			}
			to := args[1]
			if form == "" {
				if form, err = formOf(to); err != nil {
					return err
				}
			}
			task := env.reporter().Start("export "+form, 0, 0)
			if form == formCatalog {
				err = env.copyTo(ctx, p, c, v, to)
			} else if isDisk(form) {
				err = c.ExportDisk(ctx, v, form, to)
			} else {
				err = c.ExportContainer(ctx, v, catalog.Form(form), to)
			}
			if err != nil {
				task.Fail(err)
				return err
			}
			task.Done(to)
			return env.answer(exported{Image: v.Ref(), Form: form, To: to}, func(w io.Writer) {
				fmt.Fprintf(w, "exported %s as %s to %s\n", v.Ref(), form, to)
			}, env.reads(v, form, to))
		},
	}
	cmd.Flags().StringVar(&form, "form", "", "`FORM` to write (default: by the ending of TO)")
	cmd.Flags().BoolVar(&evenRevoked, "even-revoked", false, "export even a revoked version")
	return cmd
}

// reads is a command that reads what was exported.
func (e *environment) reads(v *catalog.Version, form, to string) string {
	switch {
	case form == formCatalog:
		return e.command("images", "verify", v.Ref(), "--catalog", to)
	case isDisk(form):
		return "qemu-img info " + to
	case form == string(catalog.OCIDirectory), form == string(catalog.OCIDirectoryGzip):
		return "skopeo inspect oci:" + to
	}
	return "podman load --input " + to
}

func isDisk(form string) bool { return form == "qcow2" || form == "raw" }

func formOf(to string) (string, error) {
	switch extension := filepath.Ext(to); {
	case project.IsRegistry(to):
		return formCatalog, nil
	case extension == ".qcow2" || extension == ".raw":
		return extension[1:], nil
	case extension == ".tar":
		return string(catalog.OCIArchive), nil
	}
	forms := []string{"qcow2", "raw", formCatalog}
	for _, f := range catalog.Forms() {
		forms = append(forms, string(f))
	}
	slices.Sort(forms)
	return "", fault.Inputf("the form does not follow from %q", to).WithHint("add --form with one of: %s", strings.Join(forms, ", "))
}

// signed refuses a version that no trusted key has signed.
func (e *environment) signed(ctx context.Context, p *project.Project, c *catalog.Catalog, v *catalog.Version) error {
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return err
	}
	return evidence.Signed(ctx, c, v, trust)
}

func (e *environment) copyTo(ctx context.Context, p *project.Project, c *catalog.Catalog, v *catalog.Version, to string) error {
	if !project.IsRegistry(to) {
		var err error
		if to, err = filepath.Abs(to); err != nil {
			return err
		}
	}
	other, err := e.catalogAt(ctx, p, to)
	if err != nil {
		return err
	}
	return c.Copy(ctx, v, other)
}
