package sweep

import (
	"io/fs"
	"slices"
	"strings"

	"imgbuild/provisioners/system"
)

// Right is what a program of Debian lends to whoever runs it: by setuid its
// user's rights, by setgid its group's. Where a release or another has another
// group they are apart by a blank.
type Right struct {
	// User and Group are names, "" where it has not that bit.
	User, Group string
	// Of is the group that a program without setgid belongs to, root's without
	// a name.
	Of string
	// Capable says that it may have capabilities instead.
	Capable bool
}

// shipped are the programs by base name: they ask for a password, open a device
// or a socket, or lock a mail box, on behalf of who calls them.
var shipped = []struct {
	right Right
	names string
}{
	{Right{User: "root"}, `chfn chsh gpasswd newgrp passwd su sudo sudoedit doas pkexec polkit-agent-helper-1 pam_timestamp_check
		mount umount fusermount fusermount3 mount.nfs mount.cifs ntfs-3g ssh-keysign exim4 chrome-sandbox vmware-user-suid-wrapper
		Xorg.wrap newaliases`},
	{Right{User: "root", Capable: true}, `newgidmap newuidmap ping ping4 ping6 traceroute6.iputils mtr-packet arping clockdiff snap-confine`},
	{Right{User: "root", Of: "messagebus"}, "dbus-daemon-launch-helper"},
	{Right{User: "root", Of: "dip"}, "pppd"},
	{Right{User: "root", Group: "mail"}, "procmail"},
	{Right{User: "daemon", Group: "daemon"}, "at"},
	{Right{Capable: true}, "dumpcap gst-ptp-helper systemd-detect-virt"},
	{Right{Group: "shadow"}, "chage expiry unix_chkpwd"},
	{Right{Group: "_ssh ssh"}, "ssh-agent"},
	{Right{Group: "tty"}, "wall write write.ul bsd-write"},
	{Right{Group: "crontab"}, "crontab"},
	{Right{Group: "mail"}, "dotlockfile mlock lockfile"},
	{Right{Group: "plocate mlocate"}, "locate mlocate plocate"},
	{Right{Group: "postdrop"}, "postdrop postqueue"},
	{Right{Group: "smmsp"}, "sendmail"},
	{Right{Group: "utmp"}, "utempter screen"},
}

// Shipped is what a program lends as Debian ships it, by its base name.
func Shipped(base string) (Right, bool) {
	for _, s := range shipped {
		if slices.Contains(strings.Fields(s.names), base) {
			return s.right, true
		}
	}
	return Right{}, false
}

// Covers tells whether a mode lends no more than the right, whoever the user
// and the group are.
func (r Right) Covers(mode fs.FileMode, capable bool) bool {
	return (mode&fs.ModeSetuid == 0 || r.User != "") && (mode&fs.ModeSetgid == 0 || r.Group != "") && (!capable || r.Capable)
}

// owned tells whether user and group are those of the right. As long as a
// program is setuid root, who may write to it and replace it is root.
func (r Right) owned(mode fs.FileMode, user, group string) bool {
	switch {
	case mode&fs.ModeSetuid != 0 && user != r.User, mode&fs.ModeSetuid == 0 && user != "root":
		return false
	case mode&fs.ModeSetgid != 0:
		return slices.Contains(strings.Fields(r.Group), group)
	}
	return group == "root" || slices.Contains(strings.Fields(r.Group+" "+r.Of), group)
}

// String says what is lent: "setuid root", "setgid tty".
func (r Right) String() string {
	var list []string
	if r.User != "" {
		list = append(list, "setuid "+r.User)
	}
	if r.Group != "" {
		list = append(list, "setgid "+strings.ReplaceAll(r.Group, " ", " or "))
	}
	if len(list) == 0 {
		return "neither setuid nor setgid"
	}
	text := strings.Join(list, " and ")
	if r.Of != "" {
		text += " in group " + r.Of
	}
	return text
}

// packaged tells whether a path is one where packages bring programs.
func packaged(name string) bool {
	return below([]string{"/usr", "/bin", "/sbin", "/lib", "/lib64"}, name) && !below([]string{"/usr/local"}, name)
}

// lends finds files that lend their owner's or group's rights to whoever runs
// them and that are not allowed to, and programs of Debian that are and lend
// another one's. Links share one file: each name counts.
func lends(r system.Reader, s *Sweep) (look, error) {
	const bits = fs.ModeSetuid | fs.ModeSetgid
	users, groups, err := databases(r)
	if err != nil {
		return nil, err
	}
	return func(e Entry) ([]finding, error) {
		if !Lends(e) {
			return nil, nil
		}
		f := *less(e, bits)
		if matches(s.Allow, e.Path) {
			right, known := Shipped(e.Path[strings.LastIndexByte(e.Path, '/')+1:])
			user, group := named(users, e.Info.UID), named(groups, e.Info.GID)
			if !known || !packaged(e.Path) || right.Covers(e.Info.Mode, false) && right.owned(e.Info.Mode, user, group) {
				return nil, nil
			}
			f.difference = system.Difference{Subject: e.Path, Have: octal(e.Info.Mode) + " of " + user + ":" + group, Want: right.String()}
		}
		if !s.Clear {
			f.want = nil
		}
		return []finding{f}, nil
	}, nil
}

// Lends tells whether a file is a setuid or setgid one.
func Lends(e Entry) bool {
	return e.Info.Mode.IsRegular() && e.Info.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0
}
