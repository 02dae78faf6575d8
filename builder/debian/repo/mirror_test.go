package repo_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ulikunitz/xz"

	"imgbuild/builder/debian/repo"
	"imgbuild/builder/debian/repo/repotest"
	"imgbuild/builder/progress"
)

var today = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const packages = `Package: a
Version: 1.0-1
Architecture: amd64
Maintainer: Somebody <somebody@example.com>
Essential: yes
Depends: b (>= 1)
Description: first
 of two
Filename: pool/main/a/a_1.0-1_amd64.deb
Size: 1000
SHA256: 1111111111111111111111111111111111111111111111111111111111111111

Package: b
Source: b-source (2.0)
Version: 1:2.0-1
Architecture: all
Filename: pool/main/b/b_2.0-1_all.deb
Size: 2000
SHA256: 2222222222222222222222222222222222222222222222222222222222222222
`

// mirror is a mirror whose every file can be set.
type mirror struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte
	requests []string
	failures int // requests still to be answered with 503
	stalls   int // requests for stalling still to stop in the middle
	stalling string
}

func newMirror(t *testing.T) *mirror {
	m := &mirror{files: map[string][]byte{}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.answer(w, r) {
			<-r.Context().Done() // until the client gives up
		}
	}))
	t.Cleanup(m.Close)
	return m
}

// answer answers a request, and tells of one that is to go on in silence.
func (m *mirror) answer(w http.ResponseWriter, r *http.Request) (stalls bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/debian/")
	m.requests = append(m.requests, path)
	if m.failures > 0 {
		m.failures--
		http.Error(w, "overloaded", http.StatusServiceUnavailable)
		return false
	}
	data, ok := m.files[path]
	if !ok {
		http.NotFound(w, r)
		return false
	}
	if m.stalls > 0 && strings.Contains(path, m.stalling) {
		m.stalls--
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data[:len(data)/2])
		http.NewResponseController(w).Flush()
		return true
	}
	w.Write(data)
	return false
}

// release describes an InRelease file to be made.
type release struct {
	fields   map[string]string
	signers  []*openpgp.Entity
	signedAt time.Time
	expires  time.Duration
	suffixes []string // forms of the index: "", .gz, .xz
	byHash   bool
	index    string
}

func plainRelease(key *openpgp.Entity) release {
	return release{
		fields: map[string]string{
			"Codename": "bookworm", "Suite": "oldstable", "Date": "Sun, 01 Mar 2026 08:00:00 UTC",
			"Architectures": "amd64", "Components": "main",
		},
		signers: []*openpgp.Entity{key}, signedAt: today.Add(-time.Hour), suffixes: []string{"", ".gz", ".xz"}, byHash: true, index: packages,
	}
}

// publish puts a release and its index on the mirror.
func (m *mirror) publish(t *testing.T, r release) {
	t.Helper()
	const dir = "dists/bookworm/"
	var text strings.Builder
	for name, value := range r.fields {
		fmt.Fprintf(&text, "%s: %s\n", name, value)
	}
	if r.byHash {
		text.WriteString("Acquire-By-Hash: yes\n")
	}
	text.WriteString("SHA256:\n")
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, suffix := range []string{"", ".gz", ".xz"} {
		data := compress(t, suffix, r.index)
		name := "main/binary-amd64/Packages" + suffix
		digest := sha256.Sum256(data)
		has := suffix == "" // the plain form is always listed, and seldom there
		for _, s := range r.suffixes {
			has = has || s == suffix
		}
		if !has {
			continue
		}
		fmt.Fprintf(&text, " %x %d %s\n", digest, len(data), name)
		if suffix == "" && len(r.suffixes) > 1 {
			continue
		}
		if r.byHash {
			m.files[dir+"main/binary-amd64/by-hash/SHA256/"+hex.EncodeToString(digest[:])] = data
		} else {
			m.files[dir+name] = data
		}
	}
	m.files[dir+"InRelease"] = sign(t, text.String(), r)
}

func sign(t *testing.T, text string, r release) []byte {
	t.Helper()
	config := &packet.Config{Time: func() time.Time { return r.signedAt }, SigLifetimeSecs: uint32(r.expires.Seconds())}
	return repotest.Sign(t, text, config, r.signers...)
}

func compress(t *testing.T, suffix, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	switch suffix {
	case "":
		return []byte(text)
	case ".gz":
		w := gzip.NewWriter(&b)
		w.Write([]byte(text))
		w.Close()
	case ".xz":
		w, err := xz.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(text))
		w.Close()
	}
	return b.Bytes()
}

func newKey(t *testing.T, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	config := &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(lifetime.Seconds()),
		Time: func() time.Time { return today.AddDate(-1, 0, 0) },
	}
	key, err := openpgp.NewEntity("Archive", "", "archive@example.com", config)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keyring(t *testing.T, keys ...*openpgp.Entity) repo.Keyring {
	t.Helper()
	var b bytes.Buffer
	for _, key := range keys {
		if err := key.Serialize(&b); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := repo.ParseKeyring("test keyring", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// reader reads the mirror's one suite as a client with its own cache.
type reader struct {
	client repo.Client
	source repo.Source
}

func (m *mirror) reader(t *testing.T, keys repo.Keyring) *reader {
	return &reader{
		client: repo.Client{
			HTTP: m.Client(), Cache: t.TempDir(), Now: func() time.Time { return today },
			Progress: progress.Discard, Backoff: time.Millisecond,
		},
		source: repo.Source{Archive: "debian", URL: m.URL + "/debian", Suite: "bookworm", Components: []string{"main"}, Keys: keys},
	}
}

func (r *reader) read() (*repo.Index, error) {
	indexes, err := r.client.Read(context.Background(), "amd64", []repo.Source{r.source})
	if err != nil {
		return nil, err
	}
	return indexes[0], nil
}
