package node

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"imgbuild/images/fault"
)

// shown is how many problems one error lists.
const shown = 20

// Problems collects what is wrong in documents, so that a user sees all of it
// at once and not one mistake a run.
type Problems struct {
	list []*Problem
}

// Problem is one mistake at one place of a document.
type Problem struct {
	Pos     Position
	Message string
}

func (p *Problem) Error() string { return p.Pos.String() + ": " + p.Message }

// Errorf makes the error of one mistake; its kind is fault.Input.
func Errorf(pos Position, format string, args ...any) error {
	p := &Problems{}
	p.Addf(pos, format, args...)
	return p.Err()
}

// Addf adds a mistake.
func (p *Problems) Addf(pos Position, format string, args ...any) {
	p.list = append(p.list, &Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// Add adds an error; one made by Problems adds what it holds.
func (p *Problems) Add(err error) {
	var all *problemList
	switch {
	case err == nil:
	case errors.As(err, &all):
		p.list = append(p.list, all.list...)
	default:
		p.list = append(p.list, &Problem{Message: err.Error()})
	}
}

// full says that more problems would not be shown, so that looking for them and
// for what was meant can end.
func (p *Problems) full() bool { return len(p.list) > shown }

// Err is nil without problems, else a fault.Input error with one line for each,
// in the order of the file.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	list := &problemList{list: append([]*Problem(nil), p.list...)}
	sort.SliceStable(list.list, func(i, j int) bool {
		a, b := list.list[i].Pos, list.list[j].Pos
		if a.Doc != b.Doc {
			return false
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return list
}

type problemList struct{ list []*Problem }

// Unwrap gives the error its kind.
func (l *problemList) Unwrap() error {
	return &fault.Error{Kind: fault.Input, Message: l.Error()}
}

func (l *problemList) Error() string {
	var b strings.Builder
	for i, p := range l.list {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == shown {
			fmt.Fprintf(&b, "and %d more", len(l.list)-shown)
			break
		}
		b.WriteString(p.Error())
	}
	return b.String()
}
