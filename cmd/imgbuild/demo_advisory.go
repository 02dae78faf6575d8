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

	"imgbuild/images/fault"
)

// demoBaseline is the name of a demo's own baseline: none that a user's project bakes,
// so that neither waits for the other.
const demoBaseline = "demo"

// demoFeeds are watched by a demo that names none.
var demoFeeds = []string{"osv-debian", "kev"}

// demoFound is what advisories list knew at one time.
type demoFound struct {
	Image   string `json:"image"`
	Open    int    `json:"open"`
	Fixable int    `json:"fixable"`
}

// demoDocument is the answer of demo advisory as JSON.
type demoDocument struct {
	// Directory is the project's; it is gone where Removed says so.
	Directory string     `json:"directory"`
	Removed   bool       `json:"removed,omitempty"`
	Steps     []demoStep `json:"steps"`
	Before    *demoFound `json:"before,omitempty"`
	After     *demoFound `json:"after,omitempty"`
	Exit      int        `json:"exit"`
}

func demoAdvisory(ctx context.Context, env *environment, f demoFlags) (err error) {
	d, err := newDemo(env)
	if err != nil {
		return err
	}
	// What is wrong with it is said before anything is made.
	recipe, own, err := d.parent(ctx, f.baseline)
	if err != nil {
		return err
	}
	if err := d.enter(f.dir); err != nil {
		return err
	}
	if f.remove {
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	document := &demoDocument{Directory: d.dir}
	if own {
		err = d.copyRecipes()
	}
	if err == nil {
		err = d.begin(ctx)
	}
	if err == nil {
		err = d.recipe(recipe, f.disk)
	}
	if err == nil {
		err = d.advisory(ctx, f.feeds, document)
	}
	if ctx.Err() != nil {
		if !f.remove {
			env.reporter().Note("what the demo made is in %s", d.dir)
		}
		return errors.Join(context.Canceled, err)
	}
	document.Steps, document.Removed, document.Exit = d.steps, f.remove, int(fault.KindOf(err))
	return errors.Join(err, env.answer(document, func(w io.Writer) { document.write(w, d) }, ""))
}

// advisory goes through the steps, after the project is made. How the loop comes out is
// how it ends.
func (d *demo) advisory(ctx context.Context, feeds []string, document *demoDocument) error {
	sources := slices.Clone(feeds)
	for i, source := range sources {
		if _, err := os.Stat(source); err == nil {
			if sources[i], err = filepath.Abs(source); err != nil {
				return err
			}
		}
	}
	if len(sources) == 0 {
		sources = demoFeeds
	}
	if err := d.must(ctx, "Add sources on security problems. Each is read, judged and kept; one that cannot be relied on is said, each time.",
		append([]string{"feeds", "add"}, sources...)...); err != nil {
		return err
	}
	if err := d.must(ctx, "Lock what Debian offers, as if the security team's suite were not there: as a server that nobody has updated.",
		"lock", demoBaseline, "--without-security"); err != nil {
		return err
	}
	if err := d.must(ctx, "Bake it, and scan what came out.", "bake", demoBaseline); err != nil {
		return err
	}
	// What cannot be told, such as by a feed in alarm, ends with an exit code of its own,
	// which the loop has too.
	if err := d.may(ctx, "See what is published about what the image has, the worst first.", "advisories", "list"); err != nil {
		return err
	}
	var err error
	if document.Before, err = d.found(ctx); err != nil {
		return err
	}
	if document.Before.Fixable == 0 {
		d.say("\n   Nothing that these feeds know a fix of hits %s. The security suite may have something newer all the same.\n", document.Before.Image)
	}
	if err := d.may(ctx, "Run the loop, as a pipeline does: what has a fix, or a newer version in the security suite, moves in a candidate lock, "+
		"which is baked, scanned and judged before it counts.", "advisories", "run"); err != nil {
		return err
	}
	loop := d.last()
	if err := d.may(ctx, "Run it again: the same advisories make no second image.", "advisories", "run"); err != nil {
		return err
	}
	if err := d.may(ctx, "See what is left. What has no fix yet stays, and is asked about each time.", "advisories", "list"); err != nil {
		return err
	}
	if document.After, err = d.found(ctx); err != nil {
		return err
	}
	if document.After.Image == document.Before.Image {
		if loop == nil && document.Before.Fixable == 0 {
			return fault.Worldf("%s lacks nothing that these feeds know a fix of, or that the security suite has newer: there is nothing to show", document.Before.Image).
				WithHint("give it feeds of today: %s", d.env.command("demo", "advisory", "--feeds", "DIR"))
		}
		return errors.Join(loop, fault.Worldf("the loop made no new image").WithHint("it says why above; look at it: cd %s", d.dir))
	}
	if err := d.may(ctx, "See what moved: by the signed evidence of both images.", "images", "diff", document.Before.Image, document.After.Image); err != nil {
		return err
	}
	return loop
}

// found is what advisories list says in JSON, of the newest image.
func (d *demo) found(ctx context.Context) (*demoFound, error) {
	var list advisoriesDocument
	if err := d.ask(ctx, &list, "advisories", "list"); err != nil {
		return nil, err
	}
	for _, image := range list.Images {
		if image.Newest {
			return &demoFound{Image: image.Image, Open: list.Open, Fixable: list.Fixable}, nil
		}
	}
	return nil, fault.Worldf("the demo's catalog has no image")
}

func (d *demoDocument) write(w io.Writer, of *demo) {
	fmt.Fprintln(w)
	if d.After != nil {
		fmt.Fprintf(w, "%s had %s with a fix, %s has %d\n", d.Before.Image,
			plural(d.Before.Fixable, "vulnerability", "vulnerabilities"), d.After.Image, d.After.Fixable)
	}
	if d.Removed {
		return
	}
	if d.After == nil {
		fmt.Fprintf(w, "what was made is in %s\n", d.Directory)
		return
	}
	fmt.Fprintf(w, "all of it is in %s; go on there:\n\n  cd %[1]s\n", d.Directory)
	if set := settingVariables(); len(set) > 0 {
		fmt.Fprintf(w, "  unset %s\n", strings.Join(set, " ")) // they win over the project's file
	}
	for _, words := range [][]string{{"updates", "list"}, {"images", "list"}, {"run", demoBaseline + ":candidate"}, {"images", "promote", demoBaseline + ":candidate", "released"}} {
		fmt.Fprintf(w, "  %s\n", of.typed(words...))
	}
	fmt.Fprintf(w, "  rm -r %s\n", d.Directory)
}
