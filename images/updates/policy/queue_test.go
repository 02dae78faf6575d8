package policy_test

import (
	"slices"
	"strings"
	"testing"

	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/updates"
	"imgbuild/images/updates/life"
	"imgbuild/images/updates/policy"
)

// known is the history of some updates, given as states.
func known(states ...*life.State) *life.History {
	h := &life.History{States: map[string]*life.State{}}
	for _, s := range states {
		h.States[s.Update.SHA256] = s
	}
	return h
}

// waiting is an update of a baseline that waits for people.
func waiting(name, version, baseline string, facts life.Facts) *life.State {
	s := tried()
	s.Update = life.Update{Name: name, Version: version, Source: strings.TrimSuffix(name, "-common"), SourceVersion: version, SHA256: name + version + strings.Repeat("0", 64)}
	s.Evaluation = &life.Evaluation{Applies: []life.Applies{{Baseline: baseline, Architecture: "amd64"}}, Facts: facts}
	return s
}

func names(entries []policy.Entry) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.State.Update.Name+" "+e.State.Update.Version+" "+e.Word())
	}
	return list
}

func TestTheWorstComesFirst(t *testing.T) {
	locked := waiting("base", "1", "shop", life.Facts{})
	locked.Evaluation, locked.Trial, locked.Stage, locked.Approvals = nil, nil, life.StageDiscovered, []life.Approval{machine(life.ByFirstLock, "shop")}
	approved := waiting("tool", "2", "shop", life.Facts{Severity: control.Critical})
	approved.Approvals = []life.Approval{person("ada")}
	h := known(
		waiting("b", "2", "shop", life.Facts{}),
		waiting("a", "2", "shop", life.Facts{}),
		waiting("s", "2", "shop", life.Facts{Security: true}),
		waiting("m", "2", "shop", life.Facts{Security: true, Severity: control.Medium}),
		waiting("x", "2", "shop", life.Facts{Security: true, Severity: control.Low, Exploited: true}),
		waiting("nginx", "2+deb12u9", "shop", life.Facts{Severity: control.High}),
		waiting("nginx", "2+deb12u10", "shop", life.Facts{Severity: control.High}),
		waiting("nginx", "2+deb12u9.1", "other", life.Facts{Severity: control.High}),
		locked, approved,
	)
	queue := policy.Queue(h, policy.Policy{Mode: policy.Approved}, []string{"ada"}, nil, noon)
	want := []string{
		"x 2 trialled", "tool 2 approved", "nginx 2+deb12u10 trialled", "nginx 2+deb12u9 superseded", "nginx 2+deb12u9.1 trialled",
		"m 2 trialled", "s 2 trialled", "a 2 trialled", "b 2 trialled", "base 1 locked",
	}
	if got := names(queue); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var pending []policy.Entry
	for _, e := range queue {
		if e.Pending() {
			pending = append(pending, e)
		}
	}
	if got := names(pending); len(got) != 7 || slices.Contains(got, "tool 2 approved") || slices.Contains(got, "base 1 locked") {
		t.Errorf("pending: %q", got)
	}
}

// What a machine says of a lock hides no update that the lock does not have.
func TestWhatIsLockedIsInTheLock(t *testing.T) {
	by := func(version string) *life.State {
		s := waiting("nginx", version, "shop", life.Facts{Severity: control.Critical})
		s.Approvals = []life.Approval{machine(life.ByOpenLock, "shop")}
		return s
	}
	lock := func(versions ...string) *updates.Lock {
		l := &updates.Lock{Baseline: "shop", Architecture: "amd64"}
		for _, v := range versions {
			l.Packages = append(l.Packages, updates.Package{Name: "nginx", Version: v})
		}
		return l
	}
	for name, c := range map[string]struct {
		locks   *policy.Locks
		pending bool
	}{
		"no locks are known":        {nil, false},
		"it is locked":              {policy.LocksOf(lock("2")), false},
		"a later one is":            {policy.LocksOf(lock("10")), false},
		"an older one is":           {policy.LocksOf(lock("1")), true},
		"an older one in the tools": {policy.LocksOf(lock("2", "1")), true},
		"nobody wants it any more":  {policy.LocksOf(lock()), false},
		"another's lock":            {policy.LocksOf(&updates.Lock{Baseline: "blog", Architecture: "amd64", Packages: lock("1").Packages}), false},
	} {
		queue := policy.Queue(known(by("2")), policy.Policy{Mode: policy.Approved}, nil, c.locks, noon)
		if len(queue) != 1 || queue[0].Pending() != c.pending {
			t.Errorf("%s: %+v", name, queue)
		}
	}
}

func TestAWordThatMeansSeveralIsNotClear(t *testing.T) {
	from := func(archive string, s *life.State) *life.State {
		s.Update.Archive = archive
		s.Update.SHA256 = archive + s.Update.SHA256
		return s
	}
	none := life.Facts{}
	queue := policy.Queue(known(
		from("debian-security", waiting("nginx", "2", "shop", none)), from("debian", waiting("nginx-common", "2", "shop", none)),
		from("debian", waiting("ssl", "1", "shop", none)), from("debian", waiting("ssl", "2", "blog", none)),
		from("debian", waiting("web", "3", "shop", none)), from("somebody", waiting("web-common", "3", "shop", none)),
	), policy.Policy{Mode: policy.Approved}, nil, nil, noon)
	for word, want := range map[string]string{
		"nginx": "", "nginx-common": "", "ssl=2": "", "web-common": "", "somebodyweb-common": "",
		"ssl":   "ssl means several updates:\n  ssl 1 () of debian, debianssl100\n  ssl 2 () of debian,",
		"web":   "web-common 3 () of somebody,",
		"web=3": "web-common 3 () of somebody,",
	} {
		found, err := policy.Find(queue, word)
		if err != nil {
			t.Fatal(err)
		}
		err = policy.Clear(word, found)
		if want == "" && err != nil || want != "" && (fault.KindOf(err) != fault.Input || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestFind(t *testing.T) {
	rejected := waiting("kernel", "2", "shop", life.Facts{})
	rejected.Stage, rejected.Rejection = life.StageRejected, &life.Decision{}
	queue := policy.Queue(known(
		waiting("nginx", "1", "shop", life.Facts{}), waiting("nginx", "2", "shop", life.Facts{}), waiting("nginx-common", "2", "shop", life.Facts{}), rejected,
		waiting("libexpat1", "2", "shop", life.Facts{}), waiting("libexpat2", "2", "shop", life.Facts{}),
	), policy.Policy{Mode: policy.Approved}, nil, nil, noon)
	for word, want := range map[string][]string{
		"nginx":                {"nginx 2 trialled", "nginx-common 2 trialled"},
		"nginx-common":         {"nginx-common 2 trialled"},
		"nginx=1":              {"nginx 1 superseded"},
		"kernel":               {"kernel 2 rejected"},
		"nginx-common20000000": {"nginx-common 2 trialled"},
	} {
		found, err := policy.Find(queue, word)
		if got := names(found); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v", word, got, err)
		}
	}
	for word, want := range map[string]string{
		"ngnix":    `did you mean "nginx"?`,
		"libexpat": "libexpat means 2 updates",
		"nginx=3":  "there is no update of nginx to 3; known are",
	} {
		if _, err := policy.Find(queue, word); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", word, err)
		}
	}
}
