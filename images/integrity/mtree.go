package integrity

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// MediaType is that of a manifest in mtree form.
const MediaType = "text/x-mtree"

// Limits on a manifest that is read.
const (
	maxLine    = 1 << 20
	maxEntries = 4 << 20
	maxXattrs  = 256
)

// Comment lines before an entry hold what mtree(5) has no keyword for that all
// its readers take: the entry's class, of which earlier entry it is a hard link,
// and its extended attributes. As keywords of their own they would stop NetBSD's
// mtree and bsdtar, and NetBSD's keyword tags, made for classes, stops go-mtree.
const (
	classComment    = "#class "
	hardLinkComment = "#hardlink "
	xattrComment    = "#xattr "
)

// WriteMtree writes the manifest in mtree(5) form, one line an entry with full
// paths, that mtree programs, bsdtar and go-mtree read and verify; the class,
// hard links and extended attributes (name=base64) precede their entry as
// comments. The output depends on the entries alone.
func (m Manifest) WriteMtree(w io.Writer) error {
	links := map[string]int{}
	for _, e := range m {
		if e.HardLink != "" {
			links[e.HardLink]++
		}
	}
	out := bufio.NewWriterSize(w, 64<<10)
	out.WriteString("#mtree v2.0\n")
	for _, e := range m {
		out.WriteString(classComment + string(e.Class) + "\n")
		first := e.Path
		if e.HardLink != "" {
			first = e.HardLink
			out.WriteString(hardLinkComment + escape(mtreePath(first)) + "\n")
		}
		for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
			out.WriteString(xattrComment + escape(name) + "=" + base64.StdEncoding.EncodeToString([]byte(e.Xattrs[name])) + "\n")
		}
		out.WriteString(mtreeLine(e, links[first]+1))
		out.WriteByte('\n')
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing manifest: %w", err)
	}
	return nil
}

func mtreePath(path string) string {
	if path == "." {
		return path
	}
	return "./" + path
}

func mtreeLine(e Entry, links int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s type=%s mode=%#o uid=%d gid=%d time=%d.000000000",
		escape(mtreePath(e.Path)), typeName(e.Mode), unixMode(e.Mode), e.UID, e.GID, e.ModTime)
	switch {
	case e.Mode.IsRegular():
		fmt.Fprintf(&b, " nlink=%d size=%d sha256digest=%s", links, e.Size, e.SHA256)
	case e.Mode.Type() == fs.ModeSymlink:
		fmt.Fprintf(&b, " link=%s", escape(e.Target))
	case e.Mode&fs.ModeDevice != 0:
		fmt.Fprintf(&b, " device=linux,%d,%d", e.Major, e.Minor)
	}
	return b.String()
}

