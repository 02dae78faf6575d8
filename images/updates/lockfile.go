package updates

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"imgbuild/images/fault"
)

// maxLock is the most bytes of a lock file: 30,000 packages.
const maxLock = 16 << 20

// maxFlow is the most brackets and braces of a lock file. Its own form has none.
const maxFlow = 64

// ReadLock reads and checks the lock file at path. A missing file is an error
// that wraps fs.ErrNotExist.
func ReadLock(path string) (*Lock, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	if info.Size() > maxLock {
		return nil, fault.Inputf("reading lock %s: larger than %d bytes", path, maxLock)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	l, err := ParseLock(data)
	if err != nil {
		return nil, fault.Inputf("reading lock %s", path).Because(err).
			WithHint("take it back from version control, or make it anew: imgbuild lock %s --fresh", typed(path))
	}
	return l, nil
}

// typed is how a command line names the baseline and architecture of a lock's
// file, which cannot be read for them when it is damaged.
func typed(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".lock")
	for _, architecture := range []string{"amd64", "arm64"} {
		if before, ok := strings.CutSuffix(name, "."+architecture); ok {
			return before + " --arch " + architecture
		}
	}
	return name
}

// ParseLock reads and checks a lock file's text.
func ParseLock(data []byte) (*Lock, error) {
	if len(data) > maxLock {
		return nil, fmt.Errorf("larger than %d bytes", maxLock)
	}
	// A lock is written without flow collections; nested ones would keep the
	// parser busy for ever.
	if n := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{")); n > maxFlow || bytes.Contains(data, []byte("- - ")) {
		return nil, errors.New("nested lists have no place in a lock")
	}
	for line := range bytes.Lines(data) {
		// What follows a second document's mark would not be read.
		if bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("...")) {
			return nil, errors.New("a lock is one document, without marks between documents")
		}
		// A lock needs no YAML anchors, and they would make a small file large.
		if !bytes.HasPrefix(line, []byte("#")) && bytes.ContainsAny(line, "&*") {
			return nil, fmt.Errorf("anchors and aliases have no place in a lock: %.80q", line)
		}
	}
	var l Lock
	if err := yaml.UnmarshalWithOptions(data, &l, yaml.Strict()); err != nil {
		return nil, errors.New(yaml.FormatError(err, false, false))
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	return &l, nil
}

const lockHeader = `# The exact packages that %s bakes from, made by "imgbuild lock %[1]s".
# Review it like code; change it with imgbuild lock, not by hand.
`

const withoutSecurityHeader = `# It was made WITHOUT the security suite, to be compared with: what that mends is missing.
`

// Marshal returns the lock as the text of its file.
func (l *Lock) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, lockHeader, l.Baseline)
	if l.WithoutSecurity {
		b.WriteString(withoutSecurityHeader)
	}
	fmt.Fprintf(&b, "format: %d\nbaseline: %s\narchitecture: %s\nsuite: %s\n",
		l.Format, scalar(l.Baseline), scalar(l.Architecture), scalar(l.Suite))
	if l.WithoutSecurity {
		b.WriteString("without-security: true\n")
	}
	fmt.Fprintf(&b, "epoch: %d\n", l.Epoch)
	if l.Request != "" {
		fmt.Fprintf(&b, "request: %q\n", l.Request)
	}
	b.WriteString("releases:\n")
	for _, r := range l.Releases {
		b.WriteString("  - archive: " + scalar(r.Archive) + "\n")
		writeFields(&b, "url", r.URL, "suite", r.Suite, "path", r.Path, "sha256", r.SHA256, "date", r.Date)
	}
	b.WriteString("layers:\n")
	for _, layer := range l.Layers {
		b.WriteString("  - " + scalar(layer) + "\n")
	}
	b.WriteString("packages:\n")
	for _, p := range l.Packages {
		b.WriteString("  - name: " + scalar(p.Name) + "\n")
		writeFields(&b, "version", p.Version, "architecture", p.Architecture,
			"source", p.Source, "source-version", p.SourceVersion, "archive", p.Archive, "suite", p.Suite, "path", p.Path)
		fmt.Fprintf(&b, "    size: %d\n", p.Size)
		writeFields(&b, "sha256", p.SHA256, "set", string(p.Set), "layer", p.Layer)
		if p.Auto {
			b.WriteString("    auto: true\n")
		}
	}
	if len(l.Accounts) > 0 {
		b.WriteString("accounts:\n")
	}
	for _, a := range l.Accounts {
		b.WriteString("  - name: " + scalar(a.Name) + "\n")
		for _, id := range []struct {
			name  string
			value *int
		}{{"uid", a.UID}, {"gid", a.GID}} {
			if id.value != nil {
				fmt.Fprintf(&b, "    %s: %d\n", id.name, *id.value)
			}
		}
		writeFields(&b, "layer", a.Layer)
	}
	return b.Bytes()
}

// writeFields writes the pairs of name and value whose value is not empty.
func writeFields(b *bytes.Buffer, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			value := scalar(pairs[i+1])
			switch pairs[i] {
			case "version", "source-version", "sha256", "date":
				value = strconv.Quote(pairs[i+1]) // alike, whatever it begins with
			}
			b.WriteString("    " + pairs[i] + ": " + value + "\n")
		}
	}
}

var plainScalar = regexp.MustCompile(`^[a-z][A-Za-z0-9+./_-]*$`)

// scalar writes a string plainly where YAML cannot take it for anything else.
// All strings of a checked lock are printable ASCII.
func scalar(s string) string {
	switch s {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return strconv.Quote(s)
	}
	if plainScalar.MatchString(s) {
		return s
	}
	return strconv.Quote(s)
}

func sortChanges(changes []Change) {
	rank := map[Set]int{Root: 0, Boot: 1, Tools: 2}
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank[a.Set], rank[b.Set]), strings.Compare(a.Name, b.Name))
	})
}
