package hygiene

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/sweep"
)

// place judges a file by where it lies and by its mode.
func (i *inspection) place(e integrity.Entry) {
	name := path.Join("/", e.Path)
	i.mode(name, e)
	if e.Mode.IsDir() {
		return
	}
	switch {
	case matches(name, "/etc/ssh/ssh_host_*_key", "/etc/dropbear/dropbear_*_host_key"):
		i.add(HostKey, name, "every server would have it; it is made at first boot")
	case name == "/etc/machine-id" && e.Size > 0, name == "/var/lib/dbus/machine-id" && e.Mode.IsRegular():
		i.add(MachineID, name, "every server would have it; the file is to be empty")
	case matches(name, "/var/lib/systemd/random-seed", "/var/lib/systemd/credential.secret"):
		i.add(MachineID, name, "every server would have it; systemd makes it")
	case e.Size > 0 && isKeyring(name):
		i.add(PrivateKey, name, "GnuPG keeps private keys there")
	case e.Size > 0 && isHistory(name):
		i.add(History, name, "it tells what somebody did")
	case isPackageCache(name) && e.Mode.IsRegular() && e.Size > 0:
		i.add(PackageCache, name, "%d bytes that no server needs", e.Size)
	}
}

func matches(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// isKeyring tells where GnuPG keeps private keys, of version 2.1 and before.
func isKeyring(name string) bool {
	return path.Base(path.Dir(name)) == "private-keys-v1.d" && path.Ext(name) == ".key" || path.Base(name) == "secring.gpg"
}

// isHistory tells what shells and clients keep of their users, in whatever home.
func isHistory(name string) bool {
	base := path.Base(name)
	return strings.HasPrefix(base, ".") && strings.HasSuffix(base, "_history") ||
		slices.Contains([]string{".viminfo", ".lesshst", ".wget-hsts", ".histfile", ".zhistory", "fish_history", "lesshst"}, base)
}

func isPackageCache(name string) bool {
	switch {
	case strings.HasPrefix(name, "/var/lib/apt/lists/"):
		return path.Base(name) != "lock"
	case strings.HasPrefix(name, "/var/cache/apt/"):
		return path.Base(name) != "lock"
	case strings.Contains(name, "/.cache/pip/"), strings.Contains(name, "/.npm/_cacache/"):
		return true
	}
	return false
}

// mode judges who may write to a file and as whom it runs.
func (i *inspection) mode(name string, e integrity.Entry) {
	switch {
	case e.Mode&fs.ModeSymlink != 0, e.Mode&fs.ModeDevice != 0:
		return
	case e.Mode&0o002 != 0 && e.Mode.IsDir() && e.Mode&fs.ModeSticky == 0:
		i.add(WorldWritable, name, "everybody may remove what others put there")
	case e.Mode&0o002 != 0 && !e.Mode.IsDir():
		i.add(WorldWritable, name, "everybody may write to it")
	}
	if e.Mode.IsDir() || e.Mode&(fs.ModeSetuid|fs.ModeSetgid) == 0 && e.Xattrs["security.capability"] == "" {
		return
	}
	if slices.Contains(i.expected.Setuid, name) || i.packages.owned[unmerged(name, i.packages.owned)] && knownPrivileged(name, e) {
		return
	}
	what := "it runs with capabilities"
	if e.Mode&fs.ModeSetuid != 0 {
		what = "it runs as its owner"
	} else if e.Mode&fs.ModeSetgid != 0 {
		what = "it runs with its group"
	}
	i.add(Setuid, name, "%s, and is not known to need that", what)
}

// unmerged is the name under which a package brought a file that the merged
// /usr moved: bin/su of what lies at usr/bin/su.
func unmerged(name string, owned map[string]bool) string {
	if before, ok := strings.CutPrefix(name, "/usr"); ok && !owned[name] && owned[before] {
		return before
	}
	return name
}

// knownPrivileged tells whether a program of a package may have what it has: as
// root, what has a group's rights alone would be a way to become it.
func knownPrivileged(name string, e integrity.Entry) bool {
	right, known := sweep.Shipped(path.Base(name))
	return known && right.Covers(e.Mode, e.Xattrs["security.capability"] != "")
}
