package host

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"imgbuild/images/fault"
)

// The archives of Debian that a mirror carries.
const (
	// ArchiveDebian holds the release and its -updates and -backports suites.
	ArchiveDebian = "debian"
	// ArchiveSecurity holds the -security suites.
	ArchiveSecurity = "debian-security"
)

// DebianKeyring is where package debian-archive-keyring puts the keys that
// sign Debian's releases.
const DebianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Source is one suite at one URI, as apt's sources name it.
type Source struct {
	// URI is the base of the archive, without a slash at its end.
	URI string
	// Suite is a code name such as "bookworm" or "bookworm-security".
	Suite string
	// Components are the wanted ones, such as "main".
	Components []string
	// SignedBy is the keyring named by the source, empty when it names none.
	SignedBy string
	// File is the file the source was read from.
	File string
}

// Sources are what the build host's apt fetches binary packages from, in the
// order in which apt reads them.
type Sources []Source

// AptSources reads the build host's own /etc/apt/sources.list and
// sources.list.d, in both forms of sources.list(5). A host without apt has no
// sources, which is no error.
func AptSources() (Sources, error) { return AptSourcesAt("/") }

// AptSourcesAt is AptSources for a system whose root directory is root.
func AptSourcesAt(root string) (Sources, error) {
	etc := filepath.Join(root, "etc/apt")
	files := []string{filepath.Join(etc, "sources.list")}
	parts, err := os.ReadDir(filepath.Join(etc, "sources.list.d"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading apt's sources: %w", err)
	}
	for _, part := range parts {
		files = append(files, filepath.Join(etc, "sources.list.d", part.Name()))
	}
	var all Sources
	for _, file := range files {
		read := readOneLine
		switch filepath.Ext(file) {
		case ".sources":
			read = readDeb822
		case ".list":
		default:
			continue
		}
		found, err := readSources(file, read)
		if err != nil {
			return nil, err
		}
		for _, source := range found {
			if source.URI = resolveMirror(root, source.URI); source.URI != "" {
				all = append(all, source)
			}
		}
	}
	return all, nil
}

func readSources(file string, read func(*bufio.Scanner) []Source) ([]Source, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading apt's sources: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	found := read(lines)
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	for i := range found {
		found[i].File = file
	}
	return found, nil
}

// readOneLine reads the form "deb [ option=value ... ] URI suite component...".
func readOneLine(lines *bufio.Scanner) []Source {
	var found []Source
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line, isBinary := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !isBinary || line == "" || (line[0] != ' ' && line[0] != '\t') {
			continue
		}
		var options string
		line = strings.TrimSpace(line)
		if inside, ok := strings.CutPrefix(line, "["); ok {
			if options, line, ok = strings.Cut(inside, "]"); !ok {
				continue
			}
		}
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		source := Source{URI: trimURI(words[0]), Suite: words[1], Components: words[2:]}
		for _, option := range strings.Fields(options) {
			if name, value, _ := strings.Cut(option, "="); strings.EqualFold(name, "signed-by") {
				source.SignedBy = value
			}
		}
		found = append(found, source)
	}
	return found
}

// readDeb822 reads paragraphs of "Field: value" lines.
func readDeb822(lines *bufio.Scanner) []Source {
	var found []Source
	fields, last := map[string]string{}, ""
	flush := func() {
		found = append(found, expand(fields)...)
		fields, last = map[string]string{}, ""
	}
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += "\n" + strings.TrimSpace(line)
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return found
}

// expand makes one source of every pair of URI and suite in a paragraph.
func expand(fields map[string]string) []Source {
	if strings.EqualFold(fields["enabled"], "no") || !slices.Contains(strings.Fields(fields["types"]), "deb") {
		return nil
	}
	var found []Source
	for _, uri := range strings.Fields(fields["uris"]) {
		for _, suite := range strings.Fields(fields["suites"]) {
			source := Source{URI: trimURI(uri), Suite: suite, Components: strings.Fields(fields["components"])}
			// An embedded key is not a path and stands for nothing here.
			if path := fields["signed-by"]; strings.HasPrefix(path, "/") {
				source.SignedBy = path
			}
			found = append(found, source)
		}
	}
	return found
}

func trimURI(uri string) string { return strings.TrimRight(uri, "/") }

// resolveMirror follows apt-transport-mirror(1) lists kept in a file, as
// Debian's cloud images have them, and drops what cannot be fetched over HTTP.
func resolveMirror(root, uri string) string {
	scheme, rest, _ := strings.Cut(uri, ":")
	if scheme == "mirror+file" {
		list, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(rest, "//")))
		if err != nil {
			return ""
		}
		words := strings.Fields(string(list))
		if len(words) == 0 {
			return ""
		}
		uri = trimURI(words[0])
		scheme, _, _ = strings.Cut(uri, ":")
	}
	if scheme != "http" && scheme != "https" {
		return ""
	}
	return uri
}

var (
	releaseSuite  = regexp.MustCompile(`^[a-z]+(-updates|-backports|-proposed-updates)?$`)
	securitySuite = regexp.MustCompile(`^[a-z]+(-security|/updates)$`)
)

// Mirror returns the base URI from which this host's apt gets archive
// (ArchiveDebian or ArchiveSecurity), preferring a source that lists suite:
// a mirror carries every suite, so a host on one release can bake another.
// It answers with a fault.Input that says what to set when apt knows no such
// archive.
func (s Sources) Mirror(archive, suite string) (string, error) {
	pattern := releaseSuite
	if archive == ArchiveSecurity {
		pattern = securitySuite
	}
	best, bestScore := "", 0
	for _, source := range s {
		if !pattern.MatchString(source.Suite) || !slices.Contains(source.Components, "main") {
			continue
		}
		if score := source.score(archive, suite); score > bestScore {
			best, bestScore = source.URI, score
		}
	}
	if best == "" {
		key := "mirror"
		if archive == ArchiveSecurity {
			key = "security-mirror"
		}
		return "", fault.Inputf("finding a mirror of %s: this machine's apt sources name none", archive).
			WithHint("set %s: in imgbuild.yaml, IMGBUILD_%s or --%s", key, strings.ToUpper(strings.ReplaceAll(key, "-", "_")), key)
	}
	return best, nil
}

// score ranks how surely a source is Debian's archive: other vendors use
// Debian's suite names too. 0 means that it is not.
func (s Source) score(archive, suite string) int {
	if s.SignedBy != "" && !strings.Contains(filepath.Base(s.SignedBy), "debian-archive") {
		return 0
	}
	score := 1
	if s.SignedBy != "" {
		score += 2
	}
	if u, err := url.Parse(s.URI); err == nil && filepath.Base(u.Path) == archive {
		score += 4
	}
	if s.Suite == suite {
		score += 8
	}
	return score
}

// Keyring returns the path of Debian's archive keyring on this host: the one
// its Debian sources name, else DebianKeyring. It does not look whether the
// file is there.
func (s Sources) Keyring() string {
	for _, source := range s {
		if strings.HasSuffix(source.SignedBy, "/debian-archive-keyring.gpg") {
			return source.SignedBy
		}
	}
	return DebianKeyring
}
