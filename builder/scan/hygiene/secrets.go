package hygiene

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/zricethezav/gitleaks/v8/detect"
	"golang.org/x/crypto/ssh"

	"imgbuild/images/report"
	"imgbuild/provisioners/tree"
)

// maxKey bounds a private key in PEM form, in bytes: one of 16,384 bits has 13,000.
const maxKey = tree.Overlap

// holdsKey tells whether a private key in PEM form (RFC 7468) lies in data: one
// that can be read, or could with its passphrase. Programs hold the examples of
// their documentation. Each byte is looked at a few times at most, whatever is
// made to look like a key.
func holdsKey(data []byte) bool {
	begin, end := []byte("-----BEGIN "), []byte("-----END ")
	at := bytes.Index(data, begin)
	for at >= 0 {
		data = data[at:]
		// A key ends before the next begins.
		block := data
		if at = bytes.Index(data[len(begin):], begin); at >= 0 {
			at += len(begin)
			block = data[:at]
		}
		block = block[:min(len(block), maxKey)]
		label, _, _ := bytes.Cut(block[len(begin):min(len(block), 100)], []byte("-----"))
		if !bytes.HasSuffix(label, []byte("PRIVATE KEY")) || !bytes.Contains(block, end) {
			continue
		}
		if isKey(block) {
			return true
		}
	}
	return false
}

// isKey tells whether a text that begins as a key in PEM form is one.
func isKey(text []byte) bool {
	block, _ := pem.Decode(text)
	if block == nil {
		return false
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return len(block.Bytes) > 64
	}
	_, err := ssh.ParseRawPrivateKey(pem.EncodeToMemory(block))
	missing := (*ssh.PassphraseMissingError)(nil)
	return err == nil || errors.As(err, &missing)
}

// Text returns what must not be in a text that belongs to an image.
func Text(name string, data []byte) ([]report.Stray, error) {
	detector, err := newDetector()
	if err != nil {
		return nil, err
	}
	return text(detector, name, data), nil
}

// newDetector is gitleaks with its own rules. What it looks at has no say: it
// would pass over a line that says gitleaks:allow.
func newDetector() (*detect.Detector, error) {
	detector, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("looking for secrets: %w", err)
	}
	detector.IgnoreGitleaksAllow = true
	return detector, nil
}

func text(detector *detect.Detector, name string, data []byte) []report.Stray {
	var found []report.Stray
	for _, leak := range detector.DetectString(string(data)) {
		found = append(found, report.Stray{Kind: string(kindOf(leak.RuleID)), Path: name, Detail: fmt.Sprintf("line %d looks like one: %s", leak.StartLine+1, leak.RuleID)})
	}
	return append(found, credentials(name, data)...)
}

// kindOf sorts the rules of gitleaks.
func kindOf(rule string) Kind {
	if strings.Contains(rule, "private-key") || rule == "age-secret-key" {
		return PrivateKey
	}
	return Token
}

// passwordFiles are those of clients, which hold nothing else.
var passwordFiles = []string{".netrc", ".pgpass", ".my.cnf", ".git-credentials", ".htpasswd", ".smbcredentials"}

// loginURL is a URL with a user and a password (RFC 3986, 3.2.1) that are not
// names of variables.
var loginURL = regexp.MustCompile(`\b[a-z][a-z0-9+.-]{1,20}://[A-Za-z0-9._~%-]+:[^\s:/?#@<>${}"'%]{3,}@[A-Za-z0-9.-]+`)

// credentials looks for passwords in what clients read.
func credentials(name string, data []byte) []report.Stray {
	if slices.Contains(passwordFiles, path.Base(name)) {
		return []report.Stray{{Kind: string(Password), Path: name, Detail: "files of this name hold passwords"}}
	}
	if bytes.HasPrefix(data, []byte("PuTTY-User-Key-File-")) {
		return []report.Stray{{Kind: string(PrivateKey), Path: name, Detail: "a key of PuTTY"}}
	}
	var found []report.Stray
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if bytes.Contains(line, []byte("://")) && loginURL.Match(line) {
			found = append(found, report.Stray{Kind: string(Password), Path: name, Detail: fmt.Sprintf("line %d has a URL with a password", n)})
		}
	}
	return found
}
