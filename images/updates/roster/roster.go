// Package roster is who may approve updates: a file of the project that lists people
// and machines with their keys, reviewed like code. It says whose signature a record
// has and whether it counts; it reads no private key.
package roster

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
	"imgbuild/images/signing/sshsig"
	"imgbuild/images/updates/life"
)

// FileName is the file of a project that holds its roster.
const FileName = "approvers.yaml"

// The limits of a roster.
const (
	maxFile    = 1 << 20
	maxMembers = 1000
	maxKeys    = 100
	maxKeyFile = 64 << 10
)

// Roster is who may approve. The zero value knows nobody.
type Roster struct {
	members []*Member
	// found are all keys by id: each record asks for one.
	found map[string]*Found
	// Written says that the project has a roster of its own.
	Written bool
}

// Member is one person or machine.
type Member struct {
	// Handle is the key in the file, and what records are shown under.
	Handle string `json:"-"`
	// Name is how they are called in full, for people.
	Name string    `json:"name,omitempty"`
	Role life.Role `json:"role" jsonschema:"required,enum=approver,enum=pipeline"`
	Keys []*Key    `json:"keys" jsonschema:"required"`
	// From and Until are when the member comes and leaves; open when zero.
	From  Moment `json:"from,omitzero"`
	Until Moment `json:"until,omitzero"`
	// Pos is where it is written.
	Pos node.Position `json:"-"`
}

// Key is one key of a member, with the limits put on it.
type Key struct {
	// SSH is the line of a public key, File a public key in PEM such as
	// keys/signing.pub: one of them.
	SSH  string     `json:"ssh,omitempty"`
	File *node.File `json:"file,omitempty"`
	// From and Until are when the key comes into use and goes; open when zero. They
	// are held against the time that a record claims.
	From  Moment `json:"from,omitzero"`
	Until Moment `json:"until,omitzero"`
	// Last is the newest record that counts of a key that has gone, by its digest:
	// that one and those it stands on, and nothing that the key signs from now on,
	// whatever time it claims. One of another key that stands on all of them will do.
	Last string `json:"last,omitempty"`
	// Revoked is why nothing that the key ever signed counts.
	Revoked string `json:"revoked,omitempty"`

	ssh *sshsig.PublicKey
	own *signing.PublicKey
}

// Moment is a time: a day, which begins in UTC, or RFC 3339.
type Moment struct{ time.Time }

// UnmarshalNode reads 2027-01-31 or 2027-01-31T12:00:00Z.
func (m *Moment) UnmarshalNode(n *node.Node) error {
	t, err := ParseMoment(n.Text)
	if err != nil {
		return node.Errorf(n.Pos, "%v", err)
	}
	m.Time = t
	return nil
}

// ParseMoment reads what Moment does.
func ParseMoment(text string) (time.Time, error) {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("expected a day such as 2027-01-31 or a time such as 2027-01-31T12:00:00Z, found %q", text)
}

