package life

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"imgbuild/images/control"
	"imgbuild/images/strictjson"
)

// RecordFormat is the number of the format of records that this code writes.
const RecordFormat = 1

// The limits of a record.
const (
	maxUpdates = 20_000
	maxWords   = 2000 // bytes of a text
	maxList    = 20_000
	// MaxAfter is how many records a record may name as known.
	MaxAfter = 64
)

// Action is what a record says was done.
type Action string

// The actions.
const (
	// Discovered: it was seen in a repository.
	Discovered Action = "discovered"
	// Evaluated: it is known which baselines it applies to, and why.
	Evaluated Action = "evaluated"
	// Trialled: a lock with it was baked, scanned and started.
	Trialled Action = "trialled"
	// Approved and Rejected are decisions.
	Approved Action = "approved"
	Rejected Action = "rejected"
	// Held puts off a decision until a day.
	Held Action = "held"
	// Reopened ends the holds and rejections that it names in After: whoever takes a
	// word back has heard it.
	Reopened Action = "reopened"
)

var actions = []Action{Discovered, Evaluated, Trialled, Approved, Rejected, Held, Reopened}

// Rule says by what right a record approves.
type Rule string

// The rules.
const (
	// ByPerson is a person's decision about these updates.
	ByPerson Rule = "person"
	// ByPolicy is what "auto-approve:" of the policy allows.
	ByPolicy Rule = "policy"
	// ByFirstLock is a baseline's first lock, which keeps what it has, for that
	// baseline, by who made it.
	ByFirstLock Rule = "first-lock"
	// ByOpenLock is a lock made while policy.mode was open.
	ByOpenLock Rule = "open-lock"
)

var rules = []Rule{ByPerson, ByPolicy, ByFirstLock, ByOpenLock}

// Record is one step in the life of one or more updates. It is signed as it
// stands, and never changed; the digest of its envelope is its name.
type Record struct {
	Format  int      `json:"format"`
	Action  Action   `json:"action"`
	Updates []Update `json:"updates"`
	// Who is who made the record in their own words: user@machine or a name. Who it
	// counts as is told by the key.
	Who string `json:"who"`
	// When is the signer's clock, in UTC and whole seconds: their own word.
	When time.Time `json:"when"`
	// Why is in the signer's own words.
	Why string `json:"why"`
	// After names the newest records that were known when this one was made, by
	// their digests: what they stand on, they cannot be put before.
	After []string `json:"after,omitempty"`
	// Basis is what the step is based on.
	Basis Basis `json:"basis,omitzero"`
	// Evaluations are of Evaluated: one for each of Updates, in their order.
	Evaluations []Evaluation `json:"evaluations,omitempty"`
	// Trial is of Trialled.
	Trial *Trial `json:"trial,omitempty"`
	// Rule is of Approved.
	Rule Rule `json:"rule,omitempty"`
	// Until is of Held: when the hold ends by itself.
	Until time.Time `json:"until,omitzero"`
}

// Basis is what a step is based on; each may be empty.
type Basis struct {
	// Advisories are ids such as DSA-5678-1 or CVE-2026-1234.
	Advisories []string `json:"advisories,omitempty"`
	// Trial is the id of a trial, Lock the SHA-256 of a lock file.
	Trial string `json:"trial,omitempty"`
	Lock  string `json:"lock,omitempty"`
	// Baseline and Architecture are whose lock that is.
	Baseline     string `json:"baseline,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	// Policy is the rule in words that allowed what no person decided.
	Policy string `json:"policy,omitempty"`
}

// Evaluation is what is known of one update.
type Evaluation struct {
	// Applies are the baselines that it applies to; at least one.
	Applies []Applies `json:"applies"`
	Facts   Facts     `json:"facts,omitzero"`
}

// Applies is one baseline that an update applies to.
type Applies struct {
	Baseline string `json:"baseline"`
	// Architecture is the lock's.
	Architecture string `json:"architecture"`
	// Has is the version in its lock; empty where the update is newly needed.
	Has string `json:"has,omitempty"`
	// Sets are what the package is for there: root, boot, tools.
	Sets []string `json:"sets"`
	Why  string   `json:"why"`
}

// Facts is how much an update matters, as far as that is known.
type Facts struct {
	// Security says that it comes from a security suite, or fixes what an advisory
	// names.
	Security bool `json:"security,omitempty"`
	// Advisories are what it fixes in some baseline, and Severity is the worst of
	// them; empty when that is not known, which is not the least.
	Advisories []string         `json:"advisories,omitempty"`
	Severity   control.Severity `json:"severity,omitempty"`
	// Exploited says that one of them is known to be exploited.
	Exploited bool `json:"exploited,omitempty"`
}

// Encode writes a record that Check finds nothing wrong with.
func (r *Record) Encode() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("writing record: %w", err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("writing record: %w", err)
	}
	return data, nil
}

// Decode reads a record and checks it. Keys that are not known are refused: what
// they would change is not known either.
func Decode(data []byte) (*Record, error) {
	r := &Record{}
	if err := strictjson.Read(data, r); err != nil {
		return nil, fmt.Errorf("reading record: %w", err)
	}
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("reading record: %w", err)
	}
	return r, nil
}

// text refuses what is too long, and what would command a terminal.
func text(what, s string) error {
	if len(s) > maxWords {
		return fmt.Errorf("%s has %d bytes, the limit is %d", what, len(s), maxWords)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s holds a character that cannot be printed", what)
	}
	return nil
}
