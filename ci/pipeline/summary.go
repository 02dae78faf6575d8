package pipeline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"imgbuild/images/fault"
	"imgbuild/images/updates/policy"
)

// Summary is what a run did, for a pull request or a ticket.
type Summary struct {
	At time.Time `json:"at"`
	// For are the names that the run was started for.
	For []string `json:"for,omitempty"`
	// Gaps are what could not be told: that nothing is rebuilt for it is no fact.
	Gaps      []Gap      `json:"gaps,omitempty"`
	Baselines []*Outcome `json:"baselines"`
	// Exit is what the program ends with.
	Exit int `json:"exit"`
}

// End is the error that a run ends with: of what is suspended, else of what could not be
// done, of what was refused, of what could not be told, and last of what waits for a
// person, for that is no failure; nil without any. It sets Exit.
func (s *Summary) End() error {
	err := s.end()
	if err != nil {
		s.Exit = int(fault.KindOf(err))
	}
	return err
}

func (s *Summary) end() error {
	var first *Outcome
	names := map[State][]string{}
	for _, o := range s.Baselines {
		names[o.State] = append(names[o.State], o.Baseline)
		if o.State == Broken && first == nil {
			first = o
		}
	}
	list := func(of State) string { return strings.Join(names[of], ", ") }
	switch {
	case len(names[Suspended]) > 0:
		return fault.Worldf("ALARM: %s suspended after %d failures in a row: nothing is rebuilt for what concerns it", list(Suspended)+are(names[Suspended]), MostFailures).
			WithHint("mend what is named above, then run the same with --resume")
	case first != nil:
		err := fault.Failedf("rebuilding %s: %s", list(Broken), first.Reason)
		return err.WithHint("%s", hintOr(first.Hint, "run the same command again: it goes on from what is done"))
	case len(names[Refused]) > 0:
		return fault.Gatef("not offered: %s", list(Refused)).WithHint("the summary says what said no")
	case len(names[Unexplained]) > 0:
		return fault.Worldf("the lock of %s does not say what its image has, so that nothing is rebuilt for it", list(Unexplained)).
			WithHint("the summary says what that is")
	case len(s.Gaps) > 0:
		return fault.Worldf("something could not be told: that nothing is rebuilt for it is no fact").WithHint("each is named above with what to do")
	case len(names[Held]) > 0:
		return fault.Heldf("updates wait for a person: %s", list(Held)).WithHint("see for whom: imgbuild updates list")
	}
	return nil
}

func are(names []string) string {
	if len(names) == 1 {
		return " is"
	}
	return " are"
}

func hintOr(hint, other string) string {
	if hint == "" {
		return other
	}
	return hint
}

// WriteMarkdown writes the summary as GitHub and GitLab show it.
func (s *Summary) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	title := "Rebuild"
	switch n := len(s.For); {
	case n > shown:
		title += fmt.Sprintf(" for %d vulnerabilities", n) // each baseline has its own below
	case n > 0:
		title += " for " + cut(s.For)
	case slices.ContainsFunc(s.Baselines, func(o *Outcome) bool { return len(o.Newer) > 0 }):
		title += " for newer versions of security updates"
	}
	fmt.Fprintf(&b, "# %s\n\n", safe(title))
	for _, g := range s.Gaps {
		fmt.Fprintf(&b, "> **Cannot be told:** %s: %s\n\n", safe(g.Where), safe(g.Why))
	}
	if len(s.Baselines) == 0 {
		b.WriteString("Nothing had to be rebuilt.\n")
	} else {
		b.WriteString("| baseline | outcome | image | CVEs fixed | CVEs introduced |\n|---|---|---|---|---|\n")
	}
	for _, o := range s.Baselines {
		image, fixed, introduced := "-", "-", "-"
		if o.Offered != nil {
			image = o.Offered.Image
		}
		if o.Trial != nil && o.Trial.Advised {
			fixed, introduced = fmt.Sprint(len(o.Trial.Difference.Fixed)), fmt.Sprint(len(o.Trial.Difference.Introduced))
		}
		fmt.Fprintf(&b, "| %s (%s) | **%s** | %s | %s | %s |\n", safe(o.Baseline), safe(o.Architecture), o.State, safe(image), fixed, introduced)
	}
	for _, o := range s.Baselines {
		o.markdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (o *Outcome) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s (%s): %s\n\n%s.\n", safe(o.Baseline), safe(o.Architecture), o.State, safe(o.Why))
	if len(o.For) > 0 {
		fmt.Fprintf(b, "\nFor %s\n", safe(cut(o.For)))
	}
	for i, n := range o.Newer {
		if i == rowsShown {
			break
		}
		fmt.Fprintf(b, "\n- newer in %s: %s %s\n", safe(n.Suite), safe(n.Package), safe(n.Offered))
	}
	if o.Reason != "" {
		fmt.Fprintf(b, "\n%s\n", safe(o.Reason))
	}
	if o.Hint != "" {
		fmt.Fprintf(b, "\n%s\n", safe(o.Hint))
	}
	if o.Trial != nil {
		d := o.Trial.Difference
		b.WriteString("\n| package | from | to |\n|---|---|---|\n")
		for i, p := range d.Packages {
			if i == rowsShown {
				fmt.Fprintf(b, "| and %d more | | |\n", len(d.Packages)-i)
				break
			}
			fmt.Fprintf(b, "| %s | %s | %s |\n", safe(p.Name), safe(p.From), safe(p.To))
		}
		if len(d.Fixed) > 0 {
			fmt.Fprintf(b, "\nFixed: %s\n", safe(cut(d.Fixed)))
		}
		if len(d.Introduced) > 0 {
			fmt.Fprintf(b, "\n**Introduced:** %s\n", safe(cut(d.Introduced)))
		}
		if o.Trial.Doubt != "" {
			fmt.Fprintf(b, "\n**Not all vulnerabilities can be told:** %s\n", safe(o.Trial.Doubt))
		}
		for _, sc := range d.Scores {
			fmt.Fprintf(b, "\nScore %s level %d: %.1f %% to %.1f %%\n", safe(sc.Benchmark), sc.Level, sc.From, sc.To)
		}
		if o.Trial.Compared != "" {
			fmt.Fprintf(b, "\nFiles, to %s: %d added, %d removed, %d changed\n", safe(o.Trial.Compared), d.Files.Added, d.Files.Removed, d.Files.Changed)
		}
	}
	for _, u := range o.Updates {
		if u.Decision.Verdict != policy.Approve {
			fmt.Fprintf(b, "\n- %s: **%s**, %s\n", safe(u.Update.String()), u.Decision.Verdict, safe(u.Decision.Why))
		}
	}
}

// rowsShown is how many rows a table of packages has, and ids a list.
const rowsShown = 50

func cut(list []string) string {
	if len(list) > rowsShown {
		return strings.Join(list[:rowsShown], ", ") + fmt.Sprintf(" and %d more", len(list)-rowsShown)
	}
	return strings.Join(list, ", ")
}

// safe is text that means nothing else in Markdown, of one line: packages and feeds have
// a say in it.
func safe(text string) string {
	var b strings.Builder
	for _, r := range recordable(text) {
		if slices.Contains([]rune("\\`*_{}[]<>#|!~&"), r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
