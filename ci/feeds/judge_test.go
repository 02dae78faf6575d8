package feeds_test

import (
	"testing"
	"time"

	"imgbuild/ci/feeds"
)

func TestJudgement(t *testing.T) {
	const day = 24 * time.Hour
	file := []feeds.File{{Name: "a", SHA256: "a", Bytes: 1}}
	osv := &feeds.Feed{Name: "a", Kind: feeds.OSV, URL: "https://feeds.example/a"}
	slow := &feeds.Feed{Name: "a", Kind: feeds.OSV, URL: "https://feeds.example/a", Stale: feeds.Duration(400 * day)}
	least := &feeds.Feed{Name: "a", Kind: feeds.OSV, URL: "https://feeds.example/a", Least: 100}
	pinned := &feeds.Feed{Name: "a", Kind: feeds.OSV, URL: "https://feeds.example/a", SHA256: "b"}
	dates := &feeds.Feed{Name: "a", Kind: feeds.EOL, URL: "https://feeds.example/a"}
	for name, c := range map[string]struct {
		feed  *feeds.Feed
		state feeds.State
		want  []feeds.What
	}{
		"never tried":             {osv, feeds.State{}, []feeds.What{feeds.NeverRead}},
		"tried in vain":           {osv, feeds.State{Tried: now, Alarms: []feeds.Alarm{{What: feeds.Unreachable}}}, []feeds.What{feeds.NeverRead, feeds.Unreachable}},
		"good":                    {osv, feeds.State{Read: now, AsOf: now, Records: 1, Files: file}, nil},
		"good, by the skin":       {osv, feeds.State{Read: now.Add(-2 * day), AsOf: now.Add(-14 * day), Records: 1, Files: file}, nil},
		"read long ago":           {osv, feeds.State{Read: now.Add(-3 * day), AsOf: now, Records: 1, Files: file}, []feeds.What{feeds.Stale}},
		"without news":            {osv, feeds.State{Read: now, AsOf: now.Add(-15 * day), Records: 1, Files: file}, []feeds.What{feeds.Stale}},
		"old in both ways":        {osv, feeds.State{Read: now.Add(-30 * day), AsOf: now.Add(-15 * day), Records: 1, Files: file}, []feeds.What{feeds.Stale, feeds.Stale}},
		"old, as is accepted":     {slow, feeds.State{Read: now.Add(-300 * day), AsOf: now.Add(-300 * day), Records: 1, Files: file}, nil},
		"of nobody knows when":    {osv, feeds.State{Read: now, Records: 1, Files: file}, nil},
		"of a kind that is quiet": {dates, feeds.State{Read: now, AsOf: now.Add(-500 * day), Records: 1, Files: file}, nil},
		"read in the future":      {osv, feeds.State{Read: now.Add(2 * day), AsOf: now, Records: 1, Files: file}, []feeds.What{feeds.Stale}},
		"with too little":         {least, feeds.State{Read: now, AsOf: now, Records: 99, Files: file}, []feeds.What{feeds.Shrunk}},
		"of another place":        {osv, feeds.State{From: "https://old.example/a", Read: now, AsOf: now, Records: 1, Files: file}, []feeds.What{feeds.Changed}},
		"of its place":            {osv, feeds.State{From: osv.URL, Read: now, AsOf: now, Records: 1, Files: file}, nil},
		"of a bundle":             {osv, feeds.State{From: "a bundle", Read: now, AsOf: now, Records: 1, Files: file}, nil},
		"not what is pinned":      {pinned, feeds.State{From: osv.URL, Read: now, AsOf: now, Records: 1, Files: file}, []feeds.What{feeds.Changed}},
		"that went wrong":         {osv, feeds.State{Read: now, AsOf: now, Records: 1, Files: file, Alarms: []feeds.Alarm{{What: feeds.Truncated}}}, []feeds.What{feeds.Truncated}},
	} {
		j := feeds.Judge(c.feed, &c.state, now)
		ok := len(j.Alarms) == len(c.want) && j.Fresh == (len(c.want) == 0)
		for i := range min(len(j.Alarms), len(c.want)) {
			ok = ok && j.Alarms[i].What == c.want[i]
		}
		if !ok {
			t.Errorf("%s: %+v, want %v", name, j, c.want)
		}
	}
}

func TestDue(t *testing.T) {
	f := &feeds.Feed{Name: "a", Kind: feeds.OSV}
	for ago, due := range map[time.Duration]bool{0: false, 59 * time.Minute: false, time.Hour: true, -time.Minute: true} {
		if feeds.Due(f, &feeds.State{Tried: now.Add(-ago)}, now) != due {
			t.Errorf("tried %s ago: due is %t", ago, !due)
		}
	}
	file := []feeds.File{{Name: "a", SHA256: "a", Bytes: 1}}
	for from, due := range map[string]bool{"bundles": false, "a bundle": false, "https://old.example/a": true} {
		if feeds.Due(f, &feeds.State{Tried: now, From: from, Files: file}, now) != due {
			t.Errorf("read from %s: due is %t", from, !due)
		}
	}
	if !feeds.Due(&feeds.Feed{Name: "a", Kind: feeds.OSV, SHA256: "b"}, &feeds.State{Tried: now, Files: file}, now) {
		t.Error("what is not what is pinned is not due")
	}
	if !feeds.Due(f, &feeds.State{}, now) {
		t.Error("what was never tried is not due")
	}
}

// TestShrinkingIsHeldAgainstTheMost has a feed lose a little each time.
func TestShrinkingIsHeldAgainstTheMost(t *testing.T) {
	server := serve(t, records(t, 100))
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL}
	sync1(t, s, f)
	server.set(records(t, 92), `"2"`, nil)
	if state := sync1(t, s, f); len(state.Alarms) > 0 || state.Records != 92 || state.Peak != 100 {
		t.Errorf("the state is %+v", state)
	}
	server.set(records(t, 85), `"3"`, nil)
	alarmOf(t, sync1(t, s, f), feeds.Shrunk, "it has 85 advisories, and had 100: fewer by more than 10 %")
	// A person accepts it, and it is the measure from then on.
	state, err := s.Sync(t.Context(), f, feeds.Options{Smaller: true})
	if err != nil || len(state.Alarms) > 0 || state.Peak != 85 {
		t.Errorf("the state is %+v, %v", state, err)
	}
}

func TestAFeedThatIsTooSmallFromTheStart(t *testing.T) {
	server := serve(t, records(t, 3))
	s := store(t, server.transport())
	f := &feeds.Feed{Name: "osv", Kind: feeds.OSV, URL: server.URL, Least: 10}
	state := sync1(t, s, f)
	alarmOf(t, state, feeds.Shrunk, "it has 3 advisories, and should have 10")
	if state.Kept() {
		t.Error("it is kept")
	}
}
