package sshd

import (
	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Effective is what sshd comes to for a keyword, in the canonical form: times
// in seconds, lists of algorithms in full, several arguments with blanks
// between them; "" when nothing sets it and it has no default. matches tells
// whether a connection meets the criteria of a Match block; nil is a
// connection that meets none. Without a known release in os-release(5) the
// oldest known version's defaults count.
func Effective(r system.Reader, name string, matches func(criteria []string) bool) (string, error) {
	k := find(name)
	if k == nil {
		return "", fault.Inputf("unknown keyword %q of sshd%s", name, node.Suggest(name, names()))
	}
	c, err := read(r)
	if err != nil {
		return "", err
	}
	versions, err := installed(r)
	if err != nil {
		return "", err
	}
	return c.effective(k, versions[0], func(b *block) bool { return matches != nil && matches(b.criteria) }).text, nil
}
