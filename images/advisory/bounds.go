package advisory

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on one record, of events on one package. The largest that are published lie well below: kernels
// have some 20,000 affected versions, advisories of Red Hat some 6,000 packages.
const (
	MaxName       = 256
	MaxLine       = 400
	MaxNames      = 10_000
	MaxReferences = 1_000
	MaxAffected   = 50_000
	MaxVersions   = 200_000
	MaxEvents     = 10_000
)

// Check says what is wrong with a record: what has no name, what is above the
// limits, what could not be printed on one line. Every reader of feeds ends
// with it.
func (r *Record) Check() error {
	if err := checkName("id", r.ID); err != nil {
		return err
	}
	if len(r.Aliases)+len(r.Upstream) > MaxNames {
		return fmt.Errorf("%s has %d aliases and vulnerabilities, the limit is %d", r.ID, len(r.Aliases)+len(r.Upstream), MaxNames)
	}
	for _, name := range slices.Concat(r.Aliases, r.Upstream) {
		if err := checkName("alias", name); err != nil {
			return fmt.Errorf("%s: %w", r.ID, err)
		}
	}
	if len(r.References) > MaxReferences {
		return fmt.Errorf("%s has %d references, the limit is %d", r.ID, len(r.References), MaxReferences)
	}
	if len(r.Affected) > MaxAffected {
		return fmt.Errorf("%s has %d affected packages, the limit is %d", r.ID, len(r.Affected), MaxAffected)
	}
	versions := 0
	for i := range r.Affected {
		if err := r.Affected[i].check(); err != nil {
			return fmt.Errorf("%s: %w", r.ID, err)
		}
		versions += len(r.Affected[i].Versions)
	}
	if versions > MaxVersions {
		return fmt.Errorf("%s has %d versions, the limit is %d", r.ID, versions, MaxVersions)
	}
	return nil
}

func (a *Affected) check() error {
	if err := checkName("ecosystem", a.Ecosystem); err != nil {
		return err
	}
	if err := checkName("package", a.Package); err != nil {
		return err
	}
	for _, v := range a.Versions {
		if err := checkName("version", v); err != nil {
			return fmt.Errorf("%s in %s: %w", a.Package, a.Ecosystem, err)
		}
	}
	events := 0
	for _, r := range a.Ranges {
		if events += len(r.Events); events > MaxEvents {
			return fmt.Errorf("%s in %s: its ranges have more than %d events", a.Package, a.Ecosystem, MaxEvents)
		}
		for _, e := range r.Events {
			set := 0
			for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
				if v == "" {
					continue
				}
				set++
				if err := checkName("version", v); err != nil {
					return fmt.Errorf("%s in %s: %w", a.Package, a.Ecosystem, err)
				}
			}
			if set != 1 {
				return fmt.Errorf("%s in %s: an event of a range has %d versions instead of one", a.Package, a.Ecosystem, set)
			}
		}
	}
	return nil
}

// checkName refuses names that are empty, too long or not printable.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("it has an empty %s", what)
	case len(name) > MaxName:
		return fmt.Errorf("%s %q… has %d bytes, the limit is %d", what, name[:32], len(name), MaxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return fmt.Errorf("%s %q has characters that cannot be printed", what, name)
	}
	return nil
}

// Line makes one printable line of a text, of MaxLine characters at most.
func Line(text string) string {
	if len(text) < MaxLine && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return text // as references are
	}
	var b strings.Builder
	n, blank := 0, false
	for _, c := range text {
		if unicode.IsSpace(c) {
			blank = n > 0
			continue
		}
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			continue
		}
		if n++; n >= MaxLine {
			b.WriteRune('…')
			break
		}
		if blank {
			b.WriteByte(' ')
			blank = false
			n++
		}
		b.WriteRune(c)
	}
	return b.String()
}
