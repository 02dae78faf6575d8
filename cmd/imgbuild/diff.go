package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"imgbuild/builder/progress"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/compare"
	"imgbuild/builder/scan/live"
	"imgbuild/builder/trial"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/inventory"
	"imgbuild/provisioners/tree"
)

// diffFlags are the flags of diff.
type diffFlags struct {
	reachFlags
	form string
	only []string
}

func newDiffCommand(env *environment) *cobra.Command {
	var f diffFlags
	cmd := &cobra.Command{
		Use:   "diff ssh://HOST IMAGE",
		Short: "Show what a server has that an image lacks",
		Long: `Log in to a server by SSH, take stock of it without changing it, and tell what it has
and an image lacks: packages, users and groups, files, services, listening ports and
jobs of cron. It is for taking over a server that was made by hand: what is told is
what a recipe must have for its image to be able to replace the server. What the
server lacks is told too, in short.

What follows from another difference is not told again: files that a further package
brought and nobody changed, links that enable a service. Files that may differ on
every server are no difference: logs, data below /var/lib and /srv, homes, and what the
recipe of a version lets servers change. Files of packages are told from those made by
hand by the lists and digests of dpkg.

IMAGE is a version of the catalog, of which the disk is opened, or with --form
container its container; a disk image (raw or qcow2), a container image (oci:DIR,
oci-archive:FILE, docker://HOST/NAME:TAG), or a directory that holds a root, by a path
with a slash in it: ./root.

The server is reached as by imgbuild check: its host key must be known, and a user
other than root needs sudo without a password. Ends with exit code 0 whether or not
something differs.`,
		Example: `  imgbuild diff ssh://admin@old.example.com debian-12-nginx
  imgbuild diff ssh://web1 debian-12-nginx:released --only packages,services
  imgbuild diff ssh://web1 web.qcow2 --output json`,
		Args: words("ssh://HOST", "IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return diffServer(cmd.Context(), env, args[0], args[1], f)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.only, "only", nil, "compare only these `THINGS`: packages, users, files, services, ports, jobs")
	flags.StringVar(&f.form, "form", "", "`FORM` of the version or directory: vm or container")
	f.reachFlags.add(flags)
	return cmd
}

func diffServer(ctx context.Context, env *environment, address, image string, f diffFlags) (err error) {
	if strings.HasPrefix(image, "ssh://") {
		return fault.Inputf("%s is a server, not an image", image).WithHint("the server comes first: %s", env.command("diff", image, address))
	}
	sections, err := compare.ParseSections(f.only)
	if err != nil {
		return err
	}
	if err := (scanFlags{form: f.form, level: 2}).check(image); err != nil {
		return err
	}
	client, guest, err := reach(f.reachFlags)
	if err != nil {
		return err
	}
	host, err := client.Find(address)
	if err != nil {
		return err
	}
	task := env.reporter().Start("diff", 0, progress.Items)
	target, terms, err := openImage(ctx, env, image, f.form)
	if err != nil {
		task.Fail(err)
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	var rules integrity.Rules
	if slices.Contains(sections, compare.Files) {
		if rules, err = terms.Mutable.Rules(); err != nil {
			task.Fail(err)
			return fault.Worldf("reading what %s lets servers change", target.Name).Because(err)
		}
	}
	var server, finished compare.Side
	group, working := errgroup.WithContext(ctx)
	group.Go(func() (err error) { server, err = serverSide(working, client, host, guest, rules); return err })
	group.Go(func() (err error) { finished, err = imageSide(working, target, rules); return err })
	if err := group.Wait(); err != nil {
		task.Fail(err)
		return err
	}
	task.Done(fmt.Sprintf("packages: %d on the server, %d in the image", len(server.Inventory.Packages), len(finished.Inventory.Packages)))
	finished.Declared = declaredPorts(terms, target.Output)
	if server.Platform != finished.Platform {
		env.reporter().Note("the server runs %s, the image %s: most packages are in other versions", server.Platform, finished.Platform)
	}
	d := compare.Systems(server, finished, sections)
	return env.answer(d, func(w io.Writer) { compare.Table(w, d) }, "")
}

// serverSide takes stock of a server.
func serverSide(ctx context.Context, client live.Client, host live.Host, guest *live.Guest, rules integrity.Rules) (_ compare.Side, err error) {
	s, err := client.Connect(ctx, host)
	if err != nil {
		return compare.Side{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	stock, err := live.Take(ctx, s, guest, rules)
	if err != nil {
		return compare.Side{}, err
	}
	return compare.Side{Name: host.String(), Platform: s.Facts.Platform, Inventory: stock.Inventory, Manifest: stock.Manifest}, nil
}

// imageSide takes stock of a finished output.
func imageSide(ctx context.Context, target *scan.Target, rules integrity.Rules) (_ compare.Side, err error) {
	side := compare.Side{Name: target.Name, Platform: target.Platform}
	if side.Inventory, err = inventory.Take(ctx, target.System); err != nil {
		return compare.Side{}, fmt.Errorf("%s: %w", target.Name, err)
	}
	if len(rules) == 0 {
		return side, nil
	}
	entries, err := tree.Read(ctx, target.System)
	if err != nil {
		return compare.Side{}, fmt.Errorf("%s: %w", target.Name, err)
	}
	side.Manifest, err = integrity.NewManifest(entries, rules)
	return side, err
}

// openImage opens what a user names. Of a version of the catalog its recipe's
// terms are returned too; of others there are none.
func openImage(ctx context.Context, env *environment, name, form string) (*scan.Target, baseline.Terms, error) {
	p, err := env.project()
	if err != nil {
		return nil, baseline.Terms{}, err
	}
	dir := filepath.Join(p.Config.Cache.Dir, scansDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, baseline.Terms{}, fmt.Errorf("opening %s: %w", name, err)
	}
	if foreign(name) {
		t, err := openForeign(ctx, name, form, dir)
		return t, baseline.Terms{}, err
	}
	_, c, err := env.catalog(ctx)
	if err != nil {
		return nil, baseline.Terms{}, err
	}
	v, err := find(ctx, c, name, catalog.AllowRevoked)
	if err != nil {
		return nil, baseline.Terms{}, orPath(name, err)
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return nil, baseline.Terms{}, err
	}
	if err := evidence.Signed(ctx, c, v, trust); err != nil {
		return nil, baseline.Terms{}, err
	}
	terms, err := evidence.Terms(ctx, c, v, trust)
	if err != nil {
		return nil, baseline.Terms{}, err
	}
	output, _ := scannedForm(v, form)
	t, err := scan.Version(ctx, c, v, output, dir)
	return t, terms, err
}

// declaredPorts are those that an output has to listen on by its recipe; nil for
// what has none.
func declaredPorts(terms baseline.Terms, output control.Output) []string {
	if terms.Outputs.Container == nil && terms.Outputs.VM == nil {
		return nil
	}
	ports := []string{}
	for _, p := range trial.Declared(terms, output == control.Machine) {
		ports = append(ports, string(p))
	}
	return ports
}
