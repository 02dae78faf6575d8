package term

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Sense is how a program understands the text of a setting. A nil field stands
// for what most programs do.
type Sense struct {
	// Measure reads the numbers that bounds are compared with, most often one;
	// of several each is compared with its own. Nil is Decimal.
	Measure func(text string) ([]int64, bool)
	// Equal tells whether two texts mean the same. Nil compares bytes.
	Equal func(a, b string) bool
	// Separator stands between the elements of a list; "" is a comma. Blanks
	// around elements do not count.
	Separator string
}

func (s Sense) measure(text string) ([]int64, bool) {
	if s.Measure == nil {
		return Decimal(text)
	}
	return s.Measure(text)
}

// atMost is false unless both are numbers, as many of them.
func (s Sense) atMost(a, b string) bool {
	x, okA := s.measure(a)
	y, okB := s.measure(b)
	if !okA || !okB || len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] > y[i] {
			return false
		}
	}
	return true
}

func (s Sense) equal(a, b string) bool {
	if s.Equal == nil {
		return a == b
	}
	return s.Equal(a, b)
}

func (s Sense) split(text string) []string {
	if strings.TrimSpace(s.Separator) == "" && s.Separator != "" {
		return strings.Fields(text)
	}
	var list []string
	for _, element := range strings.Split(text, s.separator()) {
		if element = strings.TrimSpace(element); element != "" {
			list = append(list, element)
		}
	}
	return list
}

func (s Sense) separator() string {
	if s.Separator == "" {
		return ","
	}
	return s.Separator
}

func (s Sense) join(list []string) string { return strings.Join(list, s.separator()) }

// Decimal reads a whole decimal number, with a sign or without.
func Decimal(text string) ([]int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return []int64{n}, err == nil
}

// Size reads a size in bytes as systemd writes it: digits and one of K, M, G,
// T, P, E to the base 1024, a B after them or not; "infinity" is the largest.
// systemd-system.conf(5), journald.conf(5).
func Size(text string) ([]int64, bool) {
	text = strings.TrimSpace(text)
	if text == "infinity" {
		return []int64{math.MaxInt64}, true
	}
	text = strings.TrimSuffix(text, "B")
	shift := uint(0)
	if text != "" {
		if i := strings.IndexByte("KMGTPE", text[len(text)-1]); i >= 0 {
			shift, text = uint(i+1)*10, strings.TrimSpace(text[:len(text)-1])
		}
	}
	return scaled(text, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), shift)))
}

// units are the ones of systemd.time(7), in microseconds.
func units(name string) (int64, bool) {
	const second = 1_000_000
	switch name {
	case "usec", "us", "µs", "μs":
		return 1, true
	case "msec", "ms":
		return 1000, true
	case "", "seconds", "second", "sec", "s":
		return second, true
	case "minutes", "minute", "min", "m":
		return 60 * second, true
	case "hours", "hour", "hr", "h":
		return 3600 * second, true
	case "days", "day", "d":
		return 86400 * second, true
	case "weeks", "week", "w":
		return 7 * 86400 * second, true
	case "months", "month", "M":
		return 2629800 * second, true
	case "years", "year", "y":
		return 31557600 * second, true
	}
	return 0, false
}

// Span reads a length of time as systemd writes it, "5min 20s", in
// microseconds; a number alone counts seconds. systemd.time(7).
func Span(text string) ([]int64, bool) {
	text = strings.TrimSpace(text)
	if text == "infinity" {
		return []int64{math.MaxInt64}, true
	}
	sum, parts := int64(0), 0
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789."))
		number, rest := text[:digits], strings.TrimLeft(text[digits:], " \t")
		end := strings.IndexAny(rest, "0123456789. \t")
		if end < 0 {
			end = len(rest)
		}
		unit, ok := units(rest[:end])
		if !ok {
			return nil, false
		}
		one, ok := scaled(number, new(big.Rat).SetInt64(unit))
		if !ok || one[0] > math.MaxInt64-sum {
			return nil, false
		}
		sum, text, parts = sum+one[0], strings.TrimLeft(rest[end:], " \t"), parts+1
	}
	return []int64{sum}, parts > 0
}

// scaled multiplies decimal digits with or without a fraction, at most the
// largest number.
func scaled(digits string, by *big.Rat) ([]int64, bool) {
	if digits == "" || len(digits) > 40 || strings.Trim(digits, "0123456789.") != "" {
		return nil, false
	}
	r, ok := new(big.Rat).SetString(digits)
	if !ok {
		return nil, false
	}
	r.Mul(r, by)
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if !n.IsInt64() {
		return []int64{math.MaxInt64}, true
	}
	return []int64{n.Int64()}, true
}
