// Package live judges a server that runs, over SSH: it sends a small program there
// (imgbuild-guest), which holds controls against the server and takes its
// integrity manifest, and removes it again. A host key that is not known, or is
// another than the known one, is never accepted. On the server it changes nothing
// but the private directory that the program lies in meanwhile.
package live

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners"
	"imgbuild/provisioners/agent"
)

// Spec says what a server is held to.
type Spec struct {
	// Set is where controls are looked up: those of Benchmarks up to Level, of all
	// benchmarks that speak of the server's platform when none is named.
	Set        *control.Set
	Benchmarks []string
	Level      int
	// Profiles are those of the server's recipe: what they take is asked for;
	// without any, all is.
	Profiles []string
	// Vars fill templates of controls.
	Vars node.Vars
	// Waivers accept failures of the baseline, and of whose server it is.
	Waivers  []*control.Waiver
	Baseline string
	For      control.Scope
	// Manifest is that of the image which the server runs, nil when it is none
	// of ours. Rules class the server's paths.
	Manifest integrity.Manifest
	Rules    integrity.Rules
	// Now is when waivers must hold.
	Now time.Time
}

// Check judges a server. That something is wrong with it is no error.
func Check(ctx context.Context, s *Server, guest *Guest, spec Spec) (*report.Report, error) {
	found, err := check(ctx, s, guest, spec)
	if err != nil {
		return nil, fmt.Errorf("checking %s: %w", s.Host, err)
	}
	return found, nil
}

func check(ctx context.Context, s *Server, guest *Guest, spec Spec) (*report.Report, error) {
	chosen, err := spec.Set.Of(s.Facts.Platform, control.Machine, spec.Level, spec.Benchmarks...)
	if err != nil {
		return nil, err
	}
	// What is wrong with a definition is said before anything is sent.
	if _, err := provisioners.DecodeControls(chosen, spec.Vars); err != nil {
		return nil, err
	}
	question, err := agent.Ask(chosen, spec.Vars)
	if err != nil {
		return nil, err
	}
	question.Rules = spec.Rules
	commands := []string{"check"}
	if spec.Manifest != nil {
		commands = append(commands, "manifest")
	}
	answers, err := s.ask(ctx, guest, question, commands)
	if err != nil {
		return nil, err
	}
	findings := answers[0].Findings
	if err := complete(chosen, findings); err != nil {
		return nil, err
	}
	r := &report.Report{
		Target: s.Host.String(), Baseline: spec.Baseline, For: spec.For, At: spec.Now.UTC(), Live: true,
		Drift: []integrity.Difference{}, Strays: []report.Stray{},
	}
	if err := spec.Set.NoteAsked(findings, s.Facts.Platform, control.Machine, spec.Profiles...); err != nil {
		return nil, err
	}
	findings = control.Waive(findings, spec.Waivers, control.Subject{Baseline: spec.Baseline, Output: control.Machine, For: spec.For}, spec.Now)
	r.Report = spec.Set.NewReport(s.Facts.Platform, control.Machine, findings, spec.Level, spec.Benchmarks...)
	if spec.Manifest == nil {
		return r, nil
	}
	manifest, err := integrity.ReadMtree(strings.NewReader(answers[1].Manifest))
	if err != nil {
		return nil, fmt.Errorf("reading the server's manifest: %w", err)
	}
	if len(manifest) == 0 {
		return nil, errors.New("the server's manifest is empty")
	}
	r.Files, r.Compared = len(manifest), true
	for _, d := range integrity.Drift(spec.Manifest, manifest) {
		if d.Kind != integrity.Added || path.Base(d.Path) != "lost+found" { // each file system has its own
			r.Drift = append(r.Drift, d)
		}
	}
	return r, nil
}

// complete refuses an answer that leaves a control out or tells of another.
func complete(asked []*control.Control, findings []control.Finding) error {
	open := map[string]*control.Control{}
	for _, c := range asked {
		open[c.ID] = c
	}
	for i, f := range findings {
		c := open[f.Control]
		if c == nil {
			return fmt.Errorf("the server answers for the control %q, which it was not asked for", f.Control)
		}
		delete(open, f.Control)
		findings[i].Title, findings[i].Severity = c.Title, c.Severity
	}
	for id := range open {
		return fmt.Errorf("the server does not answer for the control %q", id)
	}
	return nil
}
