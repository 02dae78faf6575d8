package main

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"imgbuild/builder/project"
	"imgbuild/builder/scan"
	"imgbuild/ci/advise"
	"imgbuild/ci/feeds"
	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/report"
)

// checks are what is asked for, nil when it is all; words that are none are
// refused.
func (f scanFlags) checks() ([]report.Check, error) {
	var known []string
	for _, c := range report.Checks() {
		known = append(known, string(c))
	}
	var list []report.Check
	for _, word := range f.looked {
		word = strings.TrimSpace(word)
		if !slices.Contains(known, word) {
			return nil, fault.Inputf("--checks has %q%s", word, node.Suggest(word, known)).WithHint("use some of %s", strings.Join(known, ", "))
		}
		if c := report.Check(word); !slices.Contains(list, c) {
			list = append(list, c)
		}
	}
	if len(list) == len(known) {
		return nil, nil
	}
	return list, nil
}

// addAdvisor has a scan ask about vulnerabilities: the files that were given, else
// the feeds of the project.
func (f scanFlags) addAdvisor(env *environment, p *project.Project, spec *scan.Spec) error {
	looked := len(spec.Checks) == 0 || slices.Contains(spec.Checks, report.CVEs)
	if len(f.advisories) > 0 {
		if !looked {
			return fault.Inputf("--advisories is for the check of CVEs").WithHint("leave it out, or add cves to --checks")
		}
		files := &advise.Files{Store: &feeds.GivenStore{
			Dir: filepath.Join(p.Config.Cache.Dir, advisoriesDir), Program: version, Now: time.Now, Progress: env.reporter(),
		}}
		for _, text := range f.advisories {
			given, err := feeds.ParseGiven(text)
			if err != nil {
				return err
			}
			files.Given = append(files.Given, given)
		}
		spec.Advisor, spec.Narrowed = files, true
		return nil
	}
	if !looked {
		return nil
	}
	var err error
	if spec.Advisor, err = env.advisor(); err != nil {
		return err
	}
	if spec.Advisor == nil && slices.Contains(spec.Checks, report.CVEs) {
		return fault.Inputf("there is nothing to look for CVEs by: no feed is watched").
			WithHint("%s, or name a file: --advisories osv:all.zip", env.command("feeds", "add", "osv-debian"))
	}
	return nil
}