// ReadMtree reads a manifest that WriteMtree wrote. It takes that flat form
// only, refuses keywords that it does not know, and checks the whole as
// NewManifest does.
func ReadMtree(r io.Reader) (Manifest, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	var m Manifest
	var next Entry
	for number := 1; scanner.Scan(); number++ {
		complete, err := next.parse(scanner.Text())
		if err != nil {
			return nil, fmt.Errorf("reading manifest: line %d: %w", number, err)
		}
		if !complete {
			continue
		}
		if len(m) == maxEntries {
			return nil, fmt.Errorf("reading manifest: more than %d entries", maxEntries)
		}
		m = append(m, next)
		next = Entry{}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	if next.Class != "" || next.HardLink != "" || next.Xattrs != nil {
		return nil, fmt.Errorf("reading manifest: its last entry is missing")
	}
	sorted := slices.IsSortedFunc(m, func(a, b Entry) int { return comparePaths(a.Path, b.Path) })
	if !sorted {
		return nil, fmt.Errorf("reading manifest: its entries are not in path order")
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	return m, nil
}

func parsePath(word string) (string, error) {
	path, err := unescape(word)
	if err != nil {
		return "", err
	}
	if path == "." {
		return path, nil
	}
	path, ok := strings.CutPrefix(path, "./")
	if !ok {
		return "", fmt.Errorf("the path %q does not begin with ./", word)
	}
	return path, nil
}

// parse takes one line into the entry and reports whether it completes it.
func (e *Entry) parse(line string) (bool, error) {
	if word, ok := strings.CutPrefix(line, classComment); ok {
		if e.Class != "" {
			return false, fmt.Errorf("the class is given twice")
		}
		e.Class = Class(word)
		return false, nil
	}
	if word, ok := strings.CutPrefix(line, hardLinkComment); ok {
		path, err := parsePath(word)
		e.HardLink = path
		return false, err
	}
	if word, ok := strings.CutPrefix(line, xattrComment); ok {
		return false, e.setXattr(word)
	}
	if line == "" || line[0] == '#' {
		return false, nil
	}
	words := strings.Split(line, " ")
	path, err := parsePath(words[0])
	if err != nil {
		return false, err
	}
	e.Path = path
	given := map[string]bool{}
	for _, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return false, fmt.Errorf("%q is not keyword=value", word)
		}
		if given[name] {
			return false, fmt.Errorf("keyword %s is given twice", name)
		}
		given[name] = true
		if err := e.set(name, value); err != nil {
			return false, fmt.Errorf("keyword %s: %w", name, err)
		}
	}
	for _, name := range []string{"type", "mode", "uid", "gid", "time"} {
		if !given[name] {
			return false, fmt.Errorf("keyword %s is missing", name)
		}
	}
	return true, nil
}

// set takes one keyword of mtree(5) into the entry.
func (e *Entry) set(name, value string) error {
	var err error
	switch name {
	case "type":
		mode, ok := typeOf(value)
		if !ok {
			return fmt.Errorf("%q is no file type", value)
		}
		e.Mode |= mode
	case "mode":
		var bits uint64
		if bits, err = strconv.ParseUint(value, 8, 12); err == nil {
			e.Mode |= permissions(uint32(bits))
		}
	case "uid":
		e.UID, err = parseID(value)
	case "gid":
		e.GID, err = parseID(value)
	case "time":
		seconds, whole := strings.CutSuffix(value, ".000000000")
		if !whole {
			return fmt.Errorf("%q is not in whole seconds", value)
		}
		e.ModTime, err = strconv.ParseInt(seconds, 10, 64)
	case "size":
		e.Size, err = strconv.ParseInt(value, 10, 64)
	case "nlink":
		_, err = strconv.ParseUint(value, 10, 32)
	case "sha256digest":
		e.SHA256 = value
	case "link":
		e.Target, err = unescape(value)
	case "device":
		err = e.setDevice(value)
	default:
		return fmt.Errorf("it is unknown")
	}
	return err
}

func (e *Entry) setXattr(word string) error {
	name, value, ok := strings.Cut(word, "=")
	if !ok {
		return fmt.Errorf("%q is not attribute=value", word)
	}
	name, err := unescape(name)
	if err != nil {
		return err
	}
	if _, again := e.Xattrs[name]; again {
		return fmt.Errorf("the extended attribute %s is given twice", name)
	}
	content, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return err
	}
	if len(e.Xattrs) == maxXattrs {
		return fmt.Errorf("there are more than %d extended attributes", maxXattrs)
	}
	if e.Xattrs == nil {
		e.Xattrs = map[string]string{}
	}
	e.Xattrs[name] = string(content)
	return nil
}

func (e *Entry) setDevice(value string) error {
	fields := strings.Split(value, ",")
	if len(fields) != 3 || fields[0] != "linux" {
		return fmt.Errorf("%q is not linux,major,minor", value)
	}
	major, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return err
	}
	minor, err := strconv.ParseUint(fields[2], 10, 32)
	if err != nil {
		return err
	}
	e.Major, e.Minor = uint32(major), uint32(minor)
	return nil
}

func parseID(value string) (int, error) {
	id, err := strconv.ParseUint(value, 10, 32)
	return int(id), err
}
