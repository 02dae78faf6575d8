package hygiene

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/zricethezav/gitleaks/v8/detect"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners/system"
)

// The sizes up to which a file is searched, in bytes: for secrets of all kinds,
// which people write into small ones, and for private keys alone.
const (
	maxText    = 1 << 20
	maxContent = 16 << 20
)

// derived tells what is made of packages alone: the lists and scripts that
// installed ones bring beside their files, and what dpkg, debconf and depmod
// gather from them. (Answers to debconf's questions are not among it.)
func (i *inspection) derived(name string) bool {
	if base, ok := strings.CutPrefix(name, "var/lib/dpkg/info/"); ok {
		return i.packages.brings(base)
	}
	return matches(name, "var/lib/dpkg/status", "var/lib/dpkg/available", "var/cache/debconf/templates.dat", "usr/lib/modules/*/modules.*")
}

// contents looks into the files that no package brought as they are.
func (i *inspection) contents(ctx context.Context, entries []integrity.Entry) error {
	detector, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return err
	}
	jobs := make(chan integrity.Entry)
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for e := range jobs {
				found, err := i.content(detector, e)
				if err != nil {
					return err
				}
				mu.Lock()
				i.found = append(i.found, found...)
				mu.Unlock()
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(jobs)
		for _, e := range entries {
			if !e.Mode.IsRegular() || e.HardLink != "" || e.Size == 0 || e.Size > maxContent || i.derived(e.Path) {
				continue
			}
			select {
			case jobs <- e:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

func (i *inspection) content(detector *detect.Detector, e integrity.Entry) ([]report.Stray, error) {
	name := path.Join("/", e.Path)
	data, err := read(i.reader, name)
	if err != nil || i.unchanged(name, data) {
		return nil, err
	}
	var found []report.Stray
	for _, dir := range i.expected.BuildPaths {
		if bytes.Contains(data, []byte(dir)) {
			found = append(found, report.Stray{Kind: string(BuildPath), Path: name, Detail: "it names a directory of the machine that built it"})
			break
		}
	}
	if bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0 || len(data) > maxText {
		// No text that a person wrote; a key is one all the same.
		if holdsKey(data) {
			found = append(found, report.Stray{Kind: string(PrivateKey), Path: name, Detail: "it holds one in PEM form"})
		}
		return found, nil
	}
	return append(found, text(detector, name, data)...), nil
}

// holdsKey tells whether a private key in PEM form (RFC 7468) lies in data: one
// that can be read, or could with its passphrase. Programs hold the examples of
// their documentation.
func holdsKey(data []byte) bool {
	const begin = "-----BEGIN "
	for {
		at := bytes.Index(data, []byte(begin))
		if at < 0 {
			return false
		}
		data = data[at:]
		block, _ := pem.Decode(data)
		if block != nil && block.Type == "ENCRYPTED PRIVATE KEY" && len(block.Bytes) > 64 {
			return true
		}
		if block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY") {
			_, err := ssh.ParseRawPrivateKey(pem.EncodeToMemory(block))
			if missing := (*ssh.PassphraseMissingError)(nil); err == nil || errors.As(err, &missing) {
				return true
			}
		}
		data = data[len(begin):]
	}
}

// Text returns what must not be in a text that belongs to an image.
func Text(name string, data []byte) ([]report.Stray, error) {
	detector, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("looking for secrets: %w", err)
	}
	return text(detector, name, data), nil
}

func text(detector *detect.Detector, name string, data []byte) []report.Stray {
	var found []report.Stray
	for _, leak := range detector.DetectString(string(data)) {
		found = append(found, report.Stray{Kind: string(kindOf(leak.RuleID)), Path: name, Detail: fmt.Sprintf("line %d looks like one: %s", leak.StartLine+1, leak.RuleID)})
	}
	return append(found, credentials(name, data)...)
}

func read(r system.Reader, name string) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxContent))
}

// unchanged tells whether a package brought the file with this content.
func (i *inspection) unchanged(name string, data []byte) bool {
	want, ok := i.packages.sums[name]
	if !ok {
		want, ok = i.packages.sums[strings.TrimPrefix(name, "/usr")]
	}
	if !ok {
		return false
	}
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:]) == want
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
	for n, line := range bytes.Split(data, []byte("\n")) {
		if loginURL.Match(line) {
			found = append(found, report.Stray{Kind: string(Password), Path: name, Detail: fmt.Sprintf("line %d has a URL with a password", n+1)})
		}
	}
	return found
}
