package volume

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	fstabPath = "/etc/fstab"
	// maxFstab bounds the file in bytes, maxEntries what it lists.
	maxFstab   = 1 << 20
	maxEntries = 1024
)

// entry is one line of fstab(5).
type entry struct {
	line             int
	source, at, kind string
	options          []string
}

func (e entry) has(option string) bool { return slices.Contains(e.options, option) }

// parseFstab reads fstab(5): fields between blanks, of which the first four are
// used and the fourth may be missing, as libmount allows.
func parseFstab(text string) ([]entry, error) {
	var out []entry
	for n, line := range strings.Split(text, "\n") {
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 || len(fields) > 6 && !strings.HasPrefix(fields[6], "#") {
			return nil, fmt.Errorf("%s:%d: %d fields, want 3 to 6", fstabPath, n+1, len(fields))
		}
		if len(out) == maxEntries {
			return nil, fmt.Errorf("%s: more than %d entries", fstabPath, maxEntries)
		}
		e := entry{line: n + 1, source: unescape(fields[0]), at: unescape(fields[1]), kind: fields[2]}
		if len(fields) > 3 {
			e.options = strings.Split(unescape(fields[3]), ",")
		}
		if e.at != "none" && e.at != "swap" {
			if !path.IsAbs(e.at) {
				return nil, fmt.Errorf("%s:%d: the mount point %q is not absolute", fstabPath, n+1, e.at)
			}
			e.at = path.Clean(e.at)
		}
		out = append(out, e)
	}
	return out, nil
}

// unescape resolves the octal escapes of blanks, backslashes and others.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// find gives the partition that an entry's source names, nil if none does. It
// understands the tags of libmount, the links of udev, and the usual names of a
// machine's first disk; another name is one of a disk that is not here.
func (v *Volume) find(source string) (*Partition, error) {
	tag, value, tagged := strings.Cut(source, "=")
	if rest, ok := strings.CutPrefix(source, "/dev/disk/by-"); ok {
		tag, value, tagged = strings.Cut(rest, "/")
		tag = strings.ToUpper(tag)
		value = unescapeUdev(value)
	}
	if !tagged {
		number, ok := partitionNumber(source)
		if !ok {
			return nil, nil
		}
		return v.only(source, func(p *Partition) bool { return p.Number == number })
	}
	value = strings.Trim(value, `"'`)
	if value == "" {
		return nil, nil
	}
	return v.only(source, func(p *Partition) bool {
		switch tag {
		case "UUID":
			return strings.EqualFold(p.UUID, value)
		case "LABEL":
			return p.Label == value
		case "PARTUUID":
			return strings.EqualFold(p.ID.String(), value)
		case "PARTLABEL":
			return p.Name == value
		}
		return false
	})
}

// only gives the one partition that is wanted; two are an error.
func (v *Volume) only(what string, wanted func(*Partition) bool) (*Partition, error) {
	var found *Partition
	for _, p := range v.partitions {
		if !wanted(p) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("%s may be partition %d or %d", what, found.Number, p.Number)
		}
		found = p
	}
	return found, nil
}

// partitionNumber reads the name of a partition of the first disk: /dev/sda1,
// /dev/vda1, /dev/xvda1, /dev/hda1, /dev/nvme0n1p1, /dev/mmcblk0p1.
func partitionNumber(name string) (int, bool) {
	for _, disk := range []string{"sda", "vda", "xvda", "hda", "nvme0n1p", "mmcblk0p"} {
		if digits, ok := strings.CutPrefix(name, "/dev/"+disk); ok {
			n, err := strconv.Atoi(digits)
			return n, err == nil && n > 0 && digits[0] != '0' && digits[0] != '+'
		}
	}
	return 0, false
}

// unescapeUdev resolves the \x20 of names in /dev/disk.
func unescapeUdev(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
