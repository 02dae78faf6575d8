package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/applies"
	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

func newAdvisoriesListCommand(env *environment) *cobra.Command {
	var f advisoryFlags
	cmd := &cobra.Command{
		Use:   "list [IMAGE...]",
		Short: "List the vulnerabilities that concern your images, the worst first",
		Long: `List the published vulnerabilities that your images have, one line each however many
sources name it: those that are exploited first (CISA's catalogue), then those that
are likely to be (EPSS, in steps of 50, 10 and 1 percent), then by severity. What
nobody has rated counts as worse than medium.

An IMAGE narrows it: a baseline (its versions that servers may run), a channel
(web:released), a version (web:20260131.1). Nothing is downloaded: advisories sync
does that.`,
		Example: "  imgbuild advisories list\n  imgbuild advisories list web:released --severity high\n  imgbuild advisories list --dismissed --output json",
		RunE: func(cmd *cobra.Command, words []string) error {
			return listAdvisories(cmd.Context(), env, f, words)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.severity, "severity", "", "list those of this `SEVERITY` and above, and those that nobody has rated: low, medium, high, critical")
	cmd.Flags().BoolVar(&f.dismissed, "dismissed", false, "list what is waived, or dismissed by its distributor (no-dsa, ignored, unimportant), too")
	return cmd
}

// advisoriesDocument is the answer of advisories list as JSON.
type advisoriesDocument struct {
	// Complete is that what is not listed is known not to be there.
	Complete bool           `json:"complete"`
	Gaps     []pipeline.Gap `json:"gaps,omitempty"`
	Feeds    []feeds.Report `json:"feeds"`
	Images   []lookedAt     `json:"images"`
	// Open is how many need somebody, Fixable how many of those have a fix, and
	// Exploited how many of them are known to be exploited.
	Open      int `json:"open"`
	Fixable   int `json:"fixable"`
	Exploited int `json:"exploited"`
	// Waived and Dismissed are how many are there and accepted, by us or by their
	// distributor.
	Waived    int `json:"waived"`
	Dismissed int `json:"dismissed"`
	// Support is until when the releases of the images get security fixes, and Newer
	// what their repositories offer in newer versions.
	Support  []pipeline.Support  `json:"support"`
	Newer    []pipeline.Newer    `json:"newer"`
	Concerns []*pipeline.Concern `json:"concerns"`
}

func listAdvisories(ctx context.Context, env *environment, f advisoryFlags, words []string) (err error) {
	if known := []string{string(control.Low), string(control.Medium), string(control.High), string(control.Critical)}; f.severity != "" && !slices.Contains(known, f.severity) {
		return fault.Inputf("--severity is %q%s", f.severity, node.Suggest(f.severity, known)).WithHint("use %s", strings.Join(known, ", "))
	}
	a, err := env.advised(ctx, f, words)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	answer, err := a.Concerns(ctx, a.images)
	if err != nil {
		return err
	}
	support := answer.Supported(a.Facts, a.Now)
	newer, err := answer.Newer(env.repositories(a))
	if err != nil {
		return err
	}
	d := advisoriesDocument{Support: support, Newer: append([]pipeline.Newer{}, newer...), Gaps: append(a.gaps, answer.Gaps...), Feeds: a.reports, Images: lookedAtAll(a.images), Concerns: []*pipeline.Concern{}}
	d.Complete = len(d.Gaps) == 0
	for _, c := range answer.Concerns {
		d.count(c, control.Severity(f.severity), f.dismissed)
	}
	next := ""
	switch {
	case len(a.images) == 0:
		next = env.command("bake", "debian-12-nginx")
	case len(d.Concerns) > 0:
		next = env.command("advisories", "show", d.Concerns[0].ID)
	}
	if err := env.answer(d, func(w io.Writer) { writeAdvisories(w, &d, f) }, next); err != nil {
		return err
	}
	return incomplete(d.Gaps)
}

// count takes a concern up, and lists it where it was asked for.
func (d *advisoriesDocument) count(c *pipeline.Concern, least control.Severity, dismissed bool) {
	if !c.AtLeast(least) {
		return
	}
	switch {
	case c.State == applies.Waived:
		d.Waived++
	case !c.Open():
		d.Dismissed++
	default:
		d.Open++
		if len(c.Fixed) > 0 {
			d.Fixable++
		}
		if c.Exploited != nil {
			d.Exploited++
		}
	}
	if c.Open() || dismissed {
		d.Concerns = append(d.Concerns, c)
	}
}

func writeAdvisories(w io.Writer, d *advisoriesDocument, f advisoryFlags) {
	writeGaps(w, d.Gaps)
	if len(d.Images) == 0 {
		fmt.Fprintln(w, "the catalog has no image that servers may run: nothing is concerned")
		return
	}
	writeSupport(w, d.Support)
	if len(d.Concerns) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "vulnerability\tseverity\texploited\tstate\tpackage\tfixed in\timages")
		for _, c := range d.Concerns {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", harmless(c.ID), rated(c.Severity), use(c.Threat), standing(c),
				several(c.Packages, 2), several(c.Fixed, 2), d.places(c))
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	writeNewer(w, d.Newer)
	fmt.Fprintln(w, d.summary(f))
}

