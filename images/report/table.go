package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"imgbuild/images/control"
)

// shown is how many lines of evidence the table has of one item.
const shown = 5

// Table writes a report for a terminal: the scores, and what is not as it
// should be.
func Table(w io.Writer, r *Report) error {
	whom, files := "", ""
	if r.For != "" {
		whom = ", with the waivers of " + string(r.For)
	}
	if r.Files > 0 { // none is counted of a server that no manifest is of
		files = fmt.Sprintf(", %d files", r.Files)
	}
	looked := ""
	if len(r.Checks) > 0 {
		looked = fmt.Sprintf(", looked at for %s alone", words(r.Checks))
	}
	fmt.Fprintf(w, "%s: %s, %s%s%s%s\n\n", plain(r.Target), plain(r.Platform), r.Output, files, whom, looked)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Scores) > 0 {
		fmt.Fprintln(table, "benchmark\tlevel\tscore\twith waivers\tpass\tfail\terror\twaived\tmanual\tnot applicable")
		for _, s := range r.Scores {
			c := s.Counts
			fmt.Fprintf(table, "%s %s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\n", s.Benchmark, s.Version, s.Level, percentText(s.Percent()), percentText(s.PercentWaived()),
				c[control.Pass], c[control.Fail], c[control.Error], c[control.Waived], c[control.Manual], c[control.NotApplicable])
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, i := range rules(r) {
		switch i.Result {
		case control.Fail, control.Error, control.Waived:
			i.write(w)
		case control.Pass:
			if i.Rule == integrityRule || i.Rule+"-" == hygienePrefix || strings.HasPrefix(i.Rule, trialPrefix) {
				fmt.Fprintf(w, "%-6s  %s\n", i.Result, i.Title)
			}
		}
	}
	if err := r.writeCVEs(w); err != nil {
		return err
	}
	if r.Opinion != nil {
		return r.Opinion.write(w)
	}
	return nil
}

func words[T ~string](list []T) string {
	text := make([]string, len(list))
	for i, one := range list {
		text[i] = string(one)
	}
	return strings.Join(text, ", ")
}

func (i item) write(w io.Writer) {
	fmt.Fprintf(w, "%-6s  %-8s  %s: %s\n", i.Result, i.Severity, i.Rule, i.Title)
	lines := i.lines()
	for _, line := range lines[:min(len(lines), shown)] {
		fmt.Fprintf(w, "                  %s\n", line)
	}
	if len(lines) > shown {
		fmt.Fprintf(w, "                  and %d more\n", len(lines)-shown)
	}
}
