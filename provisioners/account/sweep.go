package account

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/system"
)

// Sweep is one rule that all accounts of a system obey, by the rule's name.
// Most rules can be brought about; one that can be judged only (two users of
// one number) makes Apply fail and say what a person has to decide.
type Sweep struct {
	Name string `json:"-"`
	// Except are users, or groups where the rule is about groups.
	Except []string `json:"except,omitempty" jsonschema_description:"names that the rule is not about"`
	// AtMost is of session-timeout, in seconds.
	AtMost *int `json:"at-most,omitempty" jsonschema_description:"of session-timeout: the longest time without input, in seconds; default 900"`

	rule sweepRule
}

// sweepRule is how a rule is judged and, where it can be, brought about.
type sweepRule struct {
	name  string
	check func(s *survey) error
	// mend may be nil.
	mend func(s *survey, sys system.System) error
}

// sweepRules are all rules.
func sweepRules() []sweepRule {
	return []sweepRule{
		{"unique-uids", (*survey).uniqueUIDs, nil},
		{"unique-gids", (*survey).uniqueGIDs, nil},
		{"unique-user-names", (*survey).uniqueUsers, nil},
		{"unique-group-names", (*survey).uniqueGroups, nil},
		{"primary-groups-exist", (*survey).primaryGroups, nil},
		{"only-root-has-uid-0", (*survey).rootUID, nil},
		{"only-root-has-gid-0", (*survey).rootGID, nil},
		{"only-group-root-has-gid-0", (*survey).rootGroup, nil},
		{"strong-hashes", (*survey).strongHashes, nil},
		{"passwords-shadowed", (*survey).shadowed, (*survey).mendShadowed},
		{"no-empty-passwords", (*survey).noEmpty, (*survey).mendAccounts},
		{"root-password", (*survey).rootPassword, (*survey).mendAccounts},
		{"shadow-group-empty", (*survey).shadowGroup, (*survey).mendAccounts},
		{"system-accounts-no-shell", (*survey).systemShells, (*survey).mendAccounts},
		{"system-accounts-locked", (*survey).systemLocked, (*survey).mendAccounts},
		{"no-shell-accounts-locked", (*survey).noShellLocked, (*survey).mendAccounts},
		{"nologin-no-shell", (*survey).nologinListed, (*survey).mendShells},
		{"home-directories", (*survey).homes, (*survey).mendHomes},
		{"dot-files", (*survey).dotFiles, (*survey).mendModes},
		{"root-path", (*survey).rootPath, nil},
		{"root-umask", (*survey).rootUmask, (*survey).mendRootUmask},
		{"default-umask", (*survey).umask, (*survey).mendUmask},
		{"session-timeout", (*survey).timeout, (*survey).mendTimeout},
	}
}

// NewSweep decodes the rule called e.Key.
func NewSweep(e node.Entry) (*Sweep, error) {
	s := &Sweep{Name: e.Key}
	if err := node.Decode(e.Value, s); err != nil {
		return nil, err
	}
	p := &node.Problems{}
	var names []string
	for _, r := range sweepRules() {
		names = append(names, r.name)
		if r.name == e.Key {
			s.rule = r
		}
	}
	if s.rule.check == nil {
		p.Addf(e.Pos, "%q is not a rule for accounts%s", e.Key, node.Suggest(e.Key, names))
	}
	for _, name := range s.Except {
		if !validName.MatchString(name) {
			p.Addf(e.Value.At("except"), "%q is not the name of a user or group", name)
		}
	}
	if s.AtMost != nil && (e.Key != "session-timeout" || *s.AtMost < 1) {
		p.Addf(e.Value.At("at-most"), `"at-most" is of session-timeout, in seconds`)
	}
	return s, p.Err()
}

// Identity is the rule's.
func (s *Sweep) Identity() string { return "accounts " + s.Name }

// survey is what the rules look at, and what they find.
type survey struct {
	sweep *Sweep
	r     system.Reader
	*database
	defs   map[string][]string
	people int // the lowest number of a person
	shells map[string]bool
	found  []system.Difference
	// mends change the accounts in memory so that what was found is gone.
	mends []func()
	// modes are what files should have, missing the accounts without a home.
	modes   []attribute
	missing [][]string
}

// attribute is what a file should have.
type attribute struct {
	name string
	system.Attr
}

