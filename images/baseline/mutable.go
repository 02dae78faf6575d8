package baseline

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/integrity"
)

// Mutable says that a running server may change a path, and who answers for what
// is there then: neither the integrity manifest nor AIDE vouch for it any more.
type Mutable struct {
	// Class is integrity.Variable when empty.
	Class integrity.Class `json:"class,omitempty" jsonschema:"enum=seeded,enum=variable" jsonschema_description:"seeded: content comes at first boot, owner and mode are the image's; variable, the default: belongs to the running system"`
	// Owner is a person or a team.
	Owner  string `json:"owner" jsonschema:"required" jsonschema_description:"who answers for what is there: a person or a team"`
	Reason string `json:"reason" jsonschema:"required" jsonschema_description:"why a server may change it"`
}

// Mutables are the paths that a recipe lets servers change, by pattern: an
// absolute path with *, ? and [] within one name. One that ends in /** is all
// that lies below a directory; any other is the path itself and all below it.
type Mutables map[string]Mutable

// maxMutables bounds the patterns of a recipe: AIDE asks each for every file.
const maxMutables = 200

// whole are directories that no recipe lets servers change as a whole: nothing
// would be known of such a server any more.
var whole = []string{
	"/", "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/sbin", "/usr", "/var",
	"/usr/bin", "/usr/lib", "/usr/libexec", "/usr/local", "/usr/sbin", "/usr/share", "/usr/lib/imgbuild",
	"/etc/aide", "/etc/ssh", "/var/lib", "/var/lib/aide", "/var/lib/dpkg",
}

// Validate checks the patterns, and that somebody answers for each.
func (m *Mutables) Validate(n *node.Node) error {
	p := &node.Problems{}
	if len(n.Entries) > maxMutables {
		p.Addf(n.Entries[maxMutables].Pos, "more than %d mutable paths; name the directory that they lie in", maxMutables)
	}
	for _, e := range n.Entries {
		if wrong := checkPattern(e.Key); wrong != "" {
			p.Addf(e.Pos, "%s", wrong)
		}
		for _, key := range []string{"owner", "reason"} {
			if value := e.Value.Get(key); strings.TrimSpace(value.Text) == "" {
				p.Addf(value.Pos, "%q is empty", key)
			}
		}
	}
	return p.Err()
}

// checkPattern says what is wrong with a pattern, "" when nothing is.
func checkPattern(pattern string) string {
	base := strings.TrimSuffix(pattern, "/**")
	if base == "" {
		base = "/"
	}
	switch {
	case !strings.HasPrefix(pattern, "/"):
		return "expected an absolute path, found " + quoted(pattern) + "; write " + quoted("/"+pattern)
	case pattern != "/" && strings.HasSuffix(pattern, "/"):
		return quoted(pattern) + " ends in a slash; write " + quoted(pattern+"**") + " for all below the directory, and without the slash for the directory as well"
	case slices.Contains(strings.Split(base, "/"), ".."), slices.Contains(strings.Split(base, "/"), "."), path.Clean(base) != base:
		return quoted(pattern) + " is not a clean path: leave out ., .. and doubled slashes"
	case strings.Contains(base, "${"):
		return quoted(pattern) + " has a variable; they are not filled into names"
	case strings.Contains(base, "**"):
		return quoted(pattern) + " has ** before its end; * stands for one name, and /** at the end for all below"
	case strings.ContainsFunc(base, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return quoted(pattern) + " has a control character"
	}
	if _, err := path.Match(base, ""); err != nil {
		return quoted(pattern) + " is no pattern: a [ without its ], or a backslash at the end"
	}
	for _, dir := range whole {
		if takesIn(base, dir) {
			return quoted(pattern) + " takes in the whole of " + dir + ", of which nothing would be known then; name what changes below it"
		}
	}
	return ""
}

// takesIn tells whether a pattern is a directory, or whatever lies at some depth
// below it: /usr/bin/* and /usr/*/* leave no more of /usr/bin than /usr/bin/**.
// Such a pattern matches names that have nothing in common.
func takesIn(base, dir string) bool {
	below := strings.Count(base, "/") - strings.Count(strings.TrimSuffix(dir, "/"), "/")
	for _, name := range []string{"aaaaaaaa", "zzzzzzzz"} {
		one := strings.TrimSuffix(dir, "/") + strings.Repeat("/"+name, max(below, 0))
		if base == dir {
			return true
		}
		if ok, err := path.Match(base, one); !ok || err != nil {
			return false
		}
	}
	return true
}

func quoted(s string) string { return `"` + s + `"` }

// Rules are the classes of an image's paths with what the recipe says of them;
// the deeper of two patterns that meet has the last word.
func (m Mutables) Rules() (integrity.Rules, error) {
	patterns := make([]string, 0, len(m))
	for pattern := range m {
		patterns = append(patterns, pattern)
	}
	slices.SortFunc(patterns, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), strings.Compare(a, b))
	})
	var own []integrity.Rule
	for _, pattern := range patterns {
		class := cmp.Or(m[pattern].Class, integrity.Variable)
		relative := strings.TrimPrefix(pattern, "/")
		own = append(own, integrity.Rule{Pattern: relative, Class: class})
		if !strings.HasSuffix(relative, "/**") {
			own = append(own, integrity.Rule{Pattern: relative + "/**", Class: class})
		}
	}
	return integrity.DefaultRules().With(own...)
}
