package hygiene

import (
	"bytes"
	"crypto/x509"
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

// keyBags are the types of a private key in a PKCS #12 file, in DER: as it is, and
// encrypted (RFC 7292, 4.2). What has certificates alone has neither.
var keyBags = [][]byte{
	[]byte("\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x01"),
	[]byte("\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01\x02"),
}

// isBareKey tells whether a whole file is a private key in DER (RFC 5958, 8017 and
// 5915), or a PKCS #12 file with one.
func isBareKey(data []byte) bool {
	if len(data) < 4 || len(data) > maxKey || data[0] != 0x30 {
		return false
	}
	if _, err := x509.ParsePKCS8PrivateKey(data); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PrivateKey(data); err == nil {
		return true
	}
	if _, err := x509.ParseECPrivateKey(data); err == nil {
		return true
	}
	return slices.ContainsFunc(keyBags, func(kind []byte) bool { return bytes.Contains(data, kind) })
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
	// Files for Kubernetes have their secrets in base 64.
	detector.MaxDecodeDepth = 1
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

// hashed is the hash of a password by crypt(5), or as LDAP and htpasswd(1) have it.
var hashed = regexp.MustCompile(`\$(?:1|2[abxy]|5|6|7|y|gy|apr1)\$[./0-9A-Za-z,=$-]{20,}|\{S?SHA\}[0-9A-Za-z+/=]{28,}`)

// assigned is a word that a setting named like a password has, at the beginning of
// its line; letter and digit are in such a word at least, which is no name of a
// method, and nothing that is still to be filled in.
var (
	assigned = regexp.MustCompile(`(?i)^\s*(?:export\s+|-\s+)?["']?[\w.-]*(?:password|passwd|passphrase)["']?\s*[=:]\s*["']?([^\s"'#,;$<>{}()%*]{8,})["']?[\s,;]*$`)
	letter   = regexp.MustCompile(`[A-Za-z]`)
	digit    = regexp.MustCompile(`[0-9]`)
)

// credentials looks for passwords in what clients and servers read.
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
		if !slices.Contains(accountFiles, name) && hashed.Match(line) {
			found = append(found, report.Stray{Kind: string(Password), Path: name, Detail: fmt.Sprintf("line %d has the hash of a password", n)})
		}
		if word := assigned.FindSubmatch(line); word != nil && letter.Match(word[1]) && digit.Match(word[1]) && !bytes.HasPrefix(word[1], []byte("/")) {
			found = append(found, report.Stray{Kind: string(Password), Path: name, Detail: fmt.Sprintf("line %d sets a password", n)})
		}
	}
	return found
}
