package pam

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// results are what a module can return, as pam.conf(5) spells it; "default"
// stands for all that are not named.
var results = []string{
	"success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err",
	"cred_insufficient", "authinfo_unavail", "user_unknown", "maxtries", "new_authtok_reqd", "acct_expired",
	"session_err", "cred_unavail", "cred_expired", "cred_err", "no_module_data", "conv_err", "authtok_err",
	"authtok_recover_err", "authtok_lock_busy", "authtok_disable_aging", "try_again", "ignore", "abort",
	"authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete", "default",
}

// actions are what follows a result, besides a number of lines to jump over.
var actions = []string{"ignore", "bad", "die", "ok", "done", "reset"}

// jump is every action that is a number: two controls that differ in it alone
// are the same one, for it follows from what stands around the line.
const jump = "jump"

// words are the controls of one word by what they stand for.
var words = map[string]map[string]string{
	"required":   {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "bad"},
	"requisite":  {"success": "ok", "new_authtok_reqd": "ok", "ignore": "ignore", "default": "die"},
	"sufficient": {"success": "done", "new_authtok_reqd": "done", "default": "ignore"},
	"optional":   {"success": "ok", "new_authtok_reqd": "ok", "default": "ignore"},
}

// control is what a module's result means for the stack.
type control struct {
	// word is a control of one word, "" for one in brackets.
	word string
	// action is by result.
	action map[string]string
	// jumps is how far a result that jumps does.
	jumps map[string]int
}

// equals may have white space around it.
var equals = regexp.MustCompile(`\s*=\s*`)

// parseControl reads a control; in brackets case counts. "end" is a jump as profiles of
// pam-auth-update(8) write it: to the end of the block.
func parseControl(text string) (control, error) {
	inside, ok := strings.CutPrefix(text, "[")
	if !ok {
		word := strings.ToLower(text)
		if word == "include" || word == "substack" {
			return control{word: word}, nil
		}
		if words[word] == nil {
			return control{}, fmt.Errorf("%q is not a control", text)
		}
		return control{word: word, action: words[word]}, nil
	}
	c := control{action: map[string]string{}, jumps: map[string]int{}}
	for _, pair := range strings.Fields(equals.ReplaceAllString(strings.TrimSuffix(inside, "]"), "=")) {
		result, action, ok := strings.Cut(pair, "=")
		switch {
		case !ok || !slices.Contains(results, result):
			return control{}, fmt.Errorf("%q is not a result with an action", pair)
		case slices.Contains(actions, action):
			c.action[result] = action
		case action == "end":
			c.action[result] = jump
		default:
			n, err := strconv.Atoi(action)
			if err != nil || n < 1 || n > maxLines {
				return control{}, fmt.Errorf("%q is neither an action nor a number of lines", action)
			}
			c.action[result], c.jumps[result] = jump, n
		}
	}
	return c, nil
}

// of is the action that follows a result.
func (c control) of(result string) string {
	if a, ok := c.action[result]; ok {
		return a
	}
	if a, ok := c.action["default"]; ok {
		return a
	}
	// A result that nothing is said about fails the stack.
	return "bad"
}

// meets tells whether a control does what is wanted: the same actions, jumps
// of any length; requisite does all that required does.
func (c control) meets(want control) bool {
	same := func(other map[string]string) bool {
		return maps.Equal(c.full(), control{action: other}.full())
	}
	if same(want.action) {
		return true
	}
	return maps.Equal(want.full(), control{action: words["required"]}.full()) && same(words["requisite"])
}

// full says the action of every result, so that two spellings compare.
func (c control) full() map[string]string {
	m := make(map[string]string, len(results))
	for _, r := range results {
		if r != "default" {
			m[r] = c.of(r)
		}
	}
	return m
}

// unreachable tells why a line is not run for somebody whom the stack lets in,
// "" where that cannot be told: no way through the stack leads to it, or a
// success that proves who the user is ends the stack before.
func unreachable(stack []*line, at int) string {
	reached := make([]bool, len(stack)+1)
	reached[0] = true
	for i, l := range stack[:at] {
		if !reached[i] {
			continue
		}
		asks := !l.decidesForSome() && slices.Contains(neutral, l.name())
		for _, result := range l.outcomes() {
			next, _ := follow(stack, i, result)
			if reached[next] = true; asks && next > at && l.control.of(result) == jump {
				return fmt.Sprintf("some jump over it by %s in %s, which asks for no proof", l.name(), l.file)
			}
		}
		inside := l.scope == stack[at].scope || strings.HasPrefix(stack[at].scope, l.scope+"/")
		if inside && !l.decidesForSome() && l.control.of("success") == "done" {
			return fmt.Sprintf("the success of %s in %s ends the stack before it", l.name(), l.file)
		}
	}
	if !reached[at] {
		return "lines before it end the stack or jump over it in every case"
	}
	return ""
}

// decidesForSome tells of modules whose success is meant to end a stack: for root,
// who needs no proof, and for what has been proved by jumps.
func (l *line) decidesForSome() bool {
	switch l.name() {
	case "pam_rootok.so", "pam_permit.so":
		return true
	case "pam_succeed_if.so":
		said := strings.Join(l.args, " ")
		return strings.Contains(said, "uid = 0") || strings.Contains(said, "uid eq 0") || strings.Contains(said, "user = root")
	}
	return false
}

// outcomes are the results that a module can return.
func (l *line) outcomes() []string {
	switch l.name() {
	case "pam_permit.so":
		return []string{"success"}
	case "pam_deny.so":
		return []string{map[string]string{
			"auth": "auth_err", "account": "acct_expired", "password": "authtok_err", "session": "session_err",
		}[l.kind]}
	}
	return results[:len(results)-1]
}

// follow is the line that is run next after a result, len(stack) for none. bad is
// a jump over more lines than there are, which fails the stack.
func follow(stack []*line, i int, result string) (next int, bad bool) {
	l := stack[i]
	action := l.control.of(result)
	if action != "done" && action != "die" && action != jump {
		return i + 1, false
	}
	left, named := l.control.jumps[result]
	if !named {
		left = l.control.jumps["default"]
	}
	// A substack counts as one line for those that jump over it.
	within := ""
	for next := i + 1; next < len(stack); next++ {
		scope := stack[next].scope
		if scope != l.scope && !strings.HasPrefix(scope, l.scope+"/") {
			return next, action == jump && left > 0 // a substack ends, the stack around it goes on
		}
		if action != jump {
			continue
		}
		inner, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(scope, l.scope), "/"), "/")
		if inner != "" && inner == within {
			continue
		}
		if within = inner; left == 0 {
			return next, false
		}
		left--
	}
	return len(stack), action == jump && left > 0
}
