// Package apache holds the resources of what Apache httpd is configured to do:
// the value that a directive has in effect in the server, in virtual hosts and
// in directories, and which of Debian's modules are enabled. It reads the
// configuration as httpd does, edits the files that decide and keeps the rest
// of them byte for byte; it never starts or reloads httpd, and does not
// understand macros or .htaccess files.
package apache

import (
	"context"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/term"
)

// State is what one directive must be in effect.
//
// The key in the recipe is the directive's name, followed where it may stand
// several times by the arguments that select it: "Header always set
// X-Frame-Options". A key's text after " #" tells two states of one directive
// apart.
type State struct {
	Key string `json:"-"`

	term.Wish
	With      map[string]string `json:"with,omitempty" jsonschema_description:"for a section such as LimitExcept: the directives in it with their arguments"`
	Each      string            `json:"each,omitempty" jsonschema:"enum=server,enum=virtualhost,enum=tls-virtualhost,enum=plain-virtualhost,enum=directory,enum=section" jsonschema_description:"the sections it must hold in; default: the server and whatever section says otherwise"`
	Directory string            `json:"directory,omitempty" jsonschema_description:"the path of the one <Directory> it must hold in"`
	// Needed is for conditions: without it a state holds where there is no
	// section that it could hold in.
	Needed bool     `json:"needed,omitempty" jsonschema_description:"with each: there must be such a section"`
	Main   string   `json:"main,omitempty" jsonschema_description:"the main file; default: /etc/apache2/apache2.conf"`
	Define []string `json:"define,omitempty" jsonschema_description:"parameters that a start with -D defines; it must hold with and without them"`

	name     string
	selector []string
}

var directiveName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// New decodes the state of the directive that e.Key names; a text is its
// value, or "present" or "absent".
func New(e node.Entry) (*State, error) {
	s := &State{Key: e.Key}
	if err := node.Decode(term.Short(e.Value, "present", "absent"), s); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	if err := s.Prepare(); err != nil {
		p.Addf(e.Pos, "apache %s: %v", e.Key, err)
	}
	return s, p.Err()
}

// Prepare checks a state that was made in code and not by New.
func (s *State) Prepare() error {
	key, _, _ := strings.Cut(s.Key, " #")
	list := words(key)
	if len(list) == 0 || !directiveName.MatchString(list[0]) || strings.ContainsAny(key, "\n\r") {
		return fault.Inputf("%q does not begin with the name of a directive", s.Key)
	}
	s.name, s.selector = list[0], list[1:]
	for _, name := range s.withNames() {
		if !directiveName.MatchString(name) || strings.ContainsAny(s.With[name], "\n\r") {
			return fault.Inputf("%q in \"with\" is no directive with its arguments", name+" "+s.With[name])
		}
	}
	for _, name := range []string{s.Directory, s.Main} {
		if name != "" && (!path.IsAbs(name) || path.Clean(name) != name || strings.ContainsAny(name, "\n\r\"<>")) {
			return fault.Inputf("%q is not an absolute path", name)
		}
	}
	switch {
	case s.Needed && s.Each == "":
		return fault.Inputf(`"needed" goes with "each"`)
	case s.Directory != "" && s.Each != "":
		return fault.Inputf(`"directory" does not go with "each"`)
	case len(s.With) > 0 && !s.Empty():
		return fault.Inputf(`"with" does not go with another wish`)
	case len(s.With) > 0 && s.Each == "" && s.Directory == "":
		return fault.Inputf(`"with" needs "each" or "directory", what the section belongs into`)
	case len(s.With) > 0:
		return nil
	case factOf(s.name).dir && s.Each == "" && s.Directory == "":
		return fault.Inputf(`it is about directories: name one in "directory", or all by "each: directory"`)
	}
	return s.Wish.Prepare(term.Rules{
		Words: func(text string) ([]string, error) {
			if strings.ContainsAny(text, "\n\r") || strings.HasSuffix(text, `\`) {
				return nil, fault.Inputf("%q is not the arguments of one directive", text)
			}
			return words(text), nil
		},
		Quantity: func(word string) (int64, bool) {
			n, err := strconv.ParseInt(word, 10, 64)
			return n, err == nil && n >= 0
		},
		// Arguments that have a case, such as paths, are rarely what hardening
		// is about, and httpd compares most words without.
		Same: func(have, want string) bool {
			return strings.EqualFold(have, want) && (!strings.Contains(want, "/") || have == want)
		},
		Unlimited: factOf(s.name).unlimited,
	})
}

func (s *State) withNames() []string { return slices.Sorted(maps.Keys(s.With)) }

// Identity is the directive's, with what selects it and the directory.
func (s *State) Identity() string {
	if s.Directory != "" {
		return "apache " + s.Key + " in " + s.Directory
	}
	return "apache " + s.Key
}

// wants says in a few words what the state asks for.
func (s *State) wants() string {
	if len(s.With) == 0 {
		return s.Wish.String()
	}
	var inner []string
	for _, name := range s.withNames() {
		inner = append(inner, name+" "+s.With[name])
	}
	return "a section with " + strings.Join(inner, "; ")
}

// configs reads the configuration, without and with the parameters of Define.
func (s *State) configs(files *edit.Draft) ([]*Config, error) {
	main := s.Main
	if main == "" {
		main = mainFile
	}
	if !files.Exists(main) {
		return nil, fault.Inputf("the image has no %s", main).WithHint(`add the package apache2, or name the main file in "main"`)
	}
	var list []*Config
	for _, defines := range [][]string{nil, s.Define} {
		if len(list) > 0 && len(defines) == 0 {
			break
		}
		files.Rewind()
		c, err := read(files, main, defines)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

// Check tells where the directive's value in effect differs.
func (s *State) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files := edit.New(r)
	configs, err := s.configs(files)
	if err != nil {
		return nil, err
	}
	list, err := s.otherwise(files)
	if err != nil {
		return nil, err
	}
	for _, c := range configs {
		for _, v := range s.violations(c) {
			if d := v.difference(s); !slices.Contains(list, d) {
				list = append(list, d)
			}
		}
	}
	return list, nil
}

// Apply edits the files that decide.
func (s *State) Apply(ctx context.Context, sys system.System) (bool, error) {
	files := edit.New(sys)
	if err := s.started(files); err != nil {
		return false, err
	}
	if err := s.edit(ctx, files); err != nil {
		return false, err
	}
	return files.Save(sys)
}
