package feeds

import (
	"fmt"
	"time"
)

// Judgement is whether a feed can be relied on.
type Judgement struct {
	// Fresh says that what the feed does not say is a fact: it is whole and new
	// enough. Otherwise Alarms say why not.
	Fresh  bool    `json:"fresh"`
	Alarms []Alarm `json:"alarms,omitempty"`
	// FreshBefore is the first moment at which it is stale when nobody reads it
	// again; zero when nothing is kept.
	FreshBefore time.Time `json:"fresh_before,omitzero"`
}

// leap is how far a date may lie in the future for clocks that differ.
const leap = day

// Judge makes alarms of what is known of a feed, of its age, and of what was
// wrong when it was last tried. It asks nobody.
func Judge(f *Feed, s *State, now time.Time) Judgement {
	var j Judgement
	add := func(what What, mend, format string, args ...any) {
		j.Alarms = append(j.Alarms, Alarm{What: what, Reason: fmt.Sprintf(format, args...), Mend: mend, At: now})
	}
	again := "read it again: imgbuild feeds check --now " + f.Name
	switch {
	case f.File != "" || f.Directory != "":
		again = "put a newer one at " + f.Place() + " and read it: imgbuild feeds check --now " + f.Name
	case f.URL == "":
		again = "add a newer bundle: imgbuild feeds add BUNDLE"
	}
	switch {
	case !s.Kept():
		add(NeverRead, again, "nothing of it is here")
	case s.Read.After(now.Add(leap)):
		add(Stale, "set the clock of this machine", "it was read on %s, which is in the future", date(s.Read))
	case now.Sub(s.Read) > f.staleAfter():
		add(Stale, again, "it was last read on %s, %s ago; it is stale after %s", date(s.Read), span(now.Sub(s.Read)), span(f.staleAfter()))
	}
	if quiet := f.quiet(); s.Kept() && quiet > 0 && !s.AsOf.IsZero() && now.Sub(s.AsOf) > quiet {
		mend := again
		if f.URL != "" {
			mend = "see whether its source is still kept up"
		}
		add(Stale, mend+"; a longer stale-after: in "+FileName+" accepts its age",
			"the newest thing in it is %s old, of %s; one of kind %s should have news within %s", span(now.Sub(s.AsOf)), date(s.AsOf), f.Kind, span(quiet))
	}
	if s.Kept() && s.Records < f.Least {
		add(Shrunk, "see what the source sends, or lower least:", "it has %s, and should have %d at least", f.Kind.count(s.Records), f.Least)
	}
	if s.Kept() {
		j.FreshBefore = s.Read.Add(f.staleAfter())
		if quiet := f.quiet(); quiet > 0 && !s.AsOf.IsZero() && s.AsOf.Add(quiet).Before(j.FreshBefore) {
			j.FreshBefore = s.AsOf.Add(quiet)
		}
	}
	if alarm := f.other(s.From, s.Files); alarm != nil {
		add(alarm.What, again, "%s", alarm.Reason)
	}
	j.Alarms = append(j.Alarms, s.Alarms...)
	j.Fresh = len(j.Alarms) == 0
	return j
}

// quiet is how old the newest thing in a feed may be; whoever lets its reading
// get older than that accepts older things too.
func (f *Feed) quiet() time.Duration {
	q := f.Kind.traits().quiet
	if q == 0 {
		return 0
	}
	return max(q, f.staleAfter())
}

// bundled is where what came in a bundle was read from.
const bundled = "a bundle"

// other is the alarm of files that are not those of the feed as it is listed: they
// were read from another place, or are not what it pins. It is nil when they are.
func (f *Feed) other(from string, files []File) *Alarm {
	switch {
	case len(files) == 0:
	case from != "" && from != bundled && from != f.Place():
		return &Alarm{What: Changed, Reason: fmt.Sprintf("it was read from %s, and %s says %s", from, FileName, f.Place())}
	case f.SHA256 != "" && (len(files) != 1 || files[0].SHA256 != f.SHA256):
		return &Alarm{What: Changed, Reason: fmt.Sprintf("its digest is %s, and sha256: says %s", files[0].SHA256, f.SHA256), Mend: "if the new file is meant, write its digest"}
	}
	return nil
}

// Due says whether a feed is to be read again. What is kept of another feed than
// the one that is listed is no reading of it.
func Due(f *Feed, s *State, now time.Time) bool {
	return f.other(s.From, s.Files) != nil || s.Tried.IsZero() || s.Tried.After(now) || now.Sub(s.Tried) >= f.every()
}

// judgeNew is the alarm that keeps new data from taking the place of the old;
// nil when it may.
func judgeNew(f *Feed, old *State, new *reading, smaller bool) *Alarm {
	if new.records == 0 {
		return &Alarm{What: Empty, Reason: "there are no " + f.Kind.traits().records + " in it", Mend: "see what the source sends; what was kept before stays"}
	}
	if new.records < f.Least {
		return &Alarm{
			What: Shrunk, Reason: fmt.Sprintf("it has %s, and should have %d at least", f.Kind.count(new.records), f.Least),
			Mend: "see what the source sends, or lower least:",
		}
	}
	if !smaller && old.Kept() && int64(new.records)*100 < int64(old.Peak)*int64(100-f.shrink()) {
		return &Alarm{
			What:   Shrunk,
			Reason: fmt.Sprintf("it has %s, and had %d: fewer by more than %d %%", f.Kind.count(new.records), old.Peak, f.shrink()),
			Mend:   "see why; if it is meant, accept it: imgbuild feeds check --accept-smaller " + f.Name,
		}
	}
	if f.Kind.traits().quiet > 0 && !smaller && old.Kept() && !new.asOf.IsZero() && new.asOf.Before(old.AsOf.Add(-leap)) {
		return &Alarm{
			What:   Older,
			Reason: fmt.Sprintf("its newest thing is of %s, and what is kept has one of %s", date(new.asOf), date(old.AsOf)),
			Mend:   "see whether an old copy is sent; if it is meant, accept it: imgbuild feeds check --accept-smaller " + f.Name,
		}
	}
	return nil
}

// span is a length of time in words.
func span(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.of); n > 1 || n == 1 && d%u.of == 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "less than 2 minutes"
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
