package report

import (
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"imgbuild/images/control"
)

// JUnit writes a report as JUnit XML, one test case a control, for what shows
// the results of tests.
func JUnit(w io.Writer, r *Report) error {
	suite := junit.Testsuite{Name: r.Target, Time: "0"}
	suite.SetTimestamp(r.At)
	for _, i := range items(r) {
		// AddTestcase counts by what is set.
		c := junit.Testcase{Name: i.Title, Classname: i.Rule, Time: "0"}
		result := &junit.Result{Message: firstLine(i), Type: string(i.Severity), Data: strings.Join(bounded(i.lines()), "\n")}
		switch i.Result {
		case control.Fail:
			c.Failure = result
		case control.Error:
			c.Error = result
		case control.NotApplicable, control.Waived, control.Manual:
			c.Skipped = &junit.Result{Message: string(i.Result) + ": " + firstLine(i)}
		}
		suite.AddTestcase(c)
	}
	var all junit.Testsuites
	all.Name = "imgbuild scan"
	all.AddSuite(suite)
	return all.WriteXML(w)
}

func firstLine(i item) string {
	if lines := i.lines(); len(lines) > 0 {
		return lines[0]
	}
	return i.Title
}
