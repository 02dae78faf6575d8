package main

import (
	"fmt"
	"io"

	"imgbuild/builder/debian"
	"imgbuild/images/updates"
	"imgbuild/images/updates/policy"
)

// lockedBaseline is the document of lock --output json.
type lockedBaseline struct {
	Lock     string `json:"lock"`
	Packages int    `json:"packages"`
	First    bool   `json:"first"`
	Security int    `json:"security"`
	// WithoutSecurity says that the security suite was left out on purpose.
	WithoutSecurity bool `json:"without_security,omitempty"`
	// Edited says, with --check, that the recipe asks for other packages than
	// the lock was made for; Asked are the changes that this makes.
	Edited bool       `json:"edited,omitempty"`
	Asked  []lockMove `json:"asked,omitempty"`
	Moves  []lockMove `json:"moves,omitempty"`
	// Mode is policy.mode. Record is the signed record by which the lock was approved;
	// empty where every part of it was approved before.
	Mode   policy.Mode `json:"mode,omitempty"`
	Record string      `json:"record,omitempty"`
}

// lockMove is one package that moves.
type lockMove struct {
	Name         string             `json:"name"`
	Set          updates.Set        `json:"set"`
	Architecture string             `json:"architecture"`
	Kind         updates.ChangeKind `json:"kind"`
	// Old is nil for a package that is added, New for one that goes.
	Old      *lockedPackage `json:"old,omitempty"`
	New      *lockedPackage `json:"new,omitempty"`
	Security bool           `json:"security"`
	Older    bool           `json:"older"`
	Why      string         `json:"why"`
}

type lockedPackage struct {
	Version       string `json:"version"`
	Source        string `json:"source"`
	SourceVersion string `json:"source_version"`
	Archive       string `json:"archive,omitempty"`
	Suite         string `json:"suite,omitempty"`
	Path          string `json:"path"`
	Size          int64  `json:"size"`
	SHA256        string `json:"sha256"`
	Layer         string `json:"layer,omitempty"`
}

func describeMoves(moves []debian.Move) []lockMove {
	var out []lockMove
	for _, m := range moves {
		out = append(out, lockMove{
			Name: m.Name, Set: m.Set, Architecture: m.Architecture, Kind: m.Kind,
			Old: describePackage(m.Old), New: describePackage(m.New), Security: m.Security, Older: m.Older, Why: m.Why,
		})
	}
	return out
}

func describePackage(p *updates.Package) *lockedPackage {
	if p == nil {
		return nil
	}
	return &lockedPackage{
		Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion, Archive: p.Archive, Suite: p.Suite,
		Path: p.Path, Size: p.Size, SHA256: p.SHA256, Layer: p.Layer,
	}
}

func (l *lockedBaseline) write(w io.Writer) {
	fmt.Fprintf(w, "locked %d packages in %s\n", l.Packages, l.Lock)
	if l.WithoutSecurity {
		fmt.Fprintln(w, "WITHOUT the security suite, as you asked: what that mends is missing, so this is no lock for servers")
	}
	switch {
	case l.Mode == policy.Approved && l.Record == "":
		fmt.Fprintln(w, "all of it is approved (policy.mode: approved)")
	case l.Record != "" && l.First:
		fmt.Fprintf(w, "a first lock counts as approved by who makes it: record %s (policy.mode: %s)\n", l.Record[:12], l.Mode)
	case l.Record != "":
		fmt.Fprintf(w, "approved by locking it: record %s (policy.mode: %s)\n", l.Record[:12], l.Mode)
	}
	l.writeMoves(w)
}

func (l *lockedBaseline) writeCheck(w io.Writer) {
	if l.WithoutSecurity {
		fmt.Fprintf(w, "%s was made WITHOUT the security suite\n", l.Lock)
	}
	switch {
	case l.Edited:
		fmt.Fprintf(w, "the recipe asks for other packages than %s was made for\n", l.Lock)
	case len(l.Moves) == 0:
		fmt.Fprintf(w, "nothing has moved: %s is what would be locked now\n", l.Lock)
	}
	for _, m := range l.Asked {
		fmt.Fprintf(w, "+ %s\n", m.Why)
	}
	l.writeMoves(w)
}

func (l *lockedBaseline) writeMoves(w io.Writer) {
	for _, m := range l.Moves {
		mark := " "
		if m.Security {
			mark = "!"
		}
		fmt.Fprintf(w, "%s %s\n", mark, m.Why)
	}
}
