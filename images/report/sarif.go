package report

import (
	"io"
	"net/url"
	"strings"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

	"imgbuild/images/control"
)

// SARIF writes a report as SARIF 2.1.0 (OASIS), for what shows the findings of
// scanners. program is the version of what scanned.
func SARIF(w io.Writer, r *Report, program string) error {
	driver := sarif.NewToolComponent().WithName("imgbuild").WithVersion(program)
	run := sarif.NewRun().WithTool(sarif.NewTool().WithDriver(driver))
	ranks := map[string]string{} // by rule: a vulnerability may be in several packages
	for _, i := range items(r) {
		rule := run.AddRule(i.Rule).WithDescription(i.Title)
		if len(i.Sections) > 0 {
			rule.WithProperties(sarif.NewPropertyBag().Add("tags", i.Sections))
		}
		if i.Vulnerability {
			ranks[i.Rule] = max(ranks[i.Rule], scores[i.Severity])
			rule.WithProperties(sarif.NewPropertyBag().Add("tags", []string{"security"}).Add("security-severity", ranks[i.Rule]))
		}
		run.AddResult(i.sarif())
	}
	whole := sarif.NewReport()
	whole.AddRun(run)
	return whole.PrettyWrite(w)
}

// scores are what viewers rank vulnerabilities by: a number within each step of
// the scale of CVSS. What is not rated stands with what is high.
var scores = map[control.Severity]string{control.Low: "2.0", control.Medium: "5.5", "": "7.0", control.High: "8.0", control.Critical: "9.5"}

// sarif is the result of an item. A result is told apart by kind (SARIF
// 3.27.9); its level is that of the severity only where it fails (3.27.10).
func (i item) sarif() *sarif.Result {
	kinds := map[control.Result]string{
		control.Pass: "pass", control.Fail: "fail", control.Waived: "fail", control.Error: "fail",
		control.Manual: "review", control.NotApplicable: "notApplicable",
	}
	levels := map[control.Severity]string{control.Low: "note", control.Medium: "warning", control.High: "error", control.Critical: "error", "": "error"}
	level := "none"
	if kinds[i.Result] == "fail" {
		level = levels[i.Severity]
	}
	text := strings.Join(append([]string{i.Title}, bounded(i.lines())...), "\n")
	result := sarif.NewRuleResult(i.Rule).WithKind(kinds[i.Result]).WithLevel(level).
		WithMessage(sarif.NewTextMessage(text))
	for _, path := range i.Paths[:min(len(i.Paths), most)] {
		relative := url.URL{Path: strings.TrimPrefix(path, "/")}
		at := sarif.NewSimpleArtifactLocation(relative.String())
		result.AddLocation(sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().WithArtifactLocation(at)))
	}
	if i.Result == control.Waived {
		result.AddSuppression(sarif.NewSuppression().WithKind("external").WithStatus("accepted").WithJustification(i.Why))
	}
	return result
}