func newSurvey(s *Sweep, r system.Reader) (*survey, error) {
	v := &survey{sweep: s, r: r}
	var err error
	if v.database, err = open(r); err != nil {
		return nil, err
	}
	if v.defs, err = defs(r); err != nil {
		return nil, err
	}
	if v.people, err = firstRegular(v.defs); err != nil {
		return nil, err
	}
	if v.shells, err = loginShells(r); err != nil {
		return nil, err
	}
	if err := elsewhere(r); err != nil {
		return nil, err
	}
	return v, v.whole()
}

// userRecords are where systemd-userdbd.service(8) takes further accounts from,
// which nss-systemd(8) gives to every program.
var userRecords = []string{"/etc/userdb", "/run/userdb", "/usr/local/lib/userdb", "/usr/lib/userdb"}

// elsewhere refuses a system with accounts, or members of groups, that are in none
// of the four files.
func elsewhere(r system.Reader) error {
	for _, dir := range userRecords {
		names, err := system.Names(r, dir)
		if err != nil {
			return fmt.Errorf("looking for accounts: %w", err)
		}
		for _, name := range names {
			if slices.Contains([]string{".user", ".group", ".membership"}, path.Ext(name)) {
				return fmt.Errorf("looking for accounts: %s brings in one that cannot be told; make it one of %s", path.Join(dir, name), passwdFile)
			}
		}
	}
	return nil
}

// whole refuses databases with records that programs read in different ways.
func (v *survey) whole() error {
	for _, f := range []struct {
		*table
		fields int
	}{{v.passwd, 7}, {v.group, 4}, {v.shadow, 9}, {v.gshadow, 4}} {
		for _, record := range f.lines {
			if nis(record) {
				return fmt.Errorf("reading %s: a line that begins with %s brings in accounts of NIS, which cannot be told; take it out", f.name, record[0][:1])
			}
			if len(record) != f.fields {
				return fmt.Errorf("reading %s: the record of %s has %d fields", f.name, called(record), len(record))
			}
		}
	}
	for _, t := range []*table{v.passwd, v.group} {
		for _, record := range t.lines {
			if _, err := t.id(record, 2); err != nil {
				return err
			}
		}
	}
	for _, record := range v.passwd.lines {
		if _, err := v.passwd.id(record, 3); err != nil {
			return err
		}
	}
	return nil
}

func (v *survey) differ(subject, have, want string, mend ...func()) {
	v.found = append(v.found, system.Difference{Subject: subject, Have: have, Want: want})
	v.mends = append(v.mends, mend...)
}

func (v *survey) excepted(name string) bool { return slices.Contains(v.sweep.Except, name) }

// uid is a record's number; newSurvey has seen that it is one.
func uid(record []string) int {
	n, _ := strconv.Atoi(record[2])
	return n
}

// isSystem tells whether an account is a service's: below the first person's
// number, or nobody.
func (v *survey) isSystem(record []string) bool {
	const nobody = 65534
	n := uid(record)
	return n != 0 && (n < v.people || n == nobody)
}

// loginShell is a record's shell; an empty one is /bin/sh (passwd(5)).
func loginShell(record []string) string {
	if record[6] == "" {
		return "/bin/sh"
	}
	return record[6]
}

// Check tells which accounts break the rule.
func (s *Sweep) Check(ctx context.Context, r system.Reader) ([]system.Difference, error) {
	v, err := s.survey(ctx, r)
	if err != nil {
		return nil, err
	}
	return v.found, nil
}

func (s *Sweep) survey(ctx context.Context, r system.Reader) (*survey, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v, err := newSurvey(s, r)
	if err != nil {
		return nil, err
	}
	return v, s.rule.check(v)
}

// Apply brings the accounts to obey. What only a person can decide is an
// error.
func (s *Sweep) Apply(ctx context.Context, sys system.System) (bool, error) {
	v, err := s.survey(ctx, sys)
	if err != nil || len(v.found) == 0 {
		return false, err
	}
	if s.rule.mend == nil {
		return false, undecided(v.found[0])
	}
	if err := s.rule.mend(v, sys); err != nil {
		return false, err
	}
	left, err := s.Check(ctx, sys)
	if err == nil && len(left) > 0 {
		err = undecided(left[0])
	}
	return true, err
}

func undecided(d system.Difference) error {
	return fault.Failedf("%s; a person has to decide how to change that", d).
		WithHint("change the accounts with resources of users, groups and files, or add an exception")
}

// mendAccounts carries out the changes that the check noted.
func (v *survey) mendAccounts(sys system.System) error {
	for _, mend := range v.mends {
		mend()
	}
	return v.write(sys)
}
