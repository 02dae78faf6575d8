package compare

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/images/integrity"
)

// toldElsewhere tells paths whose differences are told as others: the databases
// of packages, the links that enable and mask units and start scripts of init,
// and what an image says of itself. What AIDE knows follows from the files.
func toldElsewhere(e integrity.Entry) bool {
	switch {
	case below(e.Path, "var/lib/dpkg"), below(e.Path, "var/lib/ucf"), below(e.Path, "var/lib/pam"),
		strings.HasPrefix(e.Path, "var/lib/systemd/deb-systemd-helper-"),
		e.Path == "var/lib/aide/aide.db", below(e.Path, "usr/lib/imgbuild"),
		path.Base(e.Path) == "lost+found", below(e.Path, "dev"):
		return true
	case matches(e.Path, "etc/rc[0-6S].d"), matches(path.Dir(e.Path), "etc/rc[0-6S].d"):
		return true
	}
	rest, ok := strings.CutPrefix(e.Path, unitDir+"/")
	if !ok {
		return false
	}
	first, _, deep := strings.Cut(rest, "/")
	switch path.Ext(first) {
	case ".wants", ".requires", ".upholds":
		return e.Mode.IsDir() && !deep || e.Mode&fs.ModeSymlink != 0
	}
	return !deep && e.Mode&fs.ModeSymlink != 0
}

const unitDir = "etc/systemd/system"

func below(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

func matches(name string, patterns ...string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

// origin is where a file comes from.
func (t *tree) origin(e integrity.Entry) Origin {
	switch {
	case t.conffiles[e.Path]:
		return Conffile
	case t.owners[e.Path] != nil && !e.Mode.IsDir():
		return Packaged
	case t.derived(e):
		return Derived
	case t.owners[e.Path] != nil:
		return Packaged
	}
	return HandMade
}

// derived tells what scripts and triggers of Debian's packages make of what is
// installed.
func (t *tree) derived(e integrity.Entry) bool {
	name := e.Path
	link := e.Mode&fs.ModeSymlink != 0
	switch {
	case t.made[name]:
		return true
	// update-alternatives(1), where no person chose.
	case path.Dir(name) == "etc/alternatives":
		return link && !t.manual[path.Base(name)]
	case link && strings.HasPrefix(e.Target, "/etc/alternatives/"):
		return true
	// py3compile(1), for modules that packages brought.
	case path.Base(name) == "__pycache__":
		return t.owners[path.Dir(name)] != nil
	case path.Base(path.Dir(name)) == "__pycache__":
		return t.owners[path.Dir(path.Dir(name))] != nil
	// update-ca-certificates(8) makes links, and one file of all.
	case path.Dir(name) == "etc/ssl/certs":
		return link || path.Base(name) == "ca-certificates.crt"
	// What boots, of the kernel's packages: initramfs, GRUB's menu and modules.
	case below(name, "boot/grub"), below(name, "boot/efi"), matches(name, "boot/initrd.img-*", "vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"):
		return true
	}
	return matches(name, derivedFiles...)
}

// derivedFiles are further ones, by ldconfig(8), depmod(8), locale-gen(8) and
// triggers that rebuild caches.
var derivedFiles = []string{
	"etc/ld.so.cache", "etc/mailcap", "etc/.pwd.lock", "etc/udev/hwdb.bin", "usr/lib/udev/hwdb.bin",
	"usr/lib/modules/*/modules.*", "usr/lib/locale/locale-archive", "usr/lib/*/gconv/gconv-modules.cache",
	"usr/lib/*/gdk-pixbuf-2.0/*/loaders.cache", "usr/lib/*/gio/modules/giomodule.cache", "usr/lib/gio/modules/giomodule.cache",
	"usr/share/applications/mimeinfo.cache", "usr/share/glib-2.0/schemas/gschemas.compiled", "usr/share/icons/*/icon-theme.cache",
	"usr/share/info/dir", "usr/share/info/dir.old", "usr/share/mime/*", "usr/share/mime/*/*",
	// Empty, for local additions to a package's profile.
	"etc/apparmor.d/local/*",
}
