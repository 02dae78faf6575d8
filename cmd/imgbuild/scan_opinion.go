package main

import (
	"slices"

	"imgbuild/builder/project"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/openscap"
	"imgbuild/images/report"
)

// enterForOpinion moves the program into its namespaces where OpenSCAP will be
// asked: the copy of a tree has files of many owners. That a data stream was
// named and oscap is missing is an error; that only a setting asks for it is
// told later.
func (f scanFlags) enterForOpinion(p *project.Project) error {
	if f.stream == "" && (p.Config.OpenSCAP.Content == "" || len(f.looked) > 0 && !slices.Contains(f.looked, string(report.Controls))) {
		return nil
	}
	if err := openscap.Available(); err != nil {
		if f.stream != "" {
			return err
		}
		return nil
	}
	return sandbox.Enter()
}

// askOpinion has a scan ask OpenSCAP where a data stream is named, or the
// configured directory has one for the target's system.
func (f scanFlags) askOpinion(env *environment, p *project.Project, t *scan.Target, dir string, spec *scan.Spec) error {
	stream := f.stream
	if stream == "" {
		var err error
		if stream, err = openscap.Choose(p.Config.OpenSCAP.Content, t.Platform, env.reporter()); stream == "" || err != nil {
			return err
		}
	}
	spec.Second = &openscap.Request{Stream: stream, Level: f.level, Dir: dir, Report: env.reporter()}
	return nil
}
