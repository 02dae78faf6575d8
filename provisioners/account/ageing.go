package account

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// everyone is the name that stands for all accounts with a usable password.
const everyone = "all"

// Ageing is how the passwords of one account, or of all that have a usable
// one, age: the numbers of shadow(5). A password that was last changed on a day
// to come, or on none, does not age; that is a difference too.
type Ageing struct {
	Name string `json:"-"`
	// A field that is nil is left as it is.
	MaxDays      *term.Term `json:"max-days,omitempty" jsonschema_description:"how long a password may be used"`
	MinDays      *term.Term `json:"min-days,omitempty" jsonschema_description:"how long it must be kept"`
	WarnDays     *term.Term `json:"warn-days,omitempty" jsonschema_description:"how long before its end the user is told"`
	InactiveDays *term.Term `json:"inactive-days,omitempty" jsonschema_description:"how long after its end it can still be changed"`
}

// NewAgeing decodes the ageing of the account called e.Key; "all" are all.
func NewAgeing(e node.Entry) (*Ageing, error) {
	a := &Ageing{Name: e.Key}
	if err := node.Decode(e.Value, a); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	if !validName.MatchString(e.Key) {
		p.Addf(e.Pos, `%q is neither "all" nor the name of a user`, e.Key)
	}
	given := 0
	for _, f := range a.fields() {
		if f.days == nil {
			continue
		}
		given++
		p.Add(f.days.CheckNumbers(e.Value.Get(f.key), term.Sense{}))
		for _, n := range []*term.Text{f.days.Value, f.days.AtLeast, f.days.AtMost} {
			if n == nil {
				continue
			}
			if days, err := strconv.Atoi(string(*n)); err != nil || days < 0 || days >= never {
				p.Addf(e.Value.At(f.key), "%q is not a number of days", *n)
			}
		}
		if f.days.Value == nil && f.days.AtLeast == nil && f.days.AtMost == nil {
			p.Addf(e.Value.At(f.key), `expected a number, "at-least" or "at-most" for %q`, f.key)
		}
	}
	if given == 0 {
		p.Addf(e.Pos, `ageing of %s: expected "max-days", "min-days", "warn-days" or "inactive-days"`, e.Key)
	}
	return a, p.Err()
}

// never is more days than any field means: shadow(5) has 99999 for it by
// custom, and an empty field.
const never = 1_000_000

// field is one number of a record: its place, its name and what it is when it
// is empty.
type field struct {
	index int
	key   string
	empty int
	days  *term.Term
}

func (a *Ageing) fields() []field {
	return []field{
		{3, "min-days", 0, a.MinDays}, {4, "max-days", never, a.MaxDays},
		{5, "warn-days", 0, a.WarnDays}, {6, "inactive-days", never, a.InactiveDays},
	}
}

// Identity is the account's.
func (a *Ageing) Identity() string { return "ageing " + a.Name }

// usable tells whether a password of shadow(5) lets anybody in: no hash begins
// with ! or *. An empty one lets everybody in.
func usable(password string) bool {
	return !strings.HasPrefix(password, "!") && !strings.HasPrefix(password, "*")
}

// today is the day in shadow(5)'s count.
func today() int { return int(time.Now().Unix() / (24 * 60 * 60)) }

// records are those of shadow(5) that the resource is about.
func (a *Ageing) records(d *database) ([][]string, error) {
	if d.shadow.was == nil {
		return nil, fmt.Errorf("there is no %s, or nothing in it, so that no password ages", shadowFile)
	}
	var list [][]string
	for _, record := range d.shadow.lines {
		switch {
		case !isName(record[0]):
			continue
		case a.Name != everyone && record[0] != a.Name:
			continue
		case len(record) != 9:
			return nil, fmt.Errorf("reading %s: the record of %s has %d fields", shadowFile, called(record), len(record))
		case a.Name == everyone && !usable(record[1]):
			continue
		}
		list = append(list, record)
	}
	if a.Name != everyone && len(list) == 0 {
		return nil, fault.Inputf("the image has no user %q with a password%s", a.Name, node.Suggest(a.Name, d.shadow.names()))
	}
	return list, nil
}

// number reads a field; a negative one stands for an empty one.
func (f field) number(record []string) (int, error) {
	text := record[f.index]
	if text == "" {
		return f.empty, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("reading %s: the record of %s has no number for %s", shadowFile, called(record), f.key)
	}
	if n < 0 {
		return f.empty, nil
	}
	return int(n), nil
}

// Check tells which numbers are out of bounds.
func (a *Ageing) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := open(r)
	if err != nil {
		return nil, err
	}
	return a.walk(d, nil)
}

// walk compares all records, and mends those that differ if mend is given.
func (a *Ageing) walk(d *database, mend func(record []string, index int, value string)) ([]system.Difference, error) {
	records, err := a.records(d)
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	differ := func(record []string, index int, key, want, value string) {
		have := record[index]
		if have == "" {
			have = "empty"
		}
		list = append(list, system.Difference{Subject: shadowFile + ": " + record[0] + ": " + key, Have: have, Want: want})
		if mend != nil {
			mend(record, index, value)
		}
	}
	for _, record := range records {
		for _, f := range a.fields() {
			if f.days == nil {
				continue
			}
			n, err := f.number(record)
			if err != nil {
				return nil, err
			}
			have := strconv.Itoa(n)
			if f.days.Holds(have, term.Sense{}) {
				continue
			}
			value, err := f.days.Write(have, term.Sense{})
			if err != nil {
				return nil, err
			}
			differ(record, f.index, f.key, f.days.String(), value)
		}
		if !usable(record[1]) {
			continue
		}
		last := field{index: 2, key: "last change", empty: never}
		n, err := last.number(record)
		if err != nil {
			return nil, err
		}
		if n > today() {
			// Day 0 asks for a new password at the next login; any other day
			// would be made up.
			differ(record, last.index, last.key, "a day that has been, or 0 for a change at the next login", "0")
		}
	}
	return list, nil
}

// Apply sets the numbers that are out of bounds to the bound. A day of the last
// change that is none becomes 0: the password has to be changed at the next
// login.
func (a *Ageing) Apply(ctx context.Context, s system.System) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	d, err := open(s)
	if err != nil {
		return false, err
	}
	list, err := a.walk(d, func(record []string, index int, value string) { record[index] = value })
	if err != nil || len(list) == 0 {
		return false, err
	}
	return true, d.shadow.write(s)
}
