// Package agent is what the program on a server does and how it is asked: the
// definitions of controls go there as they were written and are decoded there by
// the same code, findings and a manifest come back. A question holds no secret,
// and an answer no content of a file. It opens no connection.
package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/strictjson"
	"imgbuild/provisioners"
	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/inventory"
	"imgbuild/provisioners/sweep"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

// Format is the number of the form of questions and answers; either side
// refuses another.
const Format = 1

// MaxQuestion and MaxAnswer bound the documents, in bytes.
const (
	MaxQuestion = 32 << 20
	MaxAnswer   = 256 << 20
)

// maxValues bounds the objects, lists and members of a document, each of which
// takes far more memory than it has bytes; maxSaid is the longest error that is
// taken over from a server, in bytes.
const (
	maxValues = 2 << 20
	maxSaid   = 8 << 10
)

// Question is what the program is asked, as JSON.
type Question struct {
	Format int `json:"format"`
	// Sources are the folders of definitions that Controls are taken from.
	Sources []Source `json:"sources,omitempty"`
	// Controls are the ids of those that count.
	Controls []string `json:"controls,omitempty"`
	// Vars is a map as YAML that fills templates.
	Vars string `json:"vars,omitempty"`
	// Rules class paths for a manifest.
	Rules integrity.Rules `json:"rules,omitempty"`
}

// Answer is what the program says, as JSON: what the command is for, or Error.
type Answer struct {
	Format int `json:"format"`
	// Findings are of check, sorted as the controls are applied.
	Findings []control.Finding `json:"findings,omitempty"`
	// Manifest is in the form of mtree(5), as integrity.ReadMtree reads it.
	Manifest string `json:"manifest,omitempty"`
	// Inventory is what the system has.
	Inventory *inventory.Inventory `json:"inventory,omitempty"`
	// Changed are the ids of the controls that apply had to change something for.
	Changed []string `json:"changed,omitempty"`
	// Error is why there is no more; Changed is what was done before.
	Error string `json:"error,omitempty"`
}

// ReadQuestion reads one document strictly.
func ReadQuestion(r io.Reader) (*Question, error) {
	q := &Question{}
	if err := read(r, MaxQuestion, q); err != nil {
		return nil, fault.Inputf("reading the question").Because(err).WithHint("it is one JSON document in UTF-8 on standard input")
	}
	if q.Format != Format {
		return nil, fault.Inputf("the question has format %d, this program knows %d", q.Format, Format).
			WithHint("use imgbuild and imgbuild-guest of one version")
	}
	return q, nil
}

// ReadAnswer reads one document strictly; an Error in it is the error. A server
// may say of a control only what it can know.
func ReadAnswer(r io.Reader) (*Answer, error) {
	a := &Answer{}
	if err := read(r, MaxAnswer, a); err != nil {
		return nil, fmt.Errorf("reading the answer of imgbuild-guest: %w", err)
	}
	if a.Format != Format {
		return nil, fault.Worldf("imgbuild-guest answers in format %d, this program knows %d", a.Format, Format).
			WithHint("use imgbuild and imgbuild-guest of one version")
	}
	if a.Error != "" {
		return a, errors.New(a.Error[:min(len(a.Error), maxSaid)])
	}
	for _, f := range a.Findings {
		switch f.Result {
		case control.Pass, control.Fail, control.Error, control.NotApplicable:
		default:
			return nil, fmt.Errorf("imgbuild-guest says of the control %q that it is %q, which none can be", f.Control, f.Result)
		}
		if f.Asked || f.Waiver != "" || !f.WaivedBefore.IsZero() || len(f.References) > 0 {
			return nil, fmt.Errorf("imgbuild-guest says of the control %q what is not a server's to say: whether it counts, or is waived", f.Control)
		}
	}
	return a, nil
}

func read[T Question | Answer](r io.Reader, limit int64, into *T) error {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	if int64(len(data)) > limit {
		return fmt.Errorf("it is larger than %d bytes", limit)
	}
	// Windows' own programs put a byte order mark before what they write; RFC 8259, 8.1.
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if values(data) > maxValues {
		return fmt.Errorf("it has more than %d values", maxValues)
	}
	return strictjson.Read(data, into)
}

// values counts what begins an object, a list or a further member of one.
func values(data []byte) int {
	count, text := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case !text && (c == '{' || c == '[' || c == ','):
			count++
		}
	}
	return count
}

// Check holds the controls against a system. All of them look at the same walk
// of its files and at one state of its packages.
func Check(ctx context.Context, r system.Reader, q *Question) (*Answer, error) {
	controls, err := q.decode()
	if err != nil {
		return nil, err
	}
	r = dpkg.Remember(sweep.Remember(r))
	a := &Answer{Format: Format}
	for _, c := range controls {
		found, err := c.Check(ctx, r)
		if err != nil {
			return nil, err
		}
		a.Findings = append(a.Findings, found)
	}
	return a, nil
}

// Apply brings a system into the state of the controls, in order, and tells
// what it changed also when one of them fails.
func Apply(ctx context.Context, s system.System, q *Question) (*Answer, error) {
	controls, err := q.decode()
	if err != nil {
		return nil, err
	}
	a := &Answer{Format: Format}
	for _, c := range controls {
		changed, err := c.Apply(ctx, s)
		if changed {
			a.Changed = append(a.Changed, c.ID)
		}
		if err != nil {
			a.Error = err.Error()
			return a, err
		}
	}
	return a, nil
}

// Manifest takes the manifest of a running system.
func Manifest(ctx context.Context, r system.Reader, q *Question) (*Answer, error) {
	rules, err := integrity.Rules(nil).With(q.Rules...)
	if err != nil {
		return nil, err
	}
	entries, err := tree.Live(ctx, r, rules)
	if err != nil {
		return nil, err
	}
	manifest, err := integrity.NewManifest(entries, rules)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	if err := manifest.WriteMtree(&b); err != nil {
		return nil, err
	}
	return &Answer{Format: Format, Manifest: b.String()}, nil
}

// Inventory takes the inventory of a system.
func Inventory(ctx context.Context, r system.Reader) (*Answer, error) {
	if os := system.OSOf(r); os != system.Linux {
		return nil, fault.Inputf("an inventory is of packages, units and accounts of Linux, and this system is %s", os)
	}
	taken, err := inventory.Take(ctx, r)
	if err != nil {
		return nil, err
	}
	return &Answer{Format: Format, Inventory: taken}, nil
}

// decode finds the controls of the question in its sources.
func (q *Question) decode() ([]provisioners.Control, error) {
	var sources []control.Source
	for _, s := range q.Sources {
		files, err := s.open()
		if err != nil {
			return nil, err
		}
		sources = append(sources, control.Source{Name: s.Name, Files: files})
	}
	set, err := control.Load(sources...)
	if err != nil {
		return nil, err
	}
	var chosen []*control.Control
	asked := map[string]bool{}
	for _, id := range q.Controls {
		if asked[id] {
			return nil, fault.Inputf("the question asks twice for the control %q", id)
		}
		asked[id] = true
		c := set.Controls[id]
		if c == nil {
			return nil, fault.Inputf("the question has no definition of the control %q", id)
		}
		chosen = append(chosen, c)
	}
	tree, err := node.Parse("vars", nil, "vars", []byte(q.Vars))
	if err != nil {
		return nil, err
	}
	vars := node.Vars{}
	for _, e := range tree.Entries {
		vars[e.Key] = e.Value
	}
	return provisioners.DecodeControls(chosen, vars)
}
