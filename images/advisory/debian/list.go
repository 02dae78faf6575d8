package debian

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem"
)

// Limits on a list of advisories; that of DSAs has some 900 kB.
const (
	maxList     = 64 << 20
	maxListLine = 1 << 20
)

// A list of advisories (data/DSA/list and data/DLA/list of the tracker's
// repository, described in its doc/security-team.d.o/security_tracker) has for
// each a line with its date, id and title, and indented lines: the
// vulnerabilities in braces, the fixed version of each package and release,
// and notes.
var (
	listHeader  = regexp.MustCompile(`^\[(\d{2} \w{3} \d{4})\] (D[SLT]S?A-\d+(?:-\d+)?)\s+(\S.*)$`)
	listPackage = regexp.MustCompile(`^\[([a-z]+)\]\s+-\s+(\S+)\s+(\S+)\s*(?:\((.*)\)?)?$`)
)

// List reads the tracker's list of DSAs or DLAs, the newest first, and gives a
// record for each that fixes something. It ends with the first error.
func List(r io.Reader, each func(*advisory.Record) error) error {
	limited := &io.LimitedReader{R: r, N: maxList}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 64<<10), maxListLine)
	// Of what is cut off within a line the version would be another.
	ended := true
	lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		n, line, err := bufio.ScanLines(data, atEOF)
		if n > 0 {
			ended = data[n-1] == '\n'
		}
		return n, line, err
	})
	var current *advisory.Record
	n := 0
	end := func() error {
		if current == nil || len(current.Affected) == 0 {
			return nil
		}
		if err := current.Check(); err != nil {
			return err
		}
		n++
		return each(current)
	}
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), " \t\r")
		if line == "" {
			continue
		}
		var err error
		switch {
		case line[0] != ' ' && line[0] != '\t':
			if err = end(); err == nil {
				current, err = header(line)
			}
		case current == nil:
			err = fmt.Errorf("it belongs to no advisory")
		default:
			err = detail(current, strings.TrimSpace(line))
		}
		if err != nil {
			return fmt.Errorf("reading a list of Debian's advisories: line %d: %w", number, err)
		}
	}
	err := lines.Err()
	if err == nil && !ended {
		err = fmt.Errorf("%w: its last line does not end", advisory.ErrTruncated)
	}
	if err == nil {
		err = end()
	}
	if err == nil && n == 0 {
		err = fmt.Errorf("there is no advisory in it")
	}
	if limited.N == 0 {
		err = fmt.Errorf("it has more than %d bytes", maxList)
	}
	if err != nil {
		return fmt.Errorf("reading a list of Debian's advisories: %w", err)
	}
	return nil
}

func header(line string) (*advisory.Record, error) {
	found := listHeader.FindStringSubmatch(line)
	if found == nil {
		return nil, fmt.Errorf("%.60q is no date, id and title", line)
	}
	day, err := time.Parse("02 Jan 2006", found[1])
	if err != nil {
		return nil, err
	}
	return &advisory.Record{
		ID: found[2], Feed: ListFeed, Summary: advisory.Line(found[3]), Published: day,
		References: []string{"https://security-tracker.debian.org/tracker/" + found[2]},
	}, nil
}

// detail reads an indented line of an advisory.
func detail(r *advisory.Record, line string) error {
	switch {
	case strings.HasPrefix(line, "{") && strings.HasSuffix(line, "}"):
		r.Upstream = append(r.Upstream, strings.Fields(strings.Trim(line, "{}"))...)
		if len(r.Upstream) > advisory.MaxNames {
			return fmt.Errorf("%s has more than %d vulnerabilities", r.ID, advisory.MaxNames)
		}
		return nil
	case strings.HasPrefix(line, "["):
		found := listPackage.FindStringSubmatch(line)
		if found == nil {
			return fmt.Errorf("%.60q is no package with a version", line)
		}
		a, err := fixedBy(found[3], advisory.Line(strings.TrimSuffix(found[4], ")")))
		if err != nil {
			return err
		}
		a.Ecosystem, a.Package = "Debian:"+cmp.Or(ecosystem.DebianRelease(found[1]), found[1]), found[2]
		if r.Affected = append(r.Affected, a); len(r.Affected) > advisory.MaxAffected {
			return fmt.Errorf("%s has more than %d packages", r.ID, advisory.MaxAffected)
		}
		return nil
	case strings.HasPrefix(line, "NOTE:"), strings.HasPrefix(line, "TODO:"):
		return nil
	}
	return fmt.Errorf("%.60q is neither vulnerabilities nor a package nor a note", line)
}

// fixedBy reads what stands for the version.
func fixedBy(version, note string) (advisory.Affected, error) {
	a := advisory.Affected{Note: note}
	switch version {
	case "<not-affected>":
		a.Status = advisory.StatusNotAffected
		return a, nil
	case "<undetermined>":
		a.Status = advisory.StatusUndetermined
		return a, nil
	case "<unfixed>":
	case "<end-of-life>":
		a.Disposition = advisory.EndOfLife
	case "<no-dsa>":
		a.Disposition = advisory.NoDSA
	case "<postponed>":
		a.Disposition = advisory.Postponed
	case "<ignored>":
		a.Disposition = advisory.Ignored
	default:
		if strings.HasPrefix(version, "<") {
			return a, fmt.Errorf("%q is not known", version)
		}
		a.Note = ""
		a.Ranges = since("0", version)
		return a, nil
	}
	a.Ranges = since("0", "")
	return a, nil
}
