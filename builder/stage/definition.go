// Package stage names the steps of a bake by what goes into them and keeps
// their results: an id is the hash of every input, a cache holds one directory
// a finished stage. It never runs a stage and never mounts anything.
package stage

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"unicode/utf8"

	"imgbuild/images/fault"
)

// ID names a stage: the SHA-256 of its definition in lower-case hex, or empty
// for "no stage".
type ID string

// Short is the id's first twelve digits, for people.
func (id ID) Short() string { return string(id[:min(len(id), 12)]) }

func (id ID) valid() bool {
	return len(id) == sha256.Size*2 && strings.Trim(string(id), "0123456789abcdef") == ""
}

// Input is one thing that can change a stage's output: a short text or a
// digest, under a name that a reader of --explain understands, such as
// "package nginx" or "file /etc/nginx/nginx.conf".
type Input struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Inputs are in the order in which the stage uses them; the order counts.
type Inputs []Input

// Add appends an input.
func (in *Inputs) Add(name, value string) { *in = append(*in, Input{Name: name, Value: value}) }

// Definition is everything that can change a stage's output.
type Definition struct {
	// Name tells stages of one kind apart: debian-12-nginx, provision.
	Name string `json:"name"`
	// Kind says what code runs the stage: packages, provision, seal.
	Kind string `json:"kind"`
	// Format is that code's own number, raised whenever it makes other bytes
	// of the same inputs.
	Format int `json:"format"`
	// Parent is the stage that this one stands on, empty for the first.
	Parent ID `json:"parent,omitempty"`
	// Inputs are all other inputs.
	Inputs Inputs `json:"inputs"`
}

// encoding starts every hashed definition; it is raised when the encoding
// below changes.
const encoding = "imgbuild stage 1"

// ID hashes the definition: every text is preceded by its length in bytes and
// the inputs by their number, as 64-bit big-endian integers, so that no two
// definitions have one encoding.
func (d Definition) ID() ID {
	h := sha256.New()
	for _, text := range []string{encoding, d.Name, d.Kind, strconv.Itoa(d.Format), string(d.Parent)} {
		writeText(h, text)
	}
	writeNumber(h, len(d.Inputs))
	for _, in := range d.Inputs {
		writeText(h, in.Name)
		writeText(h, in.Value)
	}
	return ID(hex.EncodeToString(h.Sum(nil)))
}

// storable refuses what would not come back from JSON as it went in.
func (d Definition) storable() error {
	for _, in := range d.Inputs {
		if !utf8.ValidString(in.Name) || !utf8.ValidString(in.Value) {
			return fault.Inputf("stage %s: input %q is not valid UTF-8", d.Name, in.Name)
		}
	}
	return nil
}

func writeText(h hash.Hash, text string) {
	writeNumber(h, len(text))
	h.Write([]byte(text))
}

func writeNumber(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}
