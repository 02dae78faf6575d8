package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory"
	"imgbuild/images/advisory/applies"
)

// aboutDocument is the answer of advisories show as JSON.
type aboutDocument struct {
	ID       string         `json:"id"`
	Complete bool           `json:"complete"`
	Gaps     []pipeline.Gap `json:"gaps,omitempty"`
	// Records are what is published about it.
	Records []*advisory.Record `json:"records"`
	// Vulnerabilities are what it is about, with every output of the images that
	// have a package of the kind.
	Vulnerabilities []*pipeline.Concern `json:"vulnerabilities"`
	// Without is how many of the images have none of the packages.
	Without int        `json:"images_without"`
	Images  []lookedAt `json:"images"`
}

func newAdvisoriesShowCommand(env *environment) *cobra.Command {
	var f advisoryFlags
	cmd := &cobra.Command{
		Use:   "show ID [IMAGE...]",
		Short: "Show what is published under an id, and what your images have to do with it",
		Long: `Show what is published about a vulnerability or an advisory (CVE, DSA, GHSA, KB or
any alias), and what each output of your images has to do with it: affected, fixed,
not affected, not in this output, or waived, and why.`,
		Example: "  imgbuild advisories show CVE-2026-1234\n  imgbuild advisories show DSA-5764-1 web:released --output json",
		Args: func(cmd *cobra.Command, args []string) error {
			return words("ID")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			a, err := env.advised(cmd.Context(), f, args[1:])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, a.close()) }()
			about, err := a.About(cmd.Context(), args[0], a.images)
			if err != nil {
				return err
			}
			d := aboutDocument{
				ID: about.ID, Gaps: append(a.gaps, about.Gaps...), Records: about.Records, Vulnerabilities: about.Concerns, Images: lookedAtAll(a.images),
			}
			d.Complete = len(d.Gaps) == 0
			d.Without = len(a.images) - len(about.Looked)
			if err := env.answer(d, func(w io.Writer) { writeAbout(w, &d) }, ""); err != nil {
				return err
			}
			return incomplete(d.Gaps)
		},
	}
	f.add(cmd)
	return cmd
}

// The most that is shown of what there may be many of.
const (
	recordsShown = 12
	namesShown   = 6
)

func writeAbout(w io.Writer, d *aboutDocument) {
	writeGaps(w, d.Gaps)
	for _, c := range d.Vulnerabilities {
		writeConcern(w, c)
	}
	switch {
	case len(d.Images) == 0:
		fmt.Fprintf(w, "the catalog has no image that servers may run: nothing is concerned\n\n")
	case d.Without > 0:
		fmt.Fprintf(w, "%s of %d without any package that it is about\n\n", plural(d.Without, "image", "images"), len(d.Images))
	}
	fmt.Fprintln(w, "published:")
	// Feeds that overlap say the same again.
	seen := map[string]bool{}
	for _, r := range d.Records {
		line := recordLine(r)
		if seen[line] {
			continue
		}
		seen[line] = true
		if len(seen) > recordsShown {
			fmt.Fprintln(w, "  and more, which --output json has")
			break
		}
		fmt.Fprintf(w, "  %s\n", harmless(line))
		if len(r.Upstream) > 0 {
			fmt.Fprintf(w, "    about %s\n", harmless(several(r.Upstream, namesShown)))
		}
		if len(r.References) > 0 {
			fmt.Fprintf(w, "    %s\n", harmless(r.References[0]))
		}
	}
}

// recordLine is a record in one line: its id, where it is from, how bad it is, when
// it was published, and what it is about.
func recordLine(r *advisory.Record) string {
	facts := []string{r.ID}
	if r.Feed != "" {
		facts[0] += " (" + r.Feed + ")"
	}
	if r.Severity != "" {
		facts = append(facts, string(r.Severity))
	}
	if !r.Published.IsZero() {
		facts = append(facts, r.Published.UTC().Format(time.DateOnly))
	}
	line := strings.Join(facts, ", ")
	if r.Summary != "" {
		line += ": " + r.Summary
	}
	return line
}

func writeConcern(w io.Writer, c *pipeline.Concern) {
	fmt.Fprintf(w, "%s  %s\n", harmless(c.ID), rated(c.Severity))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(w, "  also called %s\n", harmless(several(c.Aliases, namesShown)))
	}
	if e := c.Exploited; e != nil {
		text := "EXPLOITED: in CISA's catalogue since " + e.Since.Format(time.DateOnly)
		if e.Ransomware {
			text += ", used for ransomware"
		}
		if !e.Due.IsZero() {
			text += ", to be mended by " + e.Due.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "  %s\n", text)
	}
	if c.EPSS != nil {
		fmt.Fprintf(w, "  %s likely to be exploited within 30 days (EPSS)\n", percent(*c.EPSS))
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range c.Places {
		name := p.Image
		if len(p.Channels) > 0 {
			name += " (" + strings.Join(p.Channels, ", ") + ")"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", name, p.Output, stateWord(p.State), harmless(p.Reason))
	}
	t.Flush()
	for _, binaries := range built(c) {
		fmt.Fprintf(w, "  %s\n", binaries)
	}
	fmt.Fprintln(w)
}

// stateWord is a state for people.
func stateWord(s applies.State) string {
	if s == applies.Affected {
		return "AFFECTED"
	}
	return strings.ReplaceAll(string(s), "-", " ")
}

// built are the packages that servers have of each source that has it.
func built(c *pipeline.Concern) []string {
	var lines []string
	seen := map[string]bool{}
	for _, p := range c.Places {
		line := fmt.Sprintf("built from %s: %s", p.Package, several(p.Binaries, 8))
		if p.Package != "" && p.State == applies.Affected && len(p.Binaries) > 0 && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return lines
}
