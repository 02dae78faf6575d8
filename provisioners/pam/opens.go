package pam

import (
	"slices"
	"strings"
)

// neutral are modules whose success says nothing of who has come.
var neutral = []string{
	"pam_access.so", "pam_cap.so", "pam_echo.so", "pam_env.so", "pam_faildelay.so", "pam_faillock.so", "pam_gnome_keyring.so",
	"pam_group.so", "pam_keyinit.so", "pam_kwallet5.so", "pam_lastlog.so", "pam_limits.so", "pam_listfile.so", "pam_localuser.so",
	"pam_loginuid.so", "pam_mail.so", "pam_mkhomedir.so", "pam_motd.so", "pam_namespace.so", "pam_nologin.so", "pam_permit.so",
	"pam_securetty.so", "pam_selinux.so", "pam_sepermit.so", "pam_shells.so", "pam_succeed_if.so", "pam_systemd.so", "pam_time.so",
	"pam_umask.so", "pam_usertype.so", "pam_warn.so", "pam_wheel.so",
}

// refusals are the results by which a module says no.
var refusals = []string{"auth_err", "perm_denied", "maxtries", "acct_expired", "cred_insufficient"}

// verdict is what the lines of a stack have come to.
type verdict byte

const (
	undecided verdict = iota
	success
	// replaced is another result that does not fail the stack by itself.
	replaced
	failed
)

// run is a place in a stack and what was come to before it.
type run struct {
	at   int
	come verdict
	// saved are the verdicts at the beginning of the substacks that the place is
	// in, one a byte.
	saved string
}

// opens tells whether a stack succeeds though every module that could prove who
// has come, or that he may, refuses him. Jumps count as in the first run of a
// stack: they decide nothing themselves (pam.conf(5)).
func opens(stack []*line) bool {
	if !slices.Contains([]string{"auth", "account"}, stack[0].kind) {
		return false
	}
	seen := map[run]bool{}
	todo := []run{enter(stack, run{}, "")}
	for len(todo) > 0 {
		now := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[now] {
			continue
		}
		seen[now] = true
		if now.at == len(stack) {
			if now.come == success {
				return true
			}
			continue
		}
		one := stack[now.at]
		results := refusals
		if slices.Contains(neutral, one.name()) || one.name() == "pam_deny.so" {
			results = one.outcomes()
		}
		for _, result := range results {
			todo = append(todo, enter(stack, now.after(stack, result), one.scope))
		}
	}
	return false
}

// after is where a run is after a result of the line that it is at.
func (now run) after(stack []*line, result string) run {
	next := run{now.at + 1, now.come, now.saved}
	action := stack[now.at].control.of(result)
	switch action {
	case "bad", "die":
		next.come = failed
	case "reset":
		next.come = undecided
		if n := len(now.saved); n > 0 {
			next.come = verdict(now.saved[n-1])
		}
	case "ok", "done":
		switch {
		case result == "ignore" || now.come > success:
		case result == "success":
			next.come = success
		default:
			next.come = replaced
		}
	}
	if action == "done" && (next.come == undecided || next.come == failed) {
		return next // what has failed goes on to its end
	}
	bad := false
	if next.at, bad = follow(stack, now.at, result); bad {
		next.come = failed
	}
	return next
}

// enter notes the verdict at the beginning of each substack that a run comes into,
// and forgets those that it leaves.
func enter(stack []*line, to run, from string) run {
	if to.at == len(stack) {
		to.saved = ""
		return to
	}
	before, now := strings.Split(from, "/"), strings.Split(stack[to.at].scope, "/")
	same := 1 // all begin with the service's own
	for same < min(len(before), len(now)) && before[same] == now[same] {
		same++
	}
	to.saved = to.saved[:same-1] + strings.Repeat(string(rune(to.come)), len(now)-same)
	return to
}
