// Package policy says which updates may be locked: by whom they must be approved, what
// is approved without a person, and what is kept back. It is pure: the same update,
// facts, policy and time give the same decision.
package policy

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/updates/life"
)

// Mode is what locking is bound to.
type Mode string

// The modes.
const (
	// Open lets whoever locks a baseline approve what is locked.
	Open Mode = "open"
	// Approved has locks take what is approved and nothing else.
	Approved Mode = "approved"
)

// Modes are the modes, as people write them.
func Modes() []string { return []string{string(Open), string(Approved)} }

// Trial says whether an update needs a trial that passed.
type Trial string

// The values of Trial.
const (
	// Required is the default.
	Required Trial = "required"
	// Optional lets people approve what has not been tried.
	Optional Trial = "optional"
)

// Policy is "policy:" of a project's settings. The zero value is mode open.
type Policy struct {
	Mode Mode `json:"mode,omitempty" jsonschema:"enum=open,enum=approved"`
	// Trial is Required where it is empty.
	Trial Trial `json:"trial,omitempty" jsonschema:"enum=required,enum=optional"`
	// TwoPerson has two different people approve what no rule approves.
	TwoPerson bool `json:"two-person,omitempty"`
	// AutoApprove is what is approved without a person; nil for nothing.
	AutoApprove *AutoApprove `json:"auto-approve,omitempty"`
	// Hold is what is kept back, whoever approves it.
	Hold []Hold `json:"hold,omitempty"`
	// HoldFor is how long a person's hold lasts that names no end; 0 means DefaultHold.
	HoldFor Span `json:"hold-for,omitempty"`
}

// DefaultHold is how long a hold lasts that names no end.
const DefaultHold = Span(30 * 24 * time.Hour)

// AutoApprove is the rule by which security updates need no person. All that it names
// must hold.
type AutoApprove struct {
	// Severity is the least: an update of which no severity is known is not approved.
	Severity control.Severity `json:"severity" jsonschema:"required,enum=low,enum=medium,enum=high,enum=critical"`
	// Soak is how long ago the trial must have passed, without one failing since.
	Soak Span `json:"soak,omitempty"`
	// Trial is "passed", which is needed even where it is not written.
	Trial string `json:"trial,omitempty" jsonschema:"enum=passed"`
}

// String is the rule in words.
func (a AutoApprove) String() string {
	words := fmt.Sprintf("security updates of severity %s or worse whose trial passed", a.Severity)
	if a.Soak > 0 {
		words += fmt.Sprintf(" %s ago", a.Soak)
	}
	return words
}

// Hold keeps packages back.
type Hold struct {
	// Packages is a name, or a pattern such as linux-image-* (path.Match), of binary
	// or source packages.
	Packages string `json:"packages" jsonschema:"required"`
	// Until is the first day on which it holds no more, in UTC; none when zero.
	Until control.Date `json:"until,omitzero"`
	Why   string       `json:"why,omitempty"`
}

// UnmarshalNode reads a pattern, or a map that has more to say.
func (h *Hold) UnmarshalNode(n *node.Node) error {
	type full Hold
	if n.Kind == node.String {
		h.Packages = n.Text
	} else if err := node.Decode(n, (*full)(h)); err != nil {
		return err
	}
	if _, err := path.Match(h.Packages, ""); err != nil || h.Packages == "" || len(h.Packages) > 200 || strings.ContainsAny(h.Packages, " /") {
		return node.Errorf(n.Pos, "%q is no name of packages, nor a pattern such as linux-image-*", h.Packages)
	}
	if len(h.Why) > 500 || strings.ContainsFunc(h.Why, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return node.Errorf(n.At("why"), "the reason is too long, or holds what cannot be printed")
	}
	return nil
}

// covers tells whether the hold is about an update at a time.
func (h Hold) covers(u life.Update, now time.Time) bool {
	if !h.Until.IsZero() && !now.Before(h.Until.Time) {
		return false
	}
	for _, name := range []string{u.Name, u.Source} {
		if matched, err := path.Match(h.Packages, name); err == nil && matched {
			return true
		}
	}
	return false
}

// Span is a length of time, written as 15m, 24h or 30d.
type Span time.Duration

var spanForm = regexp.MustCompile(`^([0-9]{1,5})([mhd])$`)

// UnmarshalNode reads it.
func (s *Span) UnmarshalNode(n *node.Node) error {
	span, err := ParseSpan(n.Text)
	if err != nil {
		return node.Errorf(n.Pos, "%v", err)
	}
	*s = span
	return nil
}

// ParseSpan reads 15m, 24h or 30d.
func ParseSpan(text string) (Span, error) {
	parts := spanForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("expected a time such as 15m, 24h or 30d, found %q", text)
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("expected a time such as 15m, 24h or 30d, found %q", text)
	}
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[parts[2]]
	return Span(time.Duration(n) * unit), nil
}

// String is the form in which it is written.
func (s Span) String() string {
	switch d := time.Duration(s); {
	case d%(24*time.Hour) == 0 && d > 0:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	default:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
}

// Needs is how many people must approve what no rule approves.
func (p Policy) Needs() int {
	if p.TwoPerson {
		return 2
	}
	return 1
}

// HoldUntil is when a hold ends that begins now and names no end.
func (p Policy) HoldUntil(now time.Time) time.Time {
	span := p.HoldFor
	if span == 0 {
		span = DefaultHold
	}
	return now.UTC().Truncate(time.Second).Add(time.Duration(span))
}