// standing is a concern's state in a word: what its distributor says of it where it
// is there and nobody has accepted it.
func standing(c *pipeline.Concern) string {
	if c.State != applies.Affected || c.Said == "" {
		return string(c.State)
	}
	if c.Said == advisory.StateAffected && len(c.Fixed) == 0 {
		return "no fix yet"
	}
	return string(c.Said)
}

// places are the images that have it, with their forms where another has it not.
func (d *advisoriesDocument) places(c *pipeline.Concern) string {
	var names []string
	for _, image := range c.Images() {
		var outputs []string
		for _, p := range c.Places {
			if p.Image == image && (p.State == applies.Affected || p.State == applies.Waived) {
				outputs = append(outputs, string(p.Output))
			}
		}
		if i := slices.IndexFunc(d.Images, func(l lookedAt) bool { return l.Image == image }); i < 0 || len(d.Images[i].Outputs) > len(outputs) {
			image += " (" + strings.Join(outputs, ", ") + ")"
		}
		names = append(names, image)
	}
	return several(names, 2)
}

// concerned is how many images have any of what is open.
func (d *advisoriesDocument) concerned() int {
	images := map[string]bool{}
	for _, c := range d.Concerns {
		if c.Open() {
			for _, image := range c.Images() {
				images[image] = true
			}
		}
	}
	return len(images)
}

// summary says how many there are of what.
func (d *advisoriesDocument) summary(f advisoryFlags) string {
	of := ""
	if f.severity != "" {
		of = " of severity " + f.severity + " or above, or not rated,"
	}
	images := plural(len(d.Images), "image", "images")
	text := fmt.Sprintf("no vulnerability%s that is known concerns %s", of, images)
	switch {
	case d.Open > 0:
		what, concern := "vulnerabilities", "concern"
		if d.Open == 1 {
			what, concern = "vulnerability", "concerns"
		}
		text = fmt.Sprintf("%d %s%s %s %d of %s: %d exploited, %d with a fix", d.Open, what, of, concern, d.concerned(), images, d.Exploited, d.Fixable)
	case !d.Complete:
		text += ", as far as it can be told"
	}
	var rest []string
	if d.Dismissed > 0 {
		rest = append(rest, fmt.Sprintf("%d dismissed by their distributor", d.Dismissed))
	}
	if d.Waived > 0 {
		rest = append(rest, fmt.Sprintf("%d waived", d.Waived))
	}
	if len(rest) > 0 {
		text += "\n" + strings.Join(rest, " and ") + " beside"
		if !f.dismissed {
			text += ", which --dismissed lists"
		}
	}
	return text
}
