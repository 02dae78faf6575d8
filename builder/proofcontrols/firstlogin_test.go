package proofcontrols_test

import (
	"slices"
	"strings"
	"testing"

	"imgbuild/images/control"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// firstAccount is what cloud-init makes of Debian's images at first boot: somebody
// with a key and without a password, who becomes root without one.
func firstAccount(h hand) {
	h.t.Helper()
	account(h, "debian", "1000", "1000", "/home/debian", "/bin/bash", "!")
	h.append("/etc/group", "debian:x:1000:\n")
	h.append("/etc/gshadow", "debian:!::\n")
	for _, name := range []string{"adm", "sudo"} {
		for _, file := range []string{"/etc/group", "/etc/gshadow"} {
			h.edit(file, func(line string) string {
				if strings.HasPrefix(line, name+":") {
					return strings.TrimSuffix(line, ":") + ":debian"
				}
				return line
			})
		}
	}
	h.mkdir("/home/debian", 0o700)
	h.chown("/home/debian", 1000, 1000)
	for _, name := range []string{".bashrc", ".profile", ".bash_logout"} {
		h.create("/home/debian/"+name, h.text("/etc/skel/"+name), system.Attr{Mode: 0o644, UID: 1000, GID: 1000})
	}
	h.create("/etc/sudoers.d/90-cloud-init-users", "# User rules for debian\ndebian ALL=(ALL) NOPASSWD:ALL\n", system.Attr{Mode: 0o440})
}

// askAboutPeople are the types of resources that look at who may do what.
var askAboutPeople = []string{"accounts", "ageing", "group", "pam", "sshd", "sudoers"}

// TestTheFirstAccountIsNoFailure: of the controls that look at people, none but the
// one that says so is unmet by the account that every server has.
func TestTheFirstAccountIsNoFailure(t *testing.T) {
	for _, p := range platforms {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s := system.Over(stock(t, p).machine)
			list := slices.DeleteFunc(controls(t, p, control.Machine), func(c provisioners.Control) bool {
				return !slices.ContainsFunc(c.Resources(), func(r provisioners.Resource) bool {
					kind, _ := kindOf(r.Identity())
					return slices.Contains(askAboutPeople, kind)
				})
			})
			applyAll(t, list, s)
			firstAccount(hand{t, s})
			var unmet []string
			for _, c := range list {
				if f := check(t, c, s); f.Result != control.Pass && f.Result != control.NotApplicable {
					unmet = append(unmet, c.ID)
					t.Logf("%s: %s %s %v", c.ID, f.Result, f.Why, f.Differences)
				}
			}
			if !slices.Equal(unmet, []string{"sudo-password"}) {
				t.Errorf("%d of %d controls are unmet: %v", len(unmet), len(list), unmet)
			}
		})
	}
}
