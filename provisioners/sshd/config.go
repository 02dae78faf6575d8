package sshd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/system"
)

// The places.
const (
	mainFile = "/etc/ssh/sshd_config"
	baseDir  = "/etc/ssh"
	dropIn   = "/etc/ssh/sshd_config.d/00-imgbuild.conf"
)

// The limits of a configuration. The depth is OpenSSH's own.
const (
	maxDepth = 16
	maxFiles = 1000
	maxLines = 100_000
	// maxBlocks bounds the Match blocks: each may have to be held against all lines.
	maxBlocks = 1000
)

// line is one line that says something.
type line struct {
	file string
	// number counts from 0.
	number  int
	keyword *keyword
	args    []string
	// within are the Match blocks that it stands in, the ones around an Include
	// before the ones in the included file.
	within []*block
}

func (l *line) String() string { return fmt.Sprintf("%s:%d", l.file, l.number+1) }

// block is a Match block.
type block struct {
	// criteria are the arguments of Match.
	criteria []string
	file     string
	number   int
}

// everyone tells whether a block is for all connections.
func (b *block) everyone() bool {
	return len(b.criteria) == 1 && strings.EqualFold(b.criteria[0], "all")
}

// always tells whether a line is for all connections.
func (l *line) always() bool {
	return !slices.ContainsFunc(l.within, func(b *block) bool { return !b.everyone() })
}

// config is a configuration with its includes, in the order in which sshd reads
// it.
type config struct {
	known vocabulary
	// versions are those of OpenSSH that the system may have.
	versions []*release
	lines    []*line
	// lent are files, included from other places than Debian's, that others than
	// root write to: what they say today says nothing of tomorrow.
	lent  []system.Difference
	files int
	count int
	// blocks is how many Match blocks there are, subsystems which names are taken.
	blocks     int
	subsystems map[string]bool
}

// read reads the configuration of a system.
func read(r system.Reader) (*config, error) {
	if _, err := r.Stat(mainFile); errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Inputf("the system has no %s", mainFile).WithHint("install the package openssh-server")
	}
	versions, err := installed(r)
	if err != nil {
		return nil, err
	}
	c := &config{known: newVocabulary(), versions: versions, subsystems: map[string]bool{}}
	if err := c.file(r, mainFile, nil, 0); err != nil {
		return nil, err
	}
	return c, c.together()
}

func (c *config) file(r system.Reader, name string, within []*block, depth int) error {
	if c.files++; c.files > maxFiles || depth > maxDepth {
		return fmt.Errorf("reading %s: too many files include one another", name)
	}
	data, err := system.ReadFile(r, name, edit.MaxFile)
	if err != nil {
		return fmt.Errorf("reading sshd's configuration: %w", err)
	}
	if err := c.owner(r, name); err != nil {
		return err
	}
	// A block ends with the file that it begins in.
	here := within
	for i, raw := range edit.Lines(string(data)) {
		if c.count++; c.count > maxLines {
			return fmt.Errorf("reading %s: sshd's configuration has more than %d lines", name, maxLines)
		}
		fail := func(format string, args ...any) error {
			return fmt.Errorf("reading %s:%d, which sshd would refuse: %w", name, i+1, fmt.Errorf(format, args...))
		}
		if strings.ContainsRune(raw, 0) {
			return fail("there is a zero byte")
		}
		word, rest, err := keywordOf(raw)
		if err != nil {
			return fail("%w", err)
		}
		if word == "" {
			continue
		}
		args, err := arguments(rest)
		if err != nil {
			return fail("%s: %w", word, err)
		}
		switch lower := strings.ToLower(word); {
		case lower == "include":
			if slices.Contains(args, "") {
				return fail("Include has an empty argument")
			}
			for _, pattern := range args {
				if err := c.include(r, pattern, here, depth); err != nil {
					return err
				}
			}
		case lower == "match":
			if c.blocks++; c.blocks > maxBlocks {
				return fmt.Errorf("reading %s: sshd's configuration has more than %d Match blocks", name, maxBlocks)
			}
			b := &block{criteria: args, file: name, number: i}
			if err := b.check(); err != nil {
				return fail("%w", err)
			}
			here = append(slices.Clip(within), b)
		case slices.Contains(ignored, lower):
		default:
			l := &line{file: name, number: i, keyword: c.known.find(word), args: args, within: here}
			switch {
			case l.keyword == nil:
				return fail("unknown keyword %q%s", word, node.Suggest(word, names()))
			case l.keyword.single() && len(args) > 1:
				return fail("%s has more than one argument", word)
			case !l.keyword.match && !l.always():
				return fail("%s is not allowed in a Match block", word)
			}
			if err := l.keyword.check(args, c.versions); err != nil {
				return fail("%s: %w", word, err)
			}
			if err := c.subsystem(l); err != nil {
				return fail("%w", err)
			}
			c.lines = append(c.lines, l)
		}
	}
	return nil
}

// owner notes a file that others write to. Who gets at Debian's own places is what
// their modes are for.
func (c *config) owner(r system.Reader, name string) error {
	if real, err := edit.New(r).Real(name); err != nil || real == mainFile || path.Dir(real) == path.Dir(dropIn) {
		return err
	}
	info, err := r.Stat(name)
	if err != nil {
		return fmt.Errorf("reading sshd's configuration: %w", err)
	}
	if info.UID != 0 || info.Mode.Perm()&0o022 != 0 {
		c.lent = append(c.lent, system.Difference{
			Subject: name, Have: fmt.Sprintf("of %d and of mode %04o", info.UID, info.Mode.Perm()), Want: "root's, and written by nobody else, as sshd includes it",
		})
	}
	return nil
}

func (c *config) include(r system.Reader, pattern string, within []*block, depth int) error {
	if !strings.HasPrefix(pattern, "/") {
		pattern = path.Join(baseDir, pattern)
	}
	files, err := system.Glob(r, pattern)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := c.file(r, name, within, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// check refuses criteria that sshd does not know: sshd_config(5), Match. A name
// and what it is compared with are two arguments, or one with =.
func (b *block) check() error {
	if b.everyone() {
		return nil
	}
	alone := []string{"invalid-user"}
	known := []string{"user", "group", "host", "localaddress", "localport", "rdomain", "address", "version", "sessiontype", "command"}
	for rest := b.criteria; len(rest) > 0; {
		name, value, joined := strings.Cut(strings.ToLower(rest[0]), "=")
		if !joined && len(rest) > 1 {
			value = rest[1]
		}
		switch {
		case slices.Contains(alone, name):
			rest = rest[1:]
		case !slices.Contains(known, name):
			return fmt.Errorf("unknown criterion %q of Match%s", rest[0], node.Suggest(name, known))
		case (joined || len(rest) > 1) && (strings.HasSuffix(name, "address") && !addressList(value) || name == "localport" && !port(value)):
			return fmt.Errorf("the criterion %q of Match cannot be %q", name, shown(value))
		case joined:
			rest = rest[1:]
		case len(rest) < 2:
			return fmt.Errorf("the criterion %q of Match has no argument", rest[0])
		default:
			rest = rest[2:]
		}
	}
	return nil
}
