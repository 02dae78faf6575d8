package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/builder/launch"
	"imgbuild/builder/trial"
	"imgbuild/images/catalog"
	"imgbuild/images/evidence"
	"imgbuild/images/fault"
)

// runFlags are the flags of run.
type runFlags struct {
	machine, check, console, evenRevoked bool
	firmware                             string
	patience                             time.Duration
}

// tried is the document of run --output json.
type tried struct {
	Image string   `json:"image"`
	Form  string   `json:"form"`
	URLs  []string `json:"urls"`
	// Ports maps ports of the image to where they are here.
	Ports  map[int]string `json:"ports"`
	SSH    string         `json:"ssh,omitempty"`
	Probes []trial.Answer `json:"probes"`
}

func newRunCommand(env *environment) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run IMAGE",
		Short: "Try an image here; Ctrl-C removes it",
		Long: `Run a version on this machine: its container, or with --vm its disk in a virtual
machine. Ask the probes of its recipe until all are answered, print where, and for a
machine the ssh line that logs in with a key made for this trial. Ctrl-C ends it and
removes everything; the image itself is never written to. With --check, end by itself
once it has answered.`,
		Example: `  imgbuild run debian-12-nginx
  imgbuild run debian-12-nginx --vm --firmware secureboot
  imgbuild run debian-12-nginx --check && echo it answers`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return tryImage(cmd.Context(), env, args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.machine, "vm", false, "boot the disk instead of running the container")
	flags.StringVar(&f.firmware, "firmware", "", "`FIRMWARE` of the machine: bios, uefi or secureboot (default: bios on amd64)")
	flags.BoolVar(&f.check, "check", false, "end once it has answered")
	flags.BoolVar(&f.console, "console", false, "show what the container or the machine's console writes")
	flags.DurationVar(&f.patience, "patience", 5*time.Minute, "how `LONG` to wait for the answer to a probe that sets no time")
	flags.BoolVar(&f.evenRevoked, "even-revoked", false, "run even a revoked version")
	return cmd
}

func tryImage(ctx context.Context, env *environment, image string, f runFlags) (err error) {
	if f.firmware != "" && !f.machine {
		return fault.Inputf("--firmware is for a virtual machine").WithHint("add --vm")
	}
	p, c, err := env.catalog(ctx)
	if err != nil {
		return err
	}
	revoked := catalog.RefuseRevoked
	if f.evenRevoked {
		revoked = catalog.AllowRevoked
	}
	v, err := env.findUsable(ctx, c, image, revoked)
	if err != nil {
		return err
	}
	trust, err := p.Trust(p.Config.Catalog)
	if err != nil {
		return err
	}
	if err := evidence.Signed(ctx, c, v, trust); err != nil {
		return err
	}
	terms, err := evidence.Terms(ctx, c, v, trust)
	if err != nil {
		return err
	}
	spec := trial.Spec{
		Catalog: c, Version: v, Probes: terms.Probes, Machine: f.machine || v.Container == nil, Firmware: launch.Firmware(f.firmware),
		Dir: filepath.Join(p.Config.Cache.Dir, trialsDir), Patience: f.patience, Report: env.reporter(),
	}
	if f.console {
		spec.Output = env.stderr
	}
	t, err := trial.Start(ctx, spec)
	if err != nil {
		return err
	}
	result := tried{
		Image: v.Ref(), Form: t.Form, URLs: append([]string{}, t.URLs...), Ports: t.Ports, SSH: t.SSH, Probes: append([]trial.Answer{}, t.Answers...),
	}
	// People are told when the image is removed again.
	next, told := env.command("images", "promote", v.Ref(), "CHANNEL"), ""
	if env.output == outputJSON {
		told = next
	}
	err = env.answer(result, func(w io.Writer) { writeTried(w, result, f.check) }, told)
	ended := false
	if err == nil && !f.check {
		select {
		case <-ctx.Done():
		case <-t.Ended():
			ended = true
		}
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err == nil && ended {
		return fault.Failedf("%s ended by itself", v.Ref()).WithHint("see what it says: %s", env.command("run", image, "--console"))
	}
	if err == nil && env.output == outputText {
		fmt.Fprintf(env.stdout, "removed; next: %s\n", next)
	}
	return err
}

func writeTried(w io.Writer, r tried, check bool) {
	fmt.Fprintf(w, "%s runs as a %s\n", r.Image, r.Form)
	for _, url := range r.URLs {
		fmt.Fprintf(w, "  %s\n", url)
	}
	for _, port := range slices.Sorted(maps.Keys(r.Ports)) {
		fmt.Fprintf(w, "  port %-5d  %s\n", port, r.Ports[port])
	}
	if r.SSH != "" {
		fmt.Fprintf(w, "  %s\n", r.SSH)
	}
	if !check {
		fmt.Fprintln(w, "Ctrl-C removes it")
	}
}
