// Package openscap asks OpenSCAP for a second opinion of a finished output: it
// copies the tree out, has oscap(8) evaluate a data stream over it, without a
// network and in namespaces of its own, and puts what oscap says next to what
// this program says by the same sections of a benchmark. It brings no rules of
// its own, changes none of oscap's results, and decides nothing.
//
// What oscap says of a tree that does not run is not always about that tree.
// Rules that ask for processes, units or the kernel look at the scanner's own
// machine, or at nothing. Which these are is told by what their checks are made
// of (OVAL), not by their names, and they are listed apart.
package openscap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"imgbuild/builder/progress"
	"imgbuild/builder/sandbox"
	"imgbuild/builder/scratch"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Request says what is to be evaluated.
type Request struct {
	// Stream is the path of a SCAP source data stream.
	Stream string
	// Level is the highest that is asked for, 1 or 2.
	Level int
	// Dir is an existing directory with room for a copy of the tree.
	Dir string
	// Report is told how it goes.
	Report progress.Reporter
}

// Outcome is what oscap said.
type Outcome struct {
	// Engine is its name and version.
	Engine string
	Stream *Stream
	// Digest is the SHA-256 of the stream, in hex.
	Digest string
	// Profiles are those asked for, the highest first, with what each came to.
	Profiles []ProfileOutcome
}

// ProfileOutcome has the rules that a profile takes.
type ProfileOutcome struct {
	*Profile
	Rules map[string]RuleOutcome
}

// RuleOutcome is what came of one rule.
type RuleOutcome struct {
	Result string
	// Offline says that it can be told of a tree that does not run.
	Offline bool
	// Why are the tests that were not met.
	Why []string
}

// Available is nil where this machine has oscap; else it says how to get it.
func Available() error {
	if _, err := exec.LookPath("oscap"); err != nil {
		return fault.Failedf("OpenSCAP is not installed").WithHint("run: sudo apt-get install --no-install-recommends openscap-scanner")
	}
	return nil
}

var platformName = regexp.MustCompile(`^[a-z0-9]+-[0-9]+$`)

// Choose is the data stream for a platform in a directory that is laid out like
// scap-security-guide's: "ssg-debian12-ds.xml" for debian-12. It is "" when no
// directory is configured, and, which is noted, when it has none for the platform
// or this machine has no oscap.
func Choose(dir, platform string, report progress.Reporter) (string, error) {
	if dir == "" {
		return "", nil
	}
	if err := Available(); err != nil {
		report.Note("no second opinion: %v; %s", err, fault.HintOf(err))
		return "", nil
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fault.Inputf("openscap.content: there is no directory %s", dir)
	}
	// What calls itself by another name is not sought by it.
	path := filepath.Join(dir, "ssg-"+strings.ReplaceAll(platform, "-", "")+"-ds.xml")
	if _, err := os.Stat(path); !platformName.MatchString(platform) || errors.Is(err, os.ErrNotExist) {
		report.Note("no second opinion: %s has no data stream for %q", dir, platform)
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("looking for a data stream: %w", err)
	}
	return path, nil
}

// WorkPrefix begins the names of the directories that evaluations work in.
const WorkPrefix = "openscap-"

// Run evaluates a tree. It needs the namespaces of sandbox.Enter. The copy of the
// tree is gone when it returns.
func Run(ctx context.Context, tree system.Reader, r Request) (_ *Outcome, err error) {
	task := r.Report.Start("second opinion by OpenSCAP", 0, progress.Items)
	found, err := run(ctx, tree, r, task)
	if err != nil {
		err = fmt.Errorf("asking OpenSCAP: %w", err)
		task.Fail(err)
		return nil, err
	}
	task.Done(fmt.Sprintf("rules: %d", len(found.Profiles[0].Rules)))
	return found, nil
}

func run(ctx context.Context, tree system.Reader, r Request, task progress.Task) (_ *Outcome, err error) {
	if err := Available(); err != nil {
		return nil, err
	}
	if !sandbox.Entered() {
		return nil, errors.New("the program is not in its namespaces")
	}
	found := &Outcome{}
	if found.Stream, found.Digest, err = readStream(r.Stream); err != nil {
		return nil, err
	}
	profiles, err := found.Stream.Levels(r.Level)
	if err != nil {
		return nil, err
	}
	work, err := scratch.New(ctx, r.Dir, WorkPrefix, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, work.Close()) }()
	copied, err := copyOut(ctx, tree, work.Path)
	if err != nil {
		return nil, err
	}
	e, remove, err := newEvaluation(work.Path, copied, r.Stream)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(remove(), err) }()
	for _, p := range profiles {
		if err := found.evaluate(ctx, e, p, r.Report, task); err != nil {
			return nil, err
		}
	}
	return found, found.speaks(r.Stream)
}

// readStream reads a data stream and its digest.
func readStream(path string) (*Stream, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", fault.Inputf("opening the data stream").Because(err)
	}
	defer f.Close()
	h := sha256.New()
	s, err := ReadStream(io.TeeReader(f, h))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	if _, err := io.Copy(h, f); err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", path, err)
	}
	return s, hex.EncodeToString(h.Sum(nil)), nil
}

// copyOut copies the tree into a directory below another one, with what oscap asks of a
// machine that runs and the tree itself says: what is mounted where.
func copyOut(ctx context.Context, tree system.Reader, into string) (_ string, err error) {
	dir := filepath.Join(into, "tree")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := Extract(ctx, tree, dir); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return dir, writeMounts(root, tree)
}

// evaluate asks for one profile, unless another one has answered for it.
func (o *Outcome) evaluate(ctx context.Context, e *evaluation, p *Profile, report progress.Reporter, task progress.Task) error {
	for _, other := range o.Profiles {
		if o.Stream.within(p, other.Profile) {
			rules := map[string]RuleOutcome{}
			for id, r := range other.Rules {
				if p.selects[id] {
					rules[id] = r
				}
			}
			o.Profiles = append(o.Profiles, ProfileOutcome{p, rules})
			return nil
		}
	}
	results, parts, err := e.run(ctx, p.ID, report, task)
	if err != nil {
		return err
	}
	o.Engine = results.Engine
	rules, told := map[string]RuleOutcome{}, newTold(parts)
	for id, r := range results.Rules {
		if r.Value == "notselected" {
			continue
		}
		if o.Stream.Rules[id] == nil {
			return fmt.Errorf("oscap has a result for %q, which is no rule of the stream", id)
		}
		if rules[id], err = told.outcome(r); err != nil {
			return err
		}
	}
	o.Profiles = append(o.Profiles, ProfileOutcome{p, rules})
	return nil
}

// outcome judges what a rule came to.
func (t *told) outcome(r result) (RuleOutcome, error) {
	out := RuleOutcome{Result: r.Value, Offline: true}
	if r.Value == "notapplicable" || r.Value == "notchecked" {
		return out, nil
	}
	var err error
	if out.Offline, err = t.offline(r.checks); err != nil || r.Value != "fail" {
		return out, err
	}
	for _, c := range r.checks {
		if c.system == ovalSystem {
			out.Why = append(out.Why, t.failed(c.name)...)
		}
	}
	return out, nil
}

// speaks refuses what came of a stream for another system: nothing.
func (o *Outcome) speaks(stream string) error {
	for _, r := range o.Profiles[0].Rules {
		if r.Result != "notapplicable" && r.Result != "notchecked" {
			return nil
		}
	}
	return fault.Inputf("none of the %d rules of %s applies: it is for another system", len(o.Profiles[0].Rules), stream).
		WithHint("name the data stream of the system that is scanned")
}
