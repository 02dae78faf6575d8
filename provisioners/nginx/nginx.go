// Package nginx holds the resource of what nginx is configured to do: the
// value that a directive has in effect in every context, read as nginx itself
// reads its configuration, with included files and inheritance. It edits the
// files that decide and keeps the rest of them byte for byte; it looks at HTTP
// only, not at mail and stream servers, never starts or reloads nginx, and does
// not understand programs in Lua.
package nginx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
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
// several times by the arguments that select it: "add_header X-Frame-Options".
// A key's text after "#" tells two states of one directive apart.
type State struct {
	Key string `json:"-"`

	term.Wish
	With map[string]string `json:"with,omitempty" jsonschema_description:"for a block such as limit_except: the directives in it with their arguments"`
	Each string            `json:"each,omitempty" jsonschema:"enum=server,enum=location,enum=tls-server,enum=plain-server,enum=default-server,enum=proxy" jsonschema_description:"the blocks it must hold in; default: every one from the outermost that knows the directive"`
	// Needed is for conditions: without it a state holds where there is no block
	// that it could hold in.
	Needed bool     `json:"needed,omitempty" jsonschema_description:"with each: there must be such a block"`
	Main   []string `json:"main,omitempty" jsonschema_description:"main files; default: /etc/nginx/nginx.conf and /etc/nginx/container.conf, those that are there"`

	name     string
	selector []string
}

var directiveName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// New decodes the state of the directive that e.Key names; a text is its
// value, or "present" or "absent".
func New(e node.Entry) (*State, error) {
	s := &State{Key: e.Key}
	if err := node.Decode(term.Short(e.Value, "present", "absent"), s); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	if err := s.Prepare(); err != nil {
		p.Addf(e.Pos, "nginx %s: %v", e.Key, err)
	}
	return s, p.Err()
}

// Prepare checks a state that was made in code and not by New.
func (s *State) Prepare() error {
	key, _, _ := strings.Cut(s.Key, " #")
	list, err := words(key)
	if err != nil || len(list) == 0 || !directiveName.MatchString(list[0]) {
		return fault.Inputf("%q does not begin with the name of a directive", s.Key)
	}
	s.name, s.selector = list[0], list[1:]
	for _, name := range s.withNames() {
		if _, err := words(s.With[name]); err != nil || !directiveName.MatchString(name) {
			return fault.Inputf("%q in \"with\" is no directive with its arguments", name+" "+s.With[name])
		}
	}
	for _, main := range s.Main {
		if !path.IsAbs(main) || path.Clean(main) != main {
			return fault.Inputf("the main file %q is not an absolute path", main)
		}
	}
	switch {
	case s.Needed && s.Each == "":
		return fault.Inputf(`"needed" goes with "each"`)
	case len(s.With) > 0 && !s.Empty():
		return fault.Inputf(`"with" does not go with another wish`)
	case len(s.With) > 0 && s.Each == "":
		return fault.Inputf(`"with" needs "each", the blocks that the block belongs into`)
	case len(s.With) > 0:
		return nil
	}
	return s.Wish.Prepare(rules(s.name))
}

func (s *State) withNames() []string { return slices.Sorted(maps.Keys(s.With)) }

// Identity is the directive's, with what selects it.
func (s *State) Identity() string { return "nginx " + s.Key }

// mains are the main files that the state is about.
func (s *State) mains(files *edit.Draft) ([]string, error) {
	if len(s.Main) > 0 {
		return s.Main, nil
	}
	var list []string
	for _, name := range []string{"/etc/nginx/nginx.conf", "/etc/nginx/container.conf"} {
		_, err := files.Stat(name)
		switch _, link := files.Lstat(name); {
		case err == nil:
			list = append(list, name)
		case !errors.Is(err, fs.ErrNotExist) || link == nil:
			return nil, fmt.Errorf("reading nginx's configuration: %w", err) // nginx does not start
		}
	}
	if len(list) == 0 {
		return nil, fault.Inputf("the image has no /etc/nginx/nginx.conf").WithHint(`add the package nginx, or name the main file in "main"`)
	}
	return list, nil
}

// Check tells where the directive's value in effect differs.
func (s *State) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	files := edit.New(r)
	mains, err := s.mains(files)
	if err != nil {
		return nil, err
	}
	list, err := s.otherwise(files, mains)
	if err != nil {
		return nil, err
	}
	for _, main := range mains {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		files.Rewind()
		root, _, err := read(files, main)
		if err != nil {
			return nil, err
		}
		for _, v := range s.violations(root) {
			if d := v.difference(s, main); !slices.Contains(list, d) {
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
