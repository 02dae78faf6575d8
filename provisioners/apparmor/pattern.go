package apparmor

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// variableName is the name of a variable, as it is used.
var variableName = regexp.MustCompile(`[@$]\{[A-Za-z]\w*\}`)

// grouped tells why the parser makes no expression of a pattern of files: braces
// have two items at least, a class of characters one, and all of them end.
func grouped(pattern string) error {
	pattern = variableName.ReplaceAllString(pattern, "")
	var items []int // of each brace that is open, the commas
	class := -1     // where one begins
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case class >= 0 && c != ']':
		case c == '[':
			class = i
		case c == ']' && (class < 0 || strings.Trim(pattern[class+1:i], "^") == ""):
			return errors.New("a class of characters that is empty, or a ] that ends none")
		case c == ']':
			class = -1
		case c == '{':
			items = append(items, 0)
		case c == ',' && len(items) > 0:
			items[len(items)-1]++
		case c == '}':
			last := len(items) - 1
			if last < 0 || items[last] == 0 {
				return errors.New("braces with fewer than two items, or a } that ends nothing")
			}
			items = items[:last]
		}
	}
	if class >= 0 || len(items) > 0 {
		return errors.New("a { or [ that does not end")
	}
	return nil
}

// signals are those of signal rules (apparmor.d(5)).
var signals = strings.Fields(`hup int quit ill trap abrt bus fpe kill usr1 segv usr2 pipe alrm term stkflt chld cont stop stp ttin ttou urg xcpu xfsz
	vtalrm prof winch io pwr sys emt exists`)

var signalSet = regexp.MustCompile(`(?:^|\s)set\s*=\s*(\([^()]*\)|\S*)`)

// signalled checks the names of signals in a rule.
func signalled(words []word) error {
	var rule strings.Builder
	for _, w := range words {
		rule.WriteString(" " + w.text)
	}
	for _, set := range signalSet.FindAllStringSubmatch(rule.String(), -1) {
		names := strings.FieldsFunc(strings.TrimSuffix(strings.TrimPrefix(set[1], "("), ")"), separates)
		for _, name := range names {
			number, realTime := strings.CutPrefix(name, "rtmin+")
			n, err := strconv.Atoi(number)
			if name = strings.Trim(name, `"`); !slices.Contains(signals, name) && (!realTime || err != nil || n < 0 || n > 32) {
				return fmt.Errorf("no signal is called %q", short(name))
			}
		}
		if len(names) == 0 {
			return errors.New("a set of no signals")
		}
	}
	return nil
}
