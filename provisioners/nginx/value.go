package nginx

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/term"
)

var quantityPart = regexp.MustCompile(`^([0-9]+)(ms|[smhdwMykKgG]?)`)

// quantity reads a plain number, a size in bytes ("16k", "1m"; nginx.org's
// "Configuration file measurement units") or a time in milliseconds ("60s",
// "1h30m"; a plain number is seconds).
func quantity(text string, time bool) (int64, bool) {
	units := map[string]int64{"": 1, "k": 1 << 10, "K": 1 << 10, "m": 1 << 20, "M": 1 << 20, "g": 1 << 30, "G": 1 << 30}
	if time {
		const second, day = 1000, 24 * 3600 * 1000
		units = map[string]int64{
			"": second, "ms": 1, "s": second, "m": 60 * second, "h": 3600 * second,
			"d": day, "w": 7 * day, "M": 30 * day, "y": 365 * day,
		}
	}
	if text == "" {
		return 0, false
	}
	sum := int64(0)
	for parts := 0; text != ""; parts++ {
		found := quantityPart.FindStringSubmatch(text)
		if found == nil || parts > 0 && !time {
			return 0, false
		}
		n, err := strconv.ParseInt(found[1], 10, 64)
		unit, known := units[found[2]]
		if err != nil || !known || n > (math.MaxInt64-sum)/unit {
			return 0, false
		}
		sum += n * unit
		text = text[len(found[0]):]
	}
	return sum, true
}

// rules are how nginx reads the arguments of a directive.
func rules(name string) term.Rules {
	return term.Rules{
		Words:     words,
		Quantity:  func(word string) (int64, bool) { return quantity(word, duration(name)) },
		Same:      sameWord,
		Unlimited: factOf(name).unlimited,
	}
}

// sameWord compares two words; the flags on and off in any case.
func sameWord(have, want string) bool {
	if strings.EqualFold(want, "on") || strings.EqualFold(want, "off") {
		return strings.EqualFold(have, want)
	}
	return have == want
}

func same(have, want []string) bool { return slices.EqualFunc(have, want, sameWord) }

// wants says in a few words what the state asks for.
func (s *State) wants() string {
	if len(s.With) == 0 {
		return s.Wish.String()
	}
	var inner []string
	for _, name := range s.withNames() {
		inner = append(inner, name+" "+s.With[name])
	}
	return "a block with " + strings.Join(inner, "; ")
}
