package audit

import (
	"context"
	"fmt"
	"strings"

	"imgbuild/provisioners/sweep"
	"imgbuild/provisioners/system"
)

// lending returns the rules that report each use of a setuid or setgid file
// by a person, in path order, for those files that lie where the bits work:
// not on a file system that is mounted nosuid or noexec.
func lending(ctx context.Context, r system.Reader, key string) ([]string, error) {
	tree, err := sweep.Of(ctx, r)
	if err != nil {
		return nil, err
	}
	mounts, _, err := sweep.Mounts(r)
	if err != nil {
		return nil, err
	}
	var rules []string
	for _, e := range tree.Entries {
		if !sweep.Lends(e) {
			continue
		}
		if m, ok := sweep.On(mounts, e.Path); ok && (m.Has("nosuid") || m.Has("noexec")) {
			continue
		}
		if strings.ContainsAny(e.Path, " \t\r\n\x00*?") || strings.Contains(e.Path, "..") {
			return nil, fmt.Errorf("%q has the setuid or setgid bit and a name that no audit rule can hold; rename it or clear the bits", e.Path)
		}
		rules = append(rules, fmt.Sprintf("-a always,exit -F path=%s -F perm=x -F auid>=%d -F auid!=unset -k %s", e.Path, firstPerson, key))
	}
	return rules, nil
}

// firstPerson is the lowest number of a person's account (UID_MIN in Debian's
// /etc/login.defs).
const firstPerson = 1000
