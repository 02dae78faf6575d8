package feeds

import (
	"cmp"
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
	Judgement
}

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
