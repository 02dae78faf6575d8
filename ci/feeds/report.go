package feeds

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Report is what is told of a feed.
type Report struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// From is where it was last read from, else its place; without a password.
	From  string    `json:"from"`
	Tried time.Time `json:"tried,omitzero"`
	Read  time.Time `json:"read,omitzero"`
	AsOf  time.Time `json:"as_of,omitzero"`
	// Records is how many it has, and Holds says so in words.
	Records int    `json:"records"`
	Holds   string `json:"holds"`
	Bytes   int64  `json:"bytes"`
	Digest  string `json:"digest,omitempty"`
	// ETag is that of its one file.
	ETag  string `json:"etag,omitempty"`
	Files int    `json:"files"`
	// Off is that nobody watches it.
	Off bool `json:"off,omitempty"`
	Judgement
}

// Watched says that there is something to judge: a feed that is listed is, and the
// repositories of images are when they have been read and are not off.
func (r *Report) Watched() bool { return r.Kind != Repository || !r.Off && r.Files > 0 }

// Tell puts together what is known of a feed and what is thought of it.
func Tell(f *Feed, s *State, now time.Time) Report {
	r := Report{
		Name: f.Name, Kind: f.Kind, From: cmp.Or(s.From, f.Place()), Tried: s.Tried, Read: s.Read, AsOf: s.AsOf, Records: s.Records,
		Holds: f.Kind.count(s.Records), Bytes: s.Bytes, Digest: s.Digest, Files: len(s.Files), Judgement: Judge(f, s, now),
	}
	if len(s.Files) == 1 {
		r.ETag = s.Files[0].ETag
	}
	return r
}

// Offered is what was read last of the repositories of one platform.
type Offered struct {
	// Platform is a release and an architecture, "Debian:12 amd64".
	Platform string
	// Read is when, AsOf the date of the newest of its suites.
	Read, AsOf time.Time
	// Packages is how many it has, New how many of them were newer than at the reading
	// before, and Security how many of those are security updates.
	Packages, New, Security int
}

// Interval is how often it is read.
func (f *Feed) Interval() time.Duration { return f.every() }

// StaleAfter is after how long without a good reading it cannot be relied on.
func (f *Feed) StaleAfter() time.Duration { return f.staleAfter() }

// TellRepository puts together what is known of the repositories of images. It was
// read when the one that was read first of all was.
func TellRepository(f *Feed, offered []Offered, now time.Time) Report {
	r := Report{Name: f.Name, Kind: f.Kind, From: f.Place(), Off: f.Off, Files: len(offered), Holds: "not read yet"}
	if f.Off {
		r.Holds = "not watched"
	}
	var says []string
	for _, o := range offered {
		r.Records += o.Packages
		if r.Read.IsZero() || o.Read.Before(r.Read) {
			r.Read = o.Read
		}
		if o.AsOf.After(r.AsOf) {
			r.AsOf = o.AsOf
		}
		if f.Off {
			continue
		}
		said := f.Kind.count(o.Packages) + " of " + o.Platform
		if o.New > 0 {
			said += fmt.Sprintf(", %d newer than at the reading before, %d of them security updates", o.New, o.Security)
		}
		says = append(says, said)
		if age := now.Sub(o.Read); age > f.staleAfter() || o.Read.After(now.Add(leap)) {
			r.Alarms = append(r.Alarms, Alarm{
				What: Stale, Reason: fmt.Sprintf("that of %s was last read on %s; it is stale after %s", o.Platform, date(o.Read), span(f.staleAfter())),
				Mend: "read it again: imgbuild advisories sync --now", At: now,
			})
		}
	}
	if len(says) > 0 {
		r.Holds = strings.Join(says, "; ")
		r.FreshBefore = r.Read.Add(f.staleAfter())
	}
	r.Tried, r.Fresh = r.Read, len(says) > 0 && len(r.Alarms) == 0
	return r
}