var (
	handleForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Load reads a project's roster. A file that is not there is one that lists nobody.
func Load(files fs.FS, shown string) (*Roster, error) {
	info, err := fs.Stat(files, FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return &Roster{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the roster: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fault.Inputf("reading the roster: %s has %d bytes, the limit is %d", shown, info.Size(), maxFile)
	}
	data, err := fs.ReadFile(files, FileName)
	if err != nil {
		return nil, fmt.Errorf("reading the roster: %w", err)
	}
	return Parse(shown, files, data)
}

// Parse reads a roster: a map of members by handle. files is where File starts.
func Parse(shown string, files fs.FS, data []byte) (*Roster, error) {
	tree, err := node.Parse(shown, files, FileName, data)
	if err != nil {
		return nil, err
	}
	if tree.Kind != node.Map {
		return nil, node.Errorf(tree.Pos, "expected a map of people by a short name, found %s", tree.Kind)
	}
	if len(tree.Entries) > maxMembers {
		return nil, node.Errorf(tree.Pos, "there are %d people, the limit is %d", len(tree.Entries), maxMembers)
	}
	r, p := &Roster{Written: true}, &node.Problems{}
	for _, e := range tree.Entries {
		m := &Member{Handle: e.Key, Pos: e.Pos}
		if len(e.Key) > 64 || !handleForm.MatchString(e.Key) {
			p.Addf(e.Pos, "%q is no short name: use small letters, digits, hyphens and dots", e.Key)
		}
		if e.Value.Kind == node.Null {
			p.Addf(e.Pos, "%q has no role and no keys", e.Key)
			continue
		}
		p.Add(node.Decode(e.Value, m))
		m.Pos = e.Pos
		r.members = append(r.members, m)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return r, r.index()
}

// index notes whose each key is. It refuses one that two members have: whose word that
// is would be open.
func (r *Roster) index() error {
	p := &node.Problems{}
	r.found = map[string]*Found{}
	for _, m := range r.members {
		for _, k := range m.Keys {
			id := k.ID()
			if other := r.found[id]; other != nil {
				p.Addf(m.Pos, "key %s is %s's already", id, other.member.Handle)
			}
			r.found[id] = &Found{m, k}
		}
	}
	return p.Err()
}

// Validate refuses a member without a key and one that leaves before it comes.
func (m *Member) Validate(n *node.Node) error {
	p := &node.Problems{}
	if keys := n.Get("keys"); keys != nil && (len(m.Keys) == 0 || len(m.Keys) > maxKeys) {
		p.Addf(keys.Pos, "expected 1 to %d keys, found %d", maxKeys, len(m.Keys))
	}
	if strings.ContainsFunc(m.Name, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(m.Name) > 200 {
		p.Addf(n.At("name"), "the name is too long, or holds what cannot be printed")
	}
	checkSpan(p, n, m.From, m.Until)
	return p.Err()
}

// Validate reads the key, and refuses limits that contradict each other.
func (k *Key) Validate(n *node.Node) error {
	p := &node.Problems{}
	switch {
	case (k.SSH == "") == (k.File == nil):
		p.Addf(n.Pos, `expected either "ssh", the line of a public key, or "file", the name of one in PEM`)
	case k.SSH != "":
		key, err := sshsig.ParsePublicKey(k.SSH)
		if err != nil {
			p.Addf(n.At("ssh"), "%v", err)
		}
		k.ssh = &key
	case k.File.Size > maxKeyFile:
		p.Addf(n.At("file"), "the file has %d bytes, more than any key", k.File.Size)
	default:
		text, err := k.File.Text()
		if err == nil {
			var key signing.PublicKey
			key, err = signing.ParsePublicKey([]byte(text))
			k.own = &key
		}
		if err != nil {
			p.Addf(n.At("file"), "%v", err)
		}
	}
	if k.Last != "" && !digestForm.MatchString(k.Last) {
		p.Addf(n.At("last"), "expected a record's digest, 64 hexadecimal digits, found %q", k.Last)
	}
	if k.Revoked != "" && (k.Last != "" || !k.Until.IsZero()) {
		p.Addf(n.At("revoked"), `nothing counts of a key that is "revoked", so neither "until" nor "last" goes with it`)
	}
	if value := n.Get("revoked"); value != nil && strings.TrimSpace(k.Revoked) == "" {
		p.Addf(value.Pos, "say why the key is revoked")
	}
	checkSpan(p, n, k.From, k.Until)
	return p.Err()
}

func checkSpan(p *node.Problems, n *node.Node, from, until Moment) {
	if !from.IsZero() && !until.IsZero() && !from.Before(until.Time) {
		p.Addf(n.At("until"), "it ends %s, before it begins %s", until.Format(time.RFC3339), from.Format(time.RFC3339))
	}
}

// ID names the key: an SSH fingerprint, or the SHA-256 of the project's kind.
func (k *Key) ID() string {
	if k.ssh != nil {
		return k.ssh.ID()
	}
	return k.own.ID()
}

// Members are all, in the order of the file.
func (r *Roster) Members() []*Member { return slices.Clone(r.members) }

// Approvers are the handles of those who may approve at a time and have a key for
// that, in the order of the file.
func (r *Roster) Approvers(now time.Time) []string {
	var names []string
	for _, m := range r.members {
		able := slices.ContainsFunc(m.Keys, func(k *Key) bool { return k.Last == "" && k.Revoked == "" && within(now, k.From, k.Until) })
		if m.Role == life.Approver && able && within(now, m.From, m.Until) {
			names = append(names, m.Handle)
		}
	}
	return names
}

func within(at time.Time, from, until Moment) bool {
	return (from.IsZero() || !at.Before(from.Time)) && (until.IsZero() || at.Before(until.Time))
}
