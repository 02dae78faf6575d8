package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"imgbuild/builder/progress"
	"imgbuild/builder/scan/live"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
	"imgbuild/images/report"
	"imgbuild/images/signing"
)

// checkFlags are the flags of check.
type checkFlags struct {
	scanFlags
	reachFlags
	baseline, inventory string
	parallel            int
}

func newCheckCommand(env *environment) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [ssh://HOST...]",
		Short: "Judge servers that run, over SSH and without changing them",
		Long: `Log in to servers by SSH and judge them: against the controls of the benchmarks that
speak of their system, and against the signed integrity manifest of the image that
they say they run, which is looked up in the catalog. With --baseline, servers that
were not made by imgbuild are held against the controls alone.

Host keys must be known (~/.ssh/known_hosts): none is ever accepted by itself. Keys
to log in with are the SSH agent's and those of ~/.ssh; ~/.ssh/config is followed for
HostName, User, Port, IdentityFile and UserKnownHostsFile. A user other than root
needs sudo without a password. The program imgbuild-guest is sent to a private
directory, checked by its digest, run, and removed; nothing else is written there.

--inventory names a file with many: a list of servers, or a map of them by name with
address, baseline, identity, and customer or fleet. One that fails does not stop the
others. Reports of several servers are written to one file each: report-NAME.html for
report.html.

Ends with exit code 3 when something is wrong with a server, as scan does, and with 4
when a server cannot be reached or shows another host key than the known one.`,
		Example: `  imgbuild check ssh://admin@web1.example.com
  imgbuild check ssh://web1 --report web1.html --output json
  imgbuild check ssh://old.example.com --baseline debian-12-nginx
  imgbuild check --inventory hosts.yaml --parallel 20`,
		RunE: func(cmd *cobra.Command, args []string) error { return checkServers(cmd.Context(), env, args, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.baseline, "baseline", "", "hold against the controls for `BASELINE`, not against the server's own image")
	flags.StringVar(&f.inventory, "inventory", "", "check the servers that `FILE` names")
	flags.IntVar(&f.parallel, "parallel", 8, "check at most `N` servers at once")
	f.reachFlags.add(flags)
	flags.StringSliceVar(&f.benchmarks, "benchmark", nil, "`BENCHMARK` to judge by (default: all that speak of its system)")
	flags.IntVar(&f.level, "level", 2, "judge by the sections up to this `LEVEL`: 1 or 2")
	addScopeFlags(flags, &f.customer, &f.fleet)
	flags.StringVar(&f.page, "report", "", "write the report to `FILE` as a page for a browser")
	flags.StringVar(&f.sarif, "sarif", "", "write the report to `FILE` as SARIF 2.1.0")
	flags.StringVar(&f.xml, "junit", "", "write the report to `FILE` as JUnit XML")
	return cmd
}

// checked is the outcome of one server.
type checked struct {
	Server string         `json:"server"`
	Report *report.Report `json:"report,omitempty"`
	Error  string         `json:"error,omitempty"`
	Hint   string         `json:"hint,omitempty"`
	// Exit is the exit code of a check of this server alone.
	Exit int `json:"exit"`
	err  error
}

func checkServers(ctx context.Context, env *environment, targets []string, f checkFlags) error {
	if err := f.scanFlags.check(""); err != nil {
		return err
	}
	if f.parallel < 1 || f.parallel > 256 {
		return fault.Inputf("--parallel is %d", f.parallel).WithHint("use 1 to 256")
	}
	if _, err := control.ParseScope(f.customer, f.fleet); err != nil {
		return err
	}
	servers, err := serversOf(targets, f)
	if err != nil {
		return err
	}
	c, err := newChecker(ctx, env, f)
	if err != nil {
		return err
	}
	defer c.source.Close()
	outcomes := make([]checked, len(servers))
	task := env.reporter().Start("check", int64(len(servers)), progress.Items)
	var group errgroup.Group
	group.SetLimit(f.parallel)
	for i, server := range servers {
		group.Go(func() error {
			outcomes[i] = c.server(ctx, server)
			task.Add(1)
			return nil
		})
	}
	_ = group.Wait() // each outcome has its own error
	if ctx.Err() != nil {
		task.Fail(ctx.Err())
		return ctx.Err()
	}
	unchecked := 0
	for _, o := range outcomes {
		if o.Report == nil {
			unchecked++
		}
	}
	switch {
	case len(servers) == 1 && unchecked == 1:
		task.Fail(outcomes[0].err)
	case unchecked > 0:
		task.Done(fmt.Sprintf("servers: %d, of which %d could not be checked", len(servers), unchecked))
	default:
		task.Done(fmt.Sprintf("servers: %d", len(servers)))
	}
	for i, o := range outcomes {
		if o.Report == nil {
			continue
		}
		to := f.scanFlags
		if f.inventory != "" || len(servers) > 1 {
			to = beside(to, servers[i].Name)
		}
		if err := writeReports(o.Report, nil, to); err != nil {
			return err
		}
	}
	return tell(env, outcomes, f)
}

// serversOf are the servers of the command line and the inventory.
func serversOf(targets []string, f checkFlags) ([]live.Listed, error) {
	var list []live.Listed
	for _, target := range targets {
		list = append(list, live.Listed{Name: live.NameOf(target), Address: target, Baseline: f.baseline, Customer: f.customer, Fleet: f.fleet})
	}
	if f.inventory != "" {
		listed, err := live.ReadInventory(f.inventory)
		if err != nil {
			return nil, err
		}
		for _, server := range listed {
			if server.Baseline == "" {
				server.Baseline = f.baseline
			}
			if server.Customer == "" && server.Fleet == "" {
				server.Customer, server.Fleet = f.customer, f.fleet
			}
			list = append(list, server)
		}
	}
	if len(list) == 0 {
		return nil, fault.Inputf("there is no server to check").WithHint("name one: ssh://user@host, or a file with many: --inventory hosts.yaml")
	}
	return list, nil
}

// beside are the names of one of several servers' reports.
func beside(f scanFlags, name string) scanFlags {
	for _, file := range []*string{&f.page, &f.sarif, &f.xml} {
		if *file != "" {
			ext := filepath.Ext(*file)
			*file = strings.TrimSuffix(*file, ext) + "-" + name + ext
		}
	}
	return f
}

// checker checks servers, several at once.
type checker struct {
	env    *environment
	flags  checkFlags
	source *baseline.Source
	set    *control.Set
	client live.Client
	guest  *live.Guest
	// images opens the catalog, once and when a server needs it.
	images func() (*shelf, error)
}

// shelf is an opened catalog and whose signatures count in it.
type shelf struct {
	*catalog.Catalog
	trust signing.Trust
}

func newChecker(ctx context.Context, env *environment, f checkFlags) (*checker, error) {
	c := &checker{env: env, flags: f}
	var err error
	if c.client, c.guest, err = reach(f.reachFlags); err != nil {
		return nil, err
	}
	c.images = sync.OnceValues(func() (*shelf, error) {
		p, opened, err := env.catalog(ctx)
		if err != nil {
			return nil, err
		}
		trust, err := p.Trust(p.Config.Catalog)
		return &shelf{opened, trust}, err
	})
	if c.source, err = env.baselines(); err != nil {
		return nil, err
	}
	if c.set, err = c.source.Controls(); err == nil {
		err = c.set.Known(f.benchmarks...)
	}
	if err == nil && f.baseline != "" {
		_, err = loadBaseline(ctx, c.source, f.baseline, "") // a slip is told before a server is asked
	}
	if err != nil {
		return nil, errors.Join(err, c.source.Close())
	}
	return c, nil
}

// server checks one server; what is wrong is in the outcome.
func (c *checker) server(ctx context.Context, server live.Listed) checked {
	o := checked{Server: server.Name}
	if o.Report, o.err = c.report(ctx, server); o.err == nil {
		o.err = verdict(o.Report)
	} else {
		o.Error, o.Hint = o.err.Error(), fault.HintOf(o.err)
	}
	o.Exit = int(fault.KindOf(o.err))
	return o
}

func (c *checker) report(ctx context.Context, server live.Listed) (_ *report.Report, err error) {
	client := c.client
	if server.Identity != "" {
		client.Identities = []string{server.Identity}
	}
	host, err := client.Find(server.Address)
	if err != nil {
		return nil, err
	}
	s, err := client.Connect(ctx, host)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	spec := live.Spec{Set: c.set, Benchmarks: c.flags.benchmarks, Level: c.flags.level, Now: time.Now()}
	if spec.For, err = server.For(); err != nil {
		return nil, err
	}
	if server.Baseline != "" {
		err = c.byBaseline(ctx, &spec, server.Baseline, s)
	} else {
		err = c.byImage(ctx, &spec, s)
	}
	if err != nil {
		return nil, err
	}
	accepted, err := c.source.Waivers(spec.Set, strayKinds())
	if err != nil {
		return nil, err
	}
	spec.Waivers = append(spec.Waivers, accepted...)
	return live.Check(ctx, s, c.guest, spec)
}

// byBaseline holds a server against the controls as a recipe fills them in.
func (c *checker) byBaseline(ctx context.Context, spec *live.Spec, name string, s *live.Server) error {
	recipe, err := loadBaseline(ctx, c.source, name, "")
	if err != nil {
		return err
	}
	if recipe.Platform() != s.Facts.Platform {
		return fault.Inputf("%s runs %s, the baseline %s is for %s", s.Host, s.Facts.Platform, name, recipe.Platform())
	}
	spec.Baseline, spec.Vars, spec.Profiles = recipe.Name, recipe.Values(), recipe.Controls.Profiles
	spec.Waivers = recipe.Controls.Waivers()
	return nil
}

// byImage finds the version that a server says it runs.
func (c *checker) byImage(ctx context.Context, spec *live.Spec, s *live.Server) error {
	facts := s.Facts
	if facts.Stage == "" {
		return fault.Inputf("%s does not say which image it runs: it was not made by imgbuild", s.Host).
			WithHint("hold it against a baseline: --baseline NAME")
	}
	if err := catalog.CheckBaseline(facts.Baseline); err != nil {
		return fault.Worldf("%s says it runs an image of a baseline that there cannot be", s.Host).Because(err)
	}
	images, err := c.images()
	if err != nil {
		return err
	}
	versions, err := images.FindByStage(ctx, facts.Baseline, facts.Stage)
	if err != nil {
		return err
	}
	if len(versions) == 0 {
		return fault.Worldf("%s runs an image of %s with the stage %.12s, which no version in the catalog has", s.Host, facts.Baseline, facts.Stage).
			WithHint("it was removed, or is in another catalog: name that with --catalog; or hold the server against a baseline alone: --baseline %s", facts.Baseline)
	}
	v := versions[0] // all have the same bytes
	if spec.Manifest, err = evidence.Manifest(ctx, images.Catalog, v, images.trust, evidence.OutputDisk); err != nil {
		return err
	}
	terms, err := evidence.Terms(ctx, images.Catalog, v, images.trust)
	if err != nil {
		return err
	}
	spec.Profiles, spec.Waivers = terms.Controls.Profiles, terms.Controls.Waivers()
	if spec.Rules, err = terms.Mutable.Rules(); err != nil {
		return fault.Worldf("reading what %s lets servers change", v.Ref()).Because(err)
	}
	revocation, err := images.Revocation(ctx, v)
	if err != nil {
		return err
	}
	if revocation != nil {
		c.env.reporter().Note("%s runs %s, which is revoked: %s", s.Host, v.Ref(), revocation.Reason)
	}
	spec.Baseline = v.Baseline
	return nil
}

// tell answers with one server's report, or with all outcomes, and returns what
// the program ends with: the worst.
func tell(env *environment, outcomes []checked, f checkFlags) error {
	if len(outcomes) == 1 && f.inventory == "" {
		o := outcomes[0]
		if o.Report == nil {
			return o.err
		}
		if err := env.answer(o.Report, func(w io.Writer) { _ = report.Table(w, o.Report) }, ""); err != nil {
			return err
		}
		return o.err
	}
	if err := env.answer(outcomes, func(w io.Writer) { writeChecked(w, outcomes) }, ""); err != nil {
		return err
	}
	worst, wrong := fault.Kind(0), 0
	for _, o := range outcomes {
		if o.err != nil {
			worst, wrong = max(worst, fault.Kind(o.Exit)), wrong+1
		}
	}
	if wrong == 0 {
		return nil
	}
	return &fault.Error{Kind: worst, Message: fmt.Sprintf("%d of %d servers are not as they should be, or could not be checked", wrong, len(outcomes))}
}

func writeChecked(w io.Writer, outcomes []checked) {
	for _, o := range outcomes {
		if o.Report != nil {
			_ = report.Table(w, o.Report)
			fmt.Fprintln(w)
		}
	}
	for _, o := range outcomes {
		switch {
		case o.Report == nil:
			fmt.Fprintf(w, "%-20s  not checked: %s\n", o.Server, harmless(o.Error))
			if o.Hint != "" {
				fmt.Fprintf(w, "%-20s  hint: %s\n", "", harmless(o.Hint))
			}
		case o.err != nil:
			fmt.Fprintf(w, "%-20s  %v\n", o.Server, o.err)
		default:
			fmt.Fprintf(w, "%-20s  as it should be\n", o.Server)
		}
	}
}
