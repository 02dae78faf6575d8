// Package rsyslog holds the resource of what rsyslogd is configured to do: whether
// it takes messages from the network, with which modes it makes files, and whether
// what it sends away is encrypted. It reads the configuration as rsyslogd does,
// RainerScript and the older forms, with everything that is included, and edits the
// statements that decide. It does not evaluate conditions: an action that is
// written counts as one that is done. It does not check the names of parameters,
// properties, functions and templates, never starts rsyslogd, and invents neither
// hosts nor certificates.
package rsyslog

import (
	"context"
	"io/fs"
	"path"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/file"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// State is what a configuration must do, under any name.
type State struct {
	Name string `json:"-"`

	Listens  *bool      `json:"listens,omitempty" jsonschema_description:"false: no module that takes messages from the network is loaded or used"`
	FileMode *file.Mode `json:"file-mode,omitempty" jsonschema_description:"files are made with no more than these bits, by each action and by default"`
	Forwards string     `json:"forwards,omitempty" jsonschema:"enum=encrypted,enum=verified" jsonschema_description:"what is sent to other machines is encrypted, and, verified, only to one whose certificate has its name"`
	Main     string     `json:"main,omitempty" jsonschema_description:"the main file; default: /etc/rsyslog.conf"`
}

// New decodes the state called e.Key.
func New(e node.Entry) (*State, error) {
	s := &State{Name: e.Key}
	if err := node.Decode(e.Value, s); err != nil {
		return nil, err
	}
	n, p := e.Value, &node.Problems{}
	switch {
	case s.Listens == nil && s.FileMode == nil && s.Forwards == "":
		p.Addf(e.Pos, `rsyslog %q: expected "listens", "file-mode" or "forwards"`, e.Key)
	case s.Listens != nil && *s.Listens:
		p.Addf(n.At("listens"), `"listens" can be false only`)
	case s.FileMode != nil && fs.FileMode(*s.FileMode)&^0o666 != 0:
		p.Addf(n.At("file-mode"), "a log is not executable: expected a mode such as 0640")
	}
	if s.Main != "" && (!path.IsAbs(s.Main) || path.Clean(s.Main) != s.Main) {
		p.Addf(n.At("main"), "expected an absolute path, found %q", s.Main)
	}
	return s, p.Err()
}

// Identity is the name's.
func (s *State) Identity() string { return "rsyslog " + s.Name }

func (s *State) main() string {
	if s.Main != "" {
		return s.Main
	}
	return "/etc/rsyslog.conf"
}

// Check tells which statements do something else.
func (s *State) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	return edit.Check(ctx, r, s.violations)
}

// Apply edits the statements that do something else. What is sent in clear it
// refuses to mend: it would have to be lost, or sent to whom it does not know.
func (s *State) Apply(ctx context.Context, sys system.System) (bool, error) {
	return edit.Apply(ctx, sys, s.violations)
}

// violation is a difference that a statement makes.
func (s statement) violation(d system.Difference, mend func(*edit.Draft) error) edit.Violation {
	if s.inline {
		mend = func(*edit.Draft) error {
			return fault.Inputf("%s: it stands in the text of an include()", d).WithHint("write it into a file of its own")
		}
	}
	return edit.Violation{Difference: d, File: s.file, At: s.start, Mend: mend}
}

func (s *State) violations(files *edit.Draft) ([]edit.Violation, error) {
	c, err := read(files, s.main())
	if err != nil {
		return nil, err
	}
	list, err := s.otherwise(files)
	if err != nil {
		return nil, err
	}
	if s.Listens != nil {
		found, err := listening(c.list)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if s.FileMode != nil {
		found, err := s.modes(c)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if s.Forwards != "" {
		found, err := s.forwarding(c.list)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	return list, nil
}

// withArgument are the options of rsyslogd(8) that take one, old ones too.
const withArgument = "acfgilmMNpsStTu"

// otherwise tells where rsyslogd is started with another configuration than the
// one that was read.
func (s *State) otherwise(files *edit.Draft) ([]edit.Violation, error) {
	if s.Main != "" {
		return nil, nil // it may be of a second one
	}
	ways, err := service.StartedBy(files, "rsyslog.service")
	if err != nil {
		return nil, err
	}
	var list []edit.Violation
	for _, way := range ways {
		for _, f := range service.Flags(way.Words, withArgument) {
			if f.Letter != 'f' || f.Argument == s.main() {
				continue
			}
			d := system.Difference{Subject: way.File + ": ExecStart", Have: "rsyslogd with the configuration " + f.Argument, Want: "with " + s.main()}
			list = append(list, edit.Violation{Difference: d, Mend: func(*edit.Draft) error {
				return fault.Inputf("%s", d).WithHint("take -f out of it")
			}})
		}
	}
	return list, nil
}
