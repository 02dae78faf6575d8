// Package accounts keeps the numbers of users and groups from one bake to the
// next, so that volumes outlive the servers they are mounted on: what scripts
// and resources made gets the numbers that the lock has for it.
package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"imgbuild/images/fault"
	"imgbuild/images/updates"
)

// Accounts are the users of passwd(5) and the groups of group(5), name to
// number.
type Accounts struct {
	Users, Groups map[string]int
}

// Read reads the accounts of the root directory dir; without account files
// there are none.
func Read(dir string) (_ *Accounts, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	return read(root, "etc/passwd", "etc/group")
}

// Add adds names, so that Settle leaves them alone.
func (a *Accounts) Add(users, groups []string) {
	for _, name := range users {
		a.Users[name] = 0
	}
	for _, name := range groups {
		a.Groups[name] = 0
	}
}

func read(root *os.Root, passwd, group string) (*Accounts, error) {
	a := &Accounts{}
	for name, numbers := range map[string]*map[string]int{passwd: &a.Users, group: &a.Groups} {
		data, err := readFile(root, name)
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

// maxFile is the largest account file that is read, in bytes.
const maxFile = 16 << 20

// readFile returns nil when there is no such file. Scripts have run in the
// root: what is no plain file of a sensible size is refused.
func readFile(root *os.Root, name string) (_ []byte, err error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fault.Failedf("reading accounts: /%s is no plain file of at most %d bytes", name, maxFile)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("reading accounts: %w", err)
	}
	return data, nil
}

// The numbers that are handed out to whoever asks: to system accounts, and to
// people. Those below and above are the same everywhere (Debian policy, 9.2.2).
const (
	firstSystem = 100
	lastSystem  = 999
	lastRegular = 59999
)

func dynamic(n int) bool { return firstSystem <= n && n <= lastRegular }

// made returns the accounts that before lacks, by name.
func (a *Accounts) made(before *Accounts) []updates.Account {
	byName := map[string]*updates.Account{}
	account := func(name string) *updates.Account {
		if byName[name] == nil {
			byName[name] = &updates.Account{Name: name}
		}
		return byName[name]
	}
	for name, n := range a.Users {
		if _, known := before.Users[name]; !known && dynamic(n) {
			account(name).UID = &n
		}
	}
	for name, n := range a.Groups {
		if _, known := before.Groups[name]; !known && dynamic(n) {
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

// Settle gives the accounts that came into the root directory dir since before
// was read the numbers that locked has for them, and returns them as they are
// then, without a layer. Nothing else changes the root meanwhile. Those in
// before keep their numbers.
func Settle(dir string, before *Accounts, locked []updates.Account) (_ []updates.Account, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("renumbering accounts: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	now, err := read(root, "etc/passwd", "etc/group")
	if err != nil {
		return nil, err
	}
	// Those that every Debian system has are made with the first layer, and
	// never with another number.
	static, err := read(root, "usr/share/base-passwd/passwd.master", "usr/share/base-passwd/group.master")
	if err != nil {
		return nil, err
	}
	maps.Copy(static.Users, before.Users)
	maps.Copy(static.Groups, before.Groups)
	made := now.made(static)
	fixed := map[string]updates.Account{}
	for _, a := range locked {
		fixed[a.Name] = a
	}
	// A number that the lock has for another account is not free: a new
	// account that got it by chance moves away.
	users, err := renumbering("user", now.Users, func(a updates.Account) *int { return a.UID }, made, fixed)
	if err != nil {
		return nil, err
	}
	groups, err := renumbering("group", now.Groups, func(a updates.Account) *int { return a.GID }, made, fixed)
	if err != nil {
		return nil, err
	}
	if len(users)+len(groups) == 0 {
		return made, nil
	}
	if err := renumber(root, dir, users, groups); err != nil {
		return nil, fmt.Errorf("renumbering accounts: %w", err)
	}
	if now, err = read(root, "etc/passwd", "etc/group"); err != nil {
		return nil, err
	}
	return now.made(static), nil
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
			return nil, fault.Worldf("the lock numbers %s %s as %d, which is %s's", kind, other, n, name).
				WithHint("give %s another number, or take %s out of the lock's accounts, which changes its number", name, other)
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
			free, ok := nearest(to, a.Name, taken)
			if !ok {
				return nil, fault.Failedf("no number is left for %s %s", kind, a.Name)
			}
			to = free
		}
		taken[to] = a.Name
		if to != *old {
			moves[*old] = to
		}
	}
	return moves, nil
}

// nearest returns the number nearest to n, of n's own range and from n upward
// first, that nobody but name has.
func nearest(n int, name string, taken map[int]string) (int, bool) {
	first, last := firstSystem, lastSystem
	if n > lastSystem {
		first, last = lastSystem+1, lastRegular
	}
	free := func(n int) bool { other, ok := taken[n]; return !ok || other == name }
	for to := n; to <= last; to++ {
		if free(to) {
			return to, true
		}
	}
	for to := n - 1; to >= first; to-- {
		if free(to) {
			return to, true
		}
	}
	return 0, false
}
