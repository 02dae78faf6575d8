package peertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// known are the trees that this process has asked for, by their packages: apt
// takes a while to answer.
var known sync.Map

// unpacked gives the directory with the files of packages, which it makes if
// no earlier run has.
func unpacked(packages []string) (string, error) {
	once, _ := known.LoadOrStore(strings.Join(packages, " "), sync.OnceValues(func() (string, error) { return unpack(packages) }))
	return once.(func() (string, error))()
}

func unpack(packages []string) (string, error) {
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is not installed", program)
		}
	}
	s, err := openStore()
	if err != nil {
		return "", err
	}
	dir, err := s.tree(nil, packages)
	if err == nil {
		return dir, nil
	}
	// The machine's lists may be missing or older than the mirror.
	lists, again := s.locked(s.update)
	if again != nil {
		return "", errors.Join(err, again)
	}
	return s.tree([]string{"-o", "Dir::State::Lists=" + lists}, packages)
}

// store is the directory in which trees are kept. A tree's name is the digest
// of its packages' digests, so it is never changed once it is there.
type store struct{ dir string }

func openStore() (store, error) {
	// Beside the packages that the tests of package builder keep.
	s := store{filepath.Join(os.TempDir(), "imgbuild-test-packages", "peers")}
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return s, err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return s, err
	}
	// Programs are run from here, so nobody else may write; and there may be old
	// ones that are set-user-ID, so nobody else may read.
	for dir, forbidden := range map[string]fs.FileMode{filepath.Dir(s.dir): 0o022, s.dir: 0o077} {
		info, err := os.Lstat(dir)
		if err != nil {
			return s, err
		}
		owner, ok := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() || !ok || int(owner.Uid) != os.Getuid() || info.Mode().Perm()&forbidden != 0 {
			return s, fmt.Errorf("%s is not a directory of this user's with mode %03o at most: remove it, or set TMPDIR", dir, 0o777&^forbidden)
		}
	}
	return s, nil
}

// tree unpacks packages, which apt finds with its options, unless they are.
func (s store) tree(options, packages []string) (string, error) {
	// Without --print-uris this fetches. A line ends in a file's digest.
	listed, err := s.apt(s.dir, options, "download", append([]string{"--print-uris"}, packages...)...)
	if err != nil {
		return "", err
	}
	var digests []string
	for line := range strings.Lines(listed) {
		if words := strings.Fields(line); len(words) == 4 && strings.HasPrefix(words[3], "SHA") {
			digests = append(digests, words[3])
		}
	}
	if len(digests) != len(packages) {
		return "", fmt.Errorf("apt-get lists %d packages with digests:\n%s", len(digests), listed)
	}
	slices.Sort(digests)
	sum := sha256.Sum256([]byte(strings.Join(digests, " ")))
	dir := filepath.Join(s.dir, fmt.Sprintf("%s-%x", packages[0], sum[:8]))
	return s.locked(func() (string, error) {
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
		work := filepath.Join(s.dir, "new")
		defer os.RemoveAll(work)
		// A run that was killed may have left some of it.
		if err := errors.Join(os.RemoveAll(work), os.Mkdir(work, 0o700)); err != nil {
			return "", err
		}
		if err := s.fill(work, options, packages); err != nil {
			return "", err
		}
		return dir, os.Rename(filepath.Join(work, "tree"), dir)
	})
}

// fill fetches packages into a directory and unpacks them into its tree.
func (s store) fill(dir string, options, packages []string) error {
	if _, err := s.apt(dir, options, "download", packages...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return err
	}
	if len(files) != len(packages) {
		return fmt.Errorf("apt-get downloaded %d of %d packages", len(files), len(packages))
	}
	for _, file := range files {
		if out, err := exec.Command("dpkg-deb", "-x", file, filepath.Join(dir, "tree")).CombinedOutput(); err != nil {
			return fmt.Errorf("unpacking %s: %w: %s", filepath.Base(file), err, out)
		}
	}
	return nil
}

// update gives a directory with lists of the day.
func (s store) update() (string, error) {
	lists := filepath.Join(s.dir, "lists")
	if info, err := os.Stat(lists); err == nil && time.Since(info.ModTime()) < 24*time.Hour {
		return lists, nil
	}
	if err := os.MkdirAll(filepath.Join(lists, "partial"), 0o755); err != nil {
		return "", err
	}
	if _, err := s.apt(s.dir, []string{"-o", "Dir::State::Lists=" + lists}, "update"); err != nil {
		// Another run may do better.
		return "", errors.Join(err, os.RemoveAll(lists))
	}
	now := time.Now()
	return lists, os.Chtimes(lists, now, now)
}

// locked runs what one process may do at a time.
func (s store) locked(do func() (string, error)) (string, error) {
	lock, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // which unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	return do()
}

// apt runs apt-get in a directory and returns what it prints. Its index of the
// lists is kept here, for the machine may be told to keep none.
func (s store) apt(dir string, options []string, command string, args ...string) (string, error) {
	index := "index"
	if len(options) > 0 {
		index = "index.own"
	}
	all := slices.Concat(options, []string{
		"-q", "-o", "APT::Sandbox::User=",
		"-o", "Dir::Cache::srcpkgcache=", "-o", "Dir::Cache::pkgcache=" + filepath.Join(s.dir, index), command,
	}, args)
	cmd := exec.Command("apt-get", all...)
	cmd.Dir = dir
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("apt-get %s: %w: %s", command, err, said.String())
	}
	return string(out), nil
}
