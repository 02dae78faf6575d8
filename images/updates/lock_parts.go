package updates

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"imgbuild/images/fault"
)

// SuiteDate is the date of the distribution's own release file (not of its
// updates), in seconds since 1970. It moves only with a point release, which
// makes it the time stamp of everything that a bake generates: a security
// update alone does not change files that it does not touch.
func (l *Lock) SuiteDate() (int64, error) {
	for _, r := range l.Releases {
		if r.Suite != l.Suite {
			continue
		}
		date, err := time.Parse(time.RFC3339, r.Date)
		if err != nil {
			return 0, fault.Inputf("lock of %s: date of release %s", l.Baseline, r.Suite).Because(err)
		}
		return date.Unix(), nil
	}
	return 0, fault.Inputf("lock of %s names no release of suite %s", l.Baseline, l.Suite).
		WithHint("make it anew: imgbuild lock %s", l.Baseline)
}

// Digest is the SHA-256 of the lock's file in lower-case hex, which names the lock in
// records. A bake that enters numbers of accounts makes it another file.
func (l *Lock) Digest() string {
	sum := sha256.Sum256(l.Marshal())
	return hex.EncodeToString(sum[:])
}

// InSet returns the packages of a set.
func (l *Lock) InSet(set Set) []Package {
	return l.choose(func(p Package) bool { return p.Set == set })
}

// InLayer returns the packages of a layer.
func (l *Lock) InLayer(layer string) []Package {
	return l.choose(func(p Package) bool { return p.Layer == layer && p.Set != Tools })
}

func (l *Lock) choose(wanted func(Package) bool) []Package {
	var out []Package
	for _, p := range l.Packages {
		if wanted(p) {
			out = append(out, p)
		}
	}
	return out
}

// LayersOf returns the layers that hold packages of a set, in their order.
func (l *Lock) LayersOf(set Set) []string {
	var out []string
	for _, name := range l.Layers {
		if slices.ContainsFunc(l.Packages, func(p Package) bool { return p.Layer == name && p.Set == set }) {
			out = append(out, name)
		}
	}
	return out
}

// HasAccountsOf says whether accounts may be of a layer: it is one of the lock's
// own, or the recipe's.
func (l *Lock) HasAccountsOf(layer string) bool {
	return layer == MadeByRecipe || layer == MadeByBoot || slices.Contains(l.Layers, layer)
}

// AccountsIn returns the accounts that a layer made.
func (l *Lock) AccountsIn(layer string) []Account {
	var out []Account
	for _, a := range l.Accounts {
		if a.Layer == layer {
			out = append(out, a)
		}
	}
	return out
}

// WithAccounts returns a copy of the lock in which the accounts are exactly
// those that the layer made, and says whether that is a change.
func (l *Lock) WithAccounts(layer string, made []Account) (*Lock, bool) {
	names := map[string]bool{}
	var accounts []Account
	for _, a := range made {
		a.Layer = layer
		names[a.Name] = true
		accounts = append(accounts, a)
	}
	for _, a := range l.Accounts {
		if a.Layer != layer && !names[a.Name] {
			accounts = append(accounts, a)
		}
	}
	slices.SortFunc(accounts, func(a, b Account) int { return cmp.Compare(a.Name, b.Name) })
	next := *l
	next.Accounts = accounts
	return &next, !slices.EqualFunc(l.Accounts, accounts, Account.Equal)
}

// Equal says whether two accounts are the same, numbers and all.
func (a Account) Equal(b Account) bool { return a.String() == b.String() }

// String is the account on one line: "www-data uid 33 gid 33 in debian-12".
func (a Account) String() string {
	text := a.Name
	if a.UID != nil {
		text += fmt.Sprintf(" uid %d", *a.UID)
	}
	if a.GID != nil {
		text += fmt.Sprintf(" gid %d", *a.GID)
	}
	return text + " in " + a.Layer
}
