package project

import (
	"math"
	"strconv"
	"strings"

	"imgbuild/images/fault"
)

// ParseSize reads a number of bytes such as "20GiB", "500MB" or "1048576".
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGTiBkb ")
	unit := strings.TrimSpace(text[len(digits):])
	factors := map[string]float64{
		"": 1, "B": 1,
		"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
	}
	factor, known := factors[unit]
	number, err := strconv.ParseFloat(digits, 64)
	if !known || err != nil || number < 0 || number*factor >= math.MaxInt64 {
		return 0, fault.Inputf("%q is no size", text).WithHint("write it as 20GiB or 500MB")
	}
	return int64(number * factor), nil
}
