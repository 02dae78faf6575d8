package feeds

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// lookAhead is how many bytes of a document are looked at to know its kind.
const lookAhead = 256 << 10

// errUnknown says that a file is of no kind.
const errUnknown = noFeed("it is no file of a feed that is known")

// recognise tells a file's kind by what is in it. Of an archive the first
// document that is of a kind decides; that the others are too shows when it is
// read.
func recognise(ctx context.Context, c content) (Kind, error) {
	if c.size == 0 {
		return "", noFeed("it is empty")
	}
	var kind Kind
	looked := 0
	err := c.documents(ctx, 64*mib, func(name string, r io.Reader) error {
		if looked++; looked > 20 {
			return errEnough
		}
		begin, err := io.ReadAll(io.LimitReader(r, lookAhead))
		if err != nil {
			return err
		}
		if kind = kindOf(begin); kind != "" {
			return errEnough
		}
		return nil
	})
	// An entry that ends a walk has its name around it.
	if kind != "" {
		return kind, nil
	}
	if err != nil {
		return "", err
	}
	return "", errUnknown
}

var (
	listLine = regexp.MustCompile(`^\[\d{2} \w{3} \d{4}\] D[SLT]`)
	epssLine = regexp.MustCompile(`^(?:#model_version:[^\n]*\n)?cve,epss`)
	xmlRoot  = regexp.MustCompile(`<(?:\w+:)?cvrfdoc[\s>]`)
	issueID  = regexp.MustCompile(`^(?:CVE|TEMP)-\d`)
)

// kindOf tells the kind by the beginning of a document.
func kindOf(begin []byte) Kind {
	start := bytes.TrimLeft(begin, " \t\r\n")
	switch {
	case len(start) == 0:
		return ""
	case listLine.Match(start):
		return DebianAdvisories
	case epssLine.Match(start):
		return EPSS
	case start[0] == '<' && xmlRoot.Match(start):
		return MSRC
	case start[0] == '{' || start[0] == '[':
		return kindOfJSON(begin)
	}
	return ""
}

// kindOfJSON reads the names of the outermost members, as far as they are there.
func kindOfJSON(begin []byte) Kind {
	d := jsontext.NewDecoder(bufio.NewReader(bytes.NewReader(begin)))
	names := map[string]bool{}
	for {
		token, err := d.ReadToken()
		if err != nil {
			break
		}
		if token.Kind() != '"' {
			continue
		}
		kind, length := d.StackIndex(d.StackDepth())
		if kind != '{' || length%2 == 0 {
			continue // a value
		}
		switch d.StackDepth() {
		case 1:
			names[token.String()] = true
		case 2:
			names[strings.TrimPrefix(string(d.StackPointer()), "/")] = true
			// The tracker has vulnerabilities by source package.
			if issueID.MatchString(token.String()) {
				return DebianTracker
			}
		}
	}
	has := func(all ...string) bool {
		for _, name := range all {
			if !names[name] {
				return false
			}
		}
		return true
	}
	switch {
	case has("DocumentTracking"), has("ProductTree", "Vulnerability"):
		return MSRC
	case has("document/csaf_version"):
		return CSAF
	case has("catalogVersion", "vulnerabilities"), has("catalogVersion", "dateReleased"):
		return KEV
	case has("schema_version", "result"), has("0/cycle"):
		return EOL
	case has("id", "affected"), has("id", "modified"), has("schema_version", "id"):
		return OSV
	}
	return ""
}

// Recognise tells the kind of a file by its content, whatever it is called.
func Recognise(ctx context.Context, name string, file io.ReaderAt, size int64) (Kind, error) {
	kind, err := recognise(ctx, content{name, file, size})
	if err != nil {
		return "", fmt.Errorf("recognising %s: %w", name, err)
	}
	return kind, nil
}
