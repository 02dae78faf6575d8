package tree

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/integrity"
	"imgbuild/provisioners/system"
)

// maxLive bounds the files of a running server, and maxMounts the lines of its
// table of mounts.
const (
	maxLive   = 2 << 20
	maxMounts = 100_000
)

// local are the types of file systems whose files are the server's own; proc(5).
// Of any other a directory is listed that it is mounted on, and nothing below.
var local = []string{"bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs", "overlay", "rootfs", "squashfs", "vfat", "xfs", "zfs"}

// never are what Linux makes up, whatever the rules say of it.
var never = []string{"dev", "proc", "run", "sys"}

// tries is how often a running system is read when it changes meanwhile.
const tries = 3

// Live returns the entries of a running system for a comparison with the
// manifest of its image: directories, and all files that the rules do not call
// variable. A directory below which everything is variable is not looked into. It
// keeps to local file systems by the table of mounts; on Windows what is mounted
// in a folder is a link, and the drives are those that the system lists.
func Live(ctx context.Context, r system.Reader, rules integrity.Rules) ([]integrity.Entry, error) {
	from := live{reader: reader{r}, rules: rules}
	if system.OSOf(r) == system.Linux {
		var err error
		if from.mounts, err = mounted(r); err != nil {
			return nil, err
		}
		from.never = never
	}
	for try := 1; ; try++ {
		again := from // counts anew
		entries, err := walk(ctx, &again)
		if changed := errors.Is(err, fs.ErrNotExist) || errors.Is(err, errChanged); !changed || try == tries {
			return entries, err
		}
	}
}

// live is a system that changes while it is read.
type live struct {
	reader
	rules integrity.Rules
	never []string
	// mounts are the types of file systems by where they are mounted.
	mounts map[string]string
	count  int
}

func (l *live) names(name string) ([]string, error) {
	if slices.Contains(l.never, name) || l.foreign(name) || l.variableBelow(name) {
		return nil, nil
	}
	names, err := l.reader.names(name)
	if l.count += len(names); l.count > maxLive {
		return nil, fmt.Errorf("more than %d files", maxLive)
	}
	return slices.DeleteFunc(names, func(below string) bool { return l.skips(path.Join(name, below)) }), err
}

// skips tells whether a file is none of the manifest: it is variable and no
// directory, which something may lie in that is not, or it is gone.
func (l *live) skips(name string) bool {
	info, err := l.Lstat(path.Join("/", name))
	if err != nil {
		// The page file of Windows cannot even be looked at.
		return errors.Is(err, fs.ErrNotExist) || l.rules.Classify(name, "") == integrity.Variable
	}
	if info.Mode.IsDir() {
		return false
	}
	target := ""
	if info.Mode&fs.ModeSymlink != 0 {
		// Where a link points cannot be read when it is gone; nothing classes by that then.
		target, _ = l.Readlink(path.Join("/", name))
	}
	return l.rules.Classify(name, target) == integrity.Variable
}

// foreign tells whether a file system is mounted on a directory whose files are
// not the server's own.
func (l *live) foreign(name string) bool {
	kind, is := l.mounts[path.Join("/", name)]
	return is && !slices.Contains(local, kind)
}

// variableBelow tells whether everything below a directory is variable: a rule
// says so, and none after it may say otherwise of something there.
func (l *live) variableBelow(dir string) bool {
	for i := len(l.rules) - 1; i >= 0; i-- {
		rule := l.rules[i]
		switch all, some := reach(rule.Pattern, dir); {
		case rule.Class == integrity.Variable && all && rule.Target == "":
			return true
		case rule.Class != integrity.Variable && some:
			return false
		}
	}
	return false
}

// reach tells whether a rule's pattern matches all that may lie below a
// directory, and whether it may match some of it.
func reach(pattern, dir string) (all, some bool) {
	base, deep := strings.CutSuffix(pattern, "/**")
	want, have := strings.Split(base, "/"), strings.Split(dir, "/")
	if dir == "." {
		have = nil
	}
	for i := range min(len(want), len(have)) {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false, false
		}
	}
	all = deep && len(have) >= len(want)
	return all, all || len(have) < len(want)
}

// mounted reads /proc/self/mounts, or of a system without it nothing: all is
// one file system there. Of mounts on each other the last counts.
func mounted(r system.Reader) (map[string]string, error) {
	const table = "/proc/self/mounts"
	f, err := r.Open(table)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is mounted: %w", err)
	}
	defer f.Close()
	mounts := map[string]string{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			return nil, fmt.Errorf("reading %s: a line without a type: %q", table, lines.Text())
		}
		if len(mounts) > maxMounts {
			return nil, fmt.Errorf("reading %s: more than %d mounts", table, maxMounts)
		}
		mounts[unescape(fields[1])] = fields[2]
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", table, err)
	}
	return mounts, nil
}

// unescape undoes what fstab(5) says of spaces in names: \040.
func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '\\' && i+3 < len(name) {
			if code, err := strconv.ParseUint(name[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}
