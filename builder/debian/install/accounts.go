package install

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// accounts are the users of passwd(5) and the groups of group(5), name to
// number.
type accounts struct {
	users, groups map[string]int
}

func readAccounts(r *root) (*accounts, error) {
	return readAccountFiles(r, "etc/passwd", "etc/group")
}

func readAccountFiles(r *root, passwd, group string) (*accounts, error) {
	a := &accounts{}
	for name, numbers := range map[string]*map[string]int{passwd: &a.users, group: &a.groups} {
		data, err := r.read(name)
		if err != nil {
			return nil, err
		}
		*numbers = map[string]int{}
		for line := range strings.Lines(string(data)) {
			f := strings.Split(line, ":")
			if len(f) < 3 {
				continue
			}
			if (*numbers)[f[0]], err = strconv.Atoi(f[2]); err != nil {
				return nil, fmt.Errorf("reading /%s: account %s: %w", name, f[0], err)
			}
		}
	}
	return a, nil
}

// firstDynamic and lastDynamic bound the numbers that scripts hand out to
// system accounts (Debian policy, 9.2.2). Those below are the same everywhere.
const firstDynamic, lastDynamic = 100, 999

// made returns the accounts that before lacks, by name.
func (a *accounts) made(before *accounts) []updates.Account {
	byName := map[string]*updates.Account{}
	account := func(name string) *updates.Account {
		if byName[name] == nil {
			byName[name] = &updates.Account{Name: name}
		}
		return byName[name]
	}
	dynamic := func(n int) bool { return firstDynamic <= n && n <= lastDynamic }
	for name, n := range a.users {
		if _, known := before.users[name]; !known && dynamic(n) {
			account(name).UID = &n
		}
	}
	for name, n := range a.groups {
		if _, known := before.groups[name]; !known && dynamic(n) {
			account(name).GID = &n
		}
	}
	var all []updates.Account
	for _, v := range byName {
		all = append(all, *v)
	}
	slices.SortFunc(all, func(a, b updates.Account) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// settleAccounts gives the accounts made by this layer the numbers that
// Options.Accounts has for them and returns them.
func (l *layer) settleAccounts(before *accounts) ([]updates.Account, error) {
	now, err := readAccounts(l.root)
	if err != nil {
		return nil, err
	}
	// Those that every Debian system has are made with the first layer, and
	// never with another number.
	static, err := readAccountFiles(l.root, "usr/share/base-passwd/passwd.master", "usr/share/base-passwd/group.master")
	if err != nil {
		return nil, err
	}
	maps.Copy(before.users, static.users)
	maps.Copy(before.groups, static.groups)
	made := now.made(before)
	fixed := map[string]updates.Account{}
	for _, a := range l.Accounts {
		fixed[a.Name] = a
	}
	// A number that the lock has for an account of another layer is not free:
	// a new account that got it by chance moves away.
	users, err := renumbering("user", now.users, func(a updates.Account) *int { return a.UID }, made, fixed)
	if err != nil {
		return nil, err
	}
	groups, err := renumbering("group", now.groups, func(a updates.Account) *int { return a.GID }, made, fixed)
	if err != nil {
		return nil, err
	}
	if len(users)+len(groups) == 0 {
		return made, nil
	}
	if err := l.renumber(users, groups); err != nil {
		return nil, fmt.Errorf("renumbering accounts: %w", err)
	}
	if now, err = readAccounts(l.root); err != nil {
		return nil, err
	}
	return now.made(before), nil
}

// renumbering returns which number becomes which. Accounts that have a fixed
// number get it; the others keep theirs unless it is fixed for somebody else.
func renumbering(kind string, now map[string]int, number func(updates.Account) *int, made []updates.Account, fixed map[string]updates.Account) (map[int]int, error) {
	taken := map[int]string{}
	for name, a := range fixed {
		if n := number(a); n != nil {
			taken[*n] = name
		}
	}
	isMade := map[string]bool{}
	for _, a := range made {
		isMade[a.Name] = number(a) != nil
	}
	for name, n := range now {
		if isMade[name] {
			continue
		}
		if other, ok := taken[n]; ok && other != name {
			return nil, fault.Worldf("the lock numbers %s %s as %d, which is %s's", kind, other, n, name)
		}
		taken[n] = name
	}
	moves := map[int]int{}
	for _, a := range made {
		old := number(a)
		if old == nil {
			continue
		}
		to := *old
		if want := number(fixed[a.Name]); want != nil {
			to = *want
		} else {
			for other, ok := taken[to]; ok && other != a.Name; other, ok = taken[to] {
				if to++; to > lastDynamic {
					return nil, fault.Failedf("no number is left for %s %s", kind, a.Name)
				}
			}
		}
		taken[to] = a.Name
		if to != *old {
			moves[*old] = to
		}
	}
	return moves, nil
}
