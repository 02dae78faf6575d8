package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"imgbuild/images/fault"
)

// memory remembers on this machine what a catalog has shown of a baseline, so
// that whoever keeps the catalog cannot show less later: an old copy of it has
// nothing but good signatures (The Update Framework, 1.0.34, 1.5.2, "rollback
// attacks"). A memory without a directory remembers nothing.
type memory struct {
	dir, location string
	mu            sync.Mutex
}

// seen is what is remembered of one baseline.
type seen struct {
	Location string `json:"location"`
	Baseline string `json:"baseline"`
	// Channels holds the newest believed move of each.
	Channels map[string]seenMove `json:"channels,omitempty"`
	// Revoked are the versions of which a believed revocation was seen.
	Revoked []digest.Digest `json:"revoked,omitempty"`
	// Newest are the newest documents that were seen, by the version's digest
	// and what they are.
	Newest map[string]Mark `json:"newest,omitempty"`
}

// Mark is a document that there may be newer ones of.
type Mark struct {
	// Order grows from one document to the next, from 1.
	Order  int64         `json:"order"`
	Digest digest.Digest `json:"digest"`
}

type seenMove struct {
	Serial int           `json:"serial"`
	Digest digest.Digest `json:"digest"`
}

// file is where a baseline's memory lies.
func (m *memory) file(baseline string) string {
	sum := sha256.Sum256([]byte(m.location + "\x00" + baseline))
	return filepath.Join(m.dir, hex.EncodeToString(sum[:16])+".json")
}

// update changes what is remembered of a baseline.
func (m *memory) update(baseline string, change func(*seen) (changed bool, err error)) error {
	if m.dir == "" {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	path := m.file(baseline)
	s := seen{Location: m.location, Baseline: baseline}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading what %s has shown before: %w", m.location, err)
	}
	changed, err := change(&s)
	if err != nil || !changed {
		return err
	}
	if text, err = json.MarshalIndent(s, "", "  "); err != nil {
		return err
	}
	err = os.MkdirAll(m.dir, 0o700)
	if err == nil {
		err = replaceFile(m.dir, path, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remembering what %s shows: %w", m.location, err)
	}
	return nil
}

// Remembered are the baselines that the catalog has shown on this machine, in order:
// one that it has not any more was lost, or its place cannot be reached.
func (c *Catalog) Remembered() ([]string, error) {
	m := &c.memory
	if m.dir == "" {
		return nil, nil
	}
	paths, err := os.ReadDir(m.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading what %s has shown before: %w", m.location, err)
	}
	var found []string
	for _, d := range paths {
		path := filepath.Join(m.dir, d.Name())
		if filepath.Ext(path) != ".json" {
			continue
		}
		var s seen
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil {
			return nil, fmt.Errorf("reading what %s has shown before: %w", m.location, err)
		}
		if s.Location == m.location && m.file(s.Baseline) == path {
			found = append(found, s.Baseline)
		}
	}
	slices.Sort(found)
	return found, nil
}

// move compares a channel's newest record, nil for none, with the newest that
// was seen, and remembers it.
func (m *memory) move(baseline, channel string, newest *Move) error {
	return m.update(baseline, func(s *seen) (bool, error) {
		last, known := s.Channels[channel]
		now := seenMove{}
		if newest != nil {
			now = seenMove{newest.Serial, newest.Digest}
		}
		switch {
		case now == last:
			return false, nil
		case known && now.Serial <= last.Serial:
			return false, fault.Worldf("channel %s:%s stands at move %d (%s), but move %d (%s) was seen here before: newer records were taken away",
				baseline, channel, now.Serial, now.Digest, last.Serial, last.Digest).WithHint("%s", m.hint(baseline))
		}
		if s.Channels == nil {
			s.Channels = map[string]seenMove{}
		}
		s.Channels[channel] = now
		return true, nil
	})
}

// revocation compares whether a version is revoked with what was seen, and
// remembers it.
func (m *memory) revocation(v *Version, revoked bool) error {
	return m.update(v.Baseline, func(s *seen) (bool, error) {
		known := slices.Contains(s.Revoked, v.Index.Digest)
		if known && !revoked {
			return false, fault.Worldf("%s was revoked when it was seen here before: the record was taken away", v.Ref()).WithHint("%s", m.hint(v.Baseline))
		}
		if known || !revoked {
			return false, nil
		}
		s.Revoked = append(s.Revoked, v.Index.Digest)
		return true, nil
	})
}

// Remember compares the newest documents that a version shows with the newest
// that were seen on this machine, and remembers them. newest has them by what
// they are; all whose name begins with prefix are looked for. It is an error
// (fault.World) when a later one was seen: whoever keeps the catalog took it
// away. A catalog without a memory remembers nothing.
func (c *Catalog) Remember(v *Version, prefix string, newest map[string]Mark) error {
	of := v.Index.Digest.String() + " "
	return c.memory.update(v.Baseline, func(s *seen) (changed bool, err error) {
		for key, last := range s.Newest {
			kind, own := strings.CutPrefix(key, of)
			if now := newest[kind]; own && strings.HasPrefix(kind, prefix) && now != last && now.Order <= last.Order {
				return false, fault.Worldf("a newer %s of %s (%s) was seen here before: it was taken away", kind, v.Ref(), last.Digest).WithHint("%s", c.memory.hint(v.Baseline))
			}
		}
		for kind, mark := range newest {
			if s.Newest[of+kind] == mark {
				continue
			}
			if s.Newest == nil {
				s.Newest = map[string]Mark{}
			}
			s.Newest[of+kind], changed = mark, true
		}
		return changed, nil
	})
}

func (m *memory) hint(baseline string) string {
	return fmt.Sprintf("find out who put %s back; if it is another catalog by right, remove %s", m.location, m.file(baseline))
}
