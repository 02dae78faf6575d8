package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"imgbuild/builder/debian/repo"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory/advisorytest"
	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/updates"
)

// line is a baseline with a lock of packages that are called as their sources.
func line(name, architecture string, packages ...updates.Package) pipeline.Line {
	lock := &updates.Lock{Baseline: name, Architecture: architecture, Suite: "bookworm", Packages: packages}
	return pipeline.Line{Recipe: &baseline.Recipe{Name: name, Architecture: architecture}, Lock: lock}
}

func locked(name, version string, set updates.Set) updates.Package {
	return updates.Package{Name: name, Version: version, Architecture: "amd64", Source: name, SourceVersion: version, Set: set}
}

// jobs are jobs as text.
func jobs(list []pipeline.Job) []string {
	var words []string
	for _, j := range list {
		words = append(words, fmt.Sprintf("%s %s: %s, %v", j.Recipe.Name, j.Recipe.Architecture, j.Why, j.Packages))
	}
	return words
}

// TestALoaderIsRebuiltFor has an advisory for what a disk boots by, which locks have among
// the tools.
func TestALoaderIsRebuiltFor(t *testing.T) {
	x := advisorytest.Index(t, record("CVE-2026-0001", "grub2", "2.06-14", control.High))
	loader := locked("grub-pc-bin", "2.06-13", updates.Tools)
	loader.Source, loader.SourceVersion = "grub2", "2.06-13"
	got, err := pipeline.Affected(x, []string{"CVE-2026-0001"}, []pipeline.Line{line("shop", "amd64", loader), line("other", "amd64", locked("ssl", "1", updates.Root))}, nil, nil)
	if err != nil || !slices.Equal(jobs(got), []string{"shop amd64: its lock has grub2 2.06-13, [grub-pc-bin]"}) {
		t.Errorf("%q, %v", jobs(got), err)
	}
}

// TestEachArchitectureIsRebuiltForItsImages has two of a baseline, of which one is affected.
func TestEachArchitectureIsRebuiltForItsImages(t *testing.T) {
	q, images := question(t, record("CVE-2026-0001", "openssl", "2", control.High))
	images[0].Version.Disks[0].Architecture = "arm64"
	images[1].Version.Disks = nil
	images[1].Version.Container = &ocispec.Descriptor{Platform: &ocispec.Platform{Architecture: "amd64"}}
	a, err := q.Concerns(t.Context(), images)
	if err != nil {
		t.Fatal(err)
	}
	has := pipeline.Havings{}
	for _, c := range a.Concerns {
		has.Note(c)
	}
	both := []pipeline.Line{line("web", "amd64", locked("openssl", "2", updates.Root)), line("web", "arm64", locked("openssl", "2", updates.Root))}
	got, err := pipeline.Affected(q.Index, []string{"CVE-2026-0001"}, both, has, nil)
	if err != nil || !slices.Equal(jobs(got), []string{"web arm64: its image web:20260101.1 has CVE-2026-0001, []"}) || got[0].Having[0].Fixed != "2" {
		t.Errorf("%q, %v", jobs(got), err)
	}
	if gaps := has.Unlocked(both); len(gaps) != 0 {
		t.Errorf("%v", gaps)
	}
	if gaps := has.Unlocked(both[:1]); len(gaps) != 1 || gaps[0].Where != "web (arm64)" {
		t.Errorf("%v", gaps)
	}
}

// TestANewerVersionOfASecuritySuiteIsAReason has locks, and suites that offer more: what is
// newer in the security team's, also where another suite has something newer still.
func TestANewerVersionOfASecuritySuiteIsAReason(t *testing.T) {
	clock := now
	offered := []*repo.Index{
		suite("bookworm", "openssl=3", "bash=6", "linux=7"),
		suite("bookworm-updates", "bash=7"),
		suite("bookworm-security", "openssl=2", "linux=7", "exim4=9", "odd=!"),
	}
	r := &pipeline.Repositories{
		Dir: t.TempDir(), Now: func() time.Time { return clock },
		Read: func(context.Context, string, string) ([]*repo.Index, error) { return offered, nil },
	}
	of := func(name, version string) updates.Package { return locked("lib"+name, version, updates.Root) }
	vendors := of("openssl", "1")
	vendors.Archive = "vendor" // it is no older version of Debian's
	lines := []pipeline.Line{
		line("vendors", "amd64", vendors),
		line("new", "amd64", of("openssl", "2"), of("bash", "5"), of("linux", "7")),
		line("old", "amd64", of("openssl", "1"), of("bash", "5"), of("linux", "6"), of("unknown", "1")),
		line("arm", "arm64", of("openssl", "1")),
	}
	if signals, gaps, err := r.Signals(lines); len(signals)+len(gaps) > 0 || err != nil {
		t.Errorf("before anything was read: %v, %v, %v", signals, gaps, err)
	}
	if gaps, notes, err := r.Sync(t.Context(), pipeline.PlatformsOf(lines[:3]), false); len(gaps)+len(notes) > 0 || err != nil {
		t.Fatal(gaps, notes, err)
	}
	signals, gaps, err := r.Signals(lines)
	if err != nil || len(gaps) > 0 {
		t.Fatal(gaps, err)
	}
	got, err := pipeline.Affected(advisorytest.Index(t, record("CVE-2026-0001", "other", "", "")), nil, lines, nil, signals)
	if want := []string{"old amd64: bookworm-security has libopenssl 2, its lock has 1, [liblinux libopenssl]"}; err != nil || !slices.Equal(jobs(got), want) {
		t.Errorf("%q, %v", jobs(got), err)
	}
	clock = now.AddDate(0, 0, 4)
	if _, gaps, err := r.Signals(lines); len(gaps) != 1 || err != nil {
		t.Errorf("days later: %v, %v", gaps, err)
	}
	r.Stale = 7 * 24 * time.Hour
	if _, gaps, err := r.Signals(lines); len(gaps) != 0 || err != nil {
		t.Errorf("days later, where that is said to be soon enough: %v, %v", gaps, err)
	}
	r.Off = true
	if signals, gaps, err := r.Signals(lines); len(signals)+len(gaps) != 0 || err != nil {
		t.Errorf("they are not watched, and say %v, %v, %v", signals, gaps, err)
	}
}
