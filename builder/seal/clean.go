package seal

import (
	"errors"
	"io/fs"
	"os"
	"path"

	"imgbuild/images/integrity"
)

// packagingLogs are written by the making of the image itself; all other logs
// are emptied, so that their owners and modes stay as the packages chose.
var packagingLogs = []string{"var/log/alternatives.log", "var/log/bootstrap.log", "var/log/dpkg.log", "var/log/fontconfig.log"}

func (s *sealer) logs() error {
	for _, name := range packagingLogs {
		if err := s.remove(name); err != nil {
			return err
		}
	}
	if err := s.empty("var/log/apt"); err != nil {
		return err
	}
	return s.files("var/log", func(name string, e fs.DirEntry) error {
		if !e.Type().IsRegular() {
			return nil
		}
		st, err := e.Info()
		if err != nil || st.Size() == 0 {
			return err
		}
		f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		return errors.Join(s.note(name), f.Close())
	})
}

// empty removes everything in a directory but keeps the directory.
func (s *sealer) empty(dir string) error {
	entries, err := s.names(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.remove(path.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// leftovers takes out caches, lists, locks, backups and histories.
func (s *sealer) leftovers() error {
	for _, dir := range []string{
		"proc", "sys", "tmp", "var/tmp", "var/cache/ldconfig", "var/lib/cloud",
	} {
		if err := s.empty(dir); err != nil {
			return err
		}
	}
	if err := s.devices(); err != nil {
		return err
	}
	for _, name := range []string{
		"etc/.pwd.lock", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
		"var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin",
		"var/cache/debconf/config.dat-old", "var/cache/debconf/templates.dat-old", "var/cache/debconf/passwords.dat-old",
		"var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/triggers/Lock", "var/lib/dpkg/available-old",
		"var/lib/dpkg/status-old", "var/lib/dpkg/diversions-old", "var/lib/dpkg/statoverride-old",
		"var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/systemd/catalog/database",
		"root/.bash_history", "root/.viminfo", "root/.lesshst", "root/.wget-hsts", "root/.cache",
	} {
		if err := s.remove(name); err != nil {
			return err
		}
	}
	// Downloaded packages and package lists go; the directories that apt brings
	// stay. /run is empty at every start: what scripts left there never reaches
	// a server.
	for _, dir := range []string{"var/cache/apt/archives", "var/lib/apt/lists", "run"} {
		err := s.files(dir, func(name string, _ fs.DirEntry) error { return s.remove(name) })
		if err != nil {
			return err
		}
	}
	return nil
}

// devices takes out what scripts left in /dev, but for the directory of shared
// memory where there is one: /etc/fstab may name it.
func (s *sealer) devices() error {
	entries, err := s.names("dev")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join("dev", e.Name())
		if e.Name() == "shm" && e.IsDir() {
			err = s.empty(name)
		} else {
			err = s.remove(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// generated takes out what maintainer scripts made and every server must have
// of its own: SSH's host keys, the self-signed certificate of package ssl-cert
// with its key and hash link, the clusters that postgresql-common creates. They
// are what is seeded in these directories; firstboot/first-boot.sh makes them
// again. The directories of PostgreSQL's versions stay and tell it of which.
func (s *sealer) generated() error {
	dirs := []string{"etc/ssh", "etc/ssl/private", "etc/ssl/certs"}
	for _, dir := range []string{"etc/postgresql", "var/lib/postgresql"} {
		versions, err := s.names(dir)
		if err != nil {
			return err
		}
		for _, v := range versions {
			if v.IsDir() {
				dirs = append(dirs, dir+"/"+v.Name())
			}
		}
	}
	before := len(s.result.Removed)
	for _, dir := range dirs {
		if err := s.seeded(dir); err != nil {
			return err
		}
	}
	s.result.Regenerates = len(s.result.Removed) > before
	return nil
}

// seeded takes out what is seeded of a directory's entries.
func (s *sealer) seeded(dir string) error {
	entries, err := s.names(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := dir + "/" + e.Name()
		class, err := s.class(name)
		if err != nil {
			return err
		}
		if class != integrity.Seeded {
			continue
		}
		if err := s.remove(name); err != nil {
			return err
		}
	}
	return nil
}

// firstBoot writes the script that makes what generated takes out, the
// container's entry point, and the unit that runs the script on a server.
func (s *sealer) firstBoot() error {
	for _, dir := range []string{"usr/lib/imgbuild", "usr/lib/systemd/system/sysinit.target.wants"} {
		if err := s.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := s.write("usr/lib/imgbuild/first-boot", firstBootScript, 0o755); err != nil {
		return err
	}
	if err := s.write("usr/lib/imgbuild/entrypoint", entryPointScript, 0o755); err != nil {
		return err
	}
	const unit = "imgbuild-first-boot.service"
	if err := s.write("usr/lib/systemd/system/"+unit, firstBootUnit, 0o644); err != nil {
		return err
	}
	link := "usr/lib/systemd/system/sysinit.target.wants/" + unit
	if err := s.root.Symlink("../"+unit, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
