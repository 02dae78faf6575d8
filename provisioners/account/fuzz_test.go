package account_test

import (
	"testing"

	"imgbuild/provisioners/edit/edittest"
)

// FuzzProfiles applies the rules about shells to whatever is taken for a profile:
// either that is an error, or they hold afterwards and a second time changes
// nothing.
func FuzzProfiles(f *testing.F) {
	f.Add("umask 022 # all\nif true; then\n  umask 000\nfi\nTMOUT=0")
	f.Add("cat <<-'E' <<F; umask \\\n 000\n'\n\tE\n\"\nF\necho \"a\\\"\" $'b\\'' 2>&1 >x && declare -rx TMOUT=1")
	f.Fuzz(func(t *testing.T, text string) {
		for _, rule := range []string{"default-umask", "root-umask", "session-timeout", "root-path"} {
			files := healthy()
			files["/etc/profile.d/a.sh"], files["/root/.bashrc"] = text, text
			s, r := build(t, files), resource(t, "accounts: {"+rule+": {}}")
			if _, err := r.Apply(t.Context(), s); err == nil {
				edittest.Settled(t, r, s)
			}
		}
	})
}
