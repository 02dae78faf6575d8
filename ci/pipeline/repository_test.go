package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/debian/repo"
	"imgbuild/ci/feeds"
	"imgbuild/ci/pipeline"
	"imgbuild/images/advisory/eol"
	"imgbuild/images/control"
)

// suite is what a suite offers, as "source=version" words.
func suite(name string, words ...string) *repo.Index {
	index := &repo.Index{Source: repo.Source{Suite: name}, Release: &repo.Release{Date: now}}
	for _, word := range words {
		source, version, _ := strings.Cut(word, "=")
		index.Packages = append(index.Packages, repo.Package{Name: "lib" + source, Source: source, Version: version, SourceVersion: version})
	}
	return index
}

func TestANewerVersionIsASignalBeforeAnAdvisory(t *testing.T) {
	q, images := question(t, record("CVE-2026-0001", "openssl", "2.1", control.High))
	offered := []*repo.Index{
		suite("bookworm", "openssl=1", "bash=5", "linux=6"),
		suite("bookworm-updates", "bash=5.1"),
		// Old binaries of a kernel stay beside the new.
		suite("bookworm-security", "openssl=2.1", "linux=6.1", "linux=6.0", "exim4=9", "odd=!"),
	}
	var down error
	clock := now
	r := &pipeline.Repositories{
		Dir: t.TempDir(), Now: func() time.Time { return clock },
		Read: func(_ context.Context, codename, architecture string) ([]*repo.Index, error) {
			if codename != "bookworm" || architecture != "amd64" {
				t.Errorf("%s of %s is read", architecture, codename)
			}
			return offered, down
		},
	}
	ask := func() (*pipeline.Answer, []string) {
		a, err := q.Concerns(t.Context(), images)
		if err != nil {
			t.Fatal(err)
		}
		newer, err := a.Newer(r)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, n := range newer {
			all = append(all, fmt.Sprintf("%s %s < %s in %s since %s, %t: %s", n.Package, n.Have, n.Offered, n.Suite, n.Since.Format("01-02"), n.Advised, strings.Join(n.Images, " ")))
		}
		return a, all
	}
	a, newer := ask()
	if len(newer) > 0 || len(a.Gaps) > 0 {
		t.Errorf("before anything was read: %q, %v", newer, a.Gaps)
	}
	sync := func() (gaps, notes int) {
		g, n, err := r.Sync(t.Context(), a.Platforms(), false)
		if err != nil {
			t.Fatal(err)
		}
		return len(g), len(n)
	}

	// Where it was never read, there may be no mirror; that is said, and no alarm.
	down = errors.New("no mirror is known")
	if gaps, notes := sync(); gaps != 0 || notes != 1 {
		t.Errorf("%d gaps and %d notes", gaps, notes)
	}
	down = nil
	if gaps, notes := sync(); gaps != 0 || notes != 0 {
		t.Errorf("%d gaps and %d notes", gaps, notes)
	}
	want := []string{
		"linux 6 < 6.1 in bookworm-security since 05-01, false: web:20260101.2",
		"openssl 1 < 2.1 in bookworm-security since 05-01, true: web:20260101.1",
		"openssl 2 < 2.1 in bookworm-security since 05-01, true: web:20260101.2",
		"bash 5 < 5.1 in bookworm-updates since 05-01, false: web:20260101.3",
	}
	if _, newer = ask(); !slices.Equal(newer, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(newer, "\n"), strings.Join(want, "\n"))
	}

	if last, platforms, err := r.Last(); err != nil || len(last) != 1 || len(platforms) != 1 || last[0] != (feeds.Offered{Platform: "Debian:12 amd64", Read: now, AsOf: now, Packages: 4}) {
		t.Errorf("%+v of %v was read, %v", last, platforms, err)
	}

	// What is seen again was first seen before. A repository that stays away is a gap.
	clock = now.AddDate(0, 0, 1)
	offered[2] = suite("bookworm-security", "openssl=2.1", "linux=6.2")
	if gaps, notes := sync(); gaps != 0 || notes != 0 {
		t.Errorf("%d gaps and %d notes", gaps, notes)
	}
	want[0] = "linux 6 < 6.2 in bookworm-security since 05-02, false: web:20260101.2"
	if _, newer = ask(); !slices.Equal(newer, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(newer, "\n"), strings.Join(want, "\n"))
	}
	if last, _, err := r.Last(); err != nil || last[0].New != 1 || last[0].Security != 1 {
		t.Errorf("%+v is new, %v", last, err)
	}
	// Read as often as is said, and not at all where it is off.
	before := offered
	offered = append(slices.Clone(offered), suite("bookworm-security", "bash=7"))
	r.Every, clock = 24*time.Hour, clock.Add(2*time.Hour)
	sync()
	if _, newer = ask(); !slices.Equal(newer, want) {
		t.Errorf("it is read before it is due: %q", newer)
	}
	r.Every, r.Off, offered = 0, true, before
	if gaps, notes := sync(); gaps != 0 || notes != 0 {
		t.Errorf("%d gaps and %d notes", gaps, notes)
	}
	if a, newer = ask(); len(newer) > 0 || len(a.Gaps) > 0 {
		t.Errorf("off, and %q is newer: %v", newer, a.Gaps)
	}
	r.Off = false
	clock, down = now.AddDate(0, 0, 4), errors.New("it does not answer")
	if gaps, notes := sync(); gaps != 1 || notes != 0 {
		t.Errorf("%d gaps and %d notes", gaps, notes)
	}
	if a, newer = ask(); !slices.Equal(newer, want) || len(a.Gaps) != 1 || !strings.Contains(a.Gaps[0].Why, "it was last read on 2026-05-02") {
		t.Errorf("%q, %v", newer, a.Gaps)
	}
	// What offers nothing does not take the place of what did.
	offered, down = []*repo.Index{suite("bookworm")}, nil
	if gaps, _ := sync(); gaps != 1 {
		t.Error("a repository that offers nothing is read")
	}
	if _, newer = ask(); !slices.Equal(newer, want) {
		t.Errorf("%q", newer)
	}
}

func TestTheEndOfSupportIsSaidAheadOfTime(t *testing.T) {
	q, images := question(t, record("CVE-2026-0001", "openssl", "2", ""))
	for at, want := range map[string]eol.Level{
		"": eol.Unknown, "2028-06-10": eol.Supported, "2027-01-01": eol.Notice, "2026-09-01": eol.Warning, "2026-06-10": eol.Alarm, "2026-04-30": eol.Unsupported,
	} {
		q.Facts.Support = nil
		if at != "" {
			feed, err := eol.Read(strings.NewReader(`[{"cycle": "12", "codename": "Bookworm", "releaseDate": "2023-06-10", "eol": "`+at+`"}]`), "debian")
			if err != nil {
				t.Fatal(err)
			}
			q.Facts.Support = []*eol.Feed{feed}
		}
		a, err := q.Concerns(t.Context(), images)
		if err != nil {
			t.Fatal(err)
		}
		got := a.Supported(q.Facts, now)
		if len(got) != 1 || got[0].Level != want || got[0].Release != "Debian:12" || (len(a.Gaps) == 1) != (want == eol.Unsupported) {
			t.Errorf("until %s: %v, %v", at, got, a.Gaps)
		}
	}
}
