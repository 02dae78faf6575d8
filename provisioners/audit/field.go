package audit

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// comparing marks a condition that compares two fields (-C).
const comparing = "compare:"

// fieldNames are those of -F in auditctl(8) with the operators they take.
var fieldNames = map[string]string{
	"a0": all, "a1": all, "a2": all, "a3": all, "arch": equal, "auid": all, "devmajor": all, "devminor": all, "dir": equal, "egid": all,
	"euid": all, "exe": equal, "exit": all, "field_compare": "", "filetype": equal, "fsgid": all, "fstype": equal, "fsuid": all, "gid": all,
	"inode": equal, "msgtype": all, "obj_gid": all, "obj_lev_high": order, "obj_lev_low": order, "obj_role": equal, "obj_type": equal,
	"obj_uid": all, "obj_user": equal, "path": equal, "perm": "=", "pers": all, "pid": all, "ppid": all, "saddr_fam": equal,
	"sessionid": all, "sgid": all, "subj_clr": order, "subj_role": equal, "subj_sen": order, "subj_type": equal, "subj_user": equal,
	"success": equal, "suid": all, "uid": all,
}

// Sets of operators.
const (
	all   = "= != < > <= >= & &="
	order = "= != < > <= >="
	equal = "= !="
)

// identities are the fields that hold users or groups; they are what -C
// compares.
var identities = []string{"auid", "egid", "euid", "fsgid", "fsuid", "gid", "obj_gid", "obj_uid", "sgid", "suid", "uid"}

// split takes a condition apart: name, operator and value.
func split(text string) (name, op, value string, err error) {
	at := strings.IndexAny(text, "=!<>&")
	if at <= 0 {
		return "", "", "", fmt.Errorf("expected a field, an operator and a value")
	}
	end := at + 1
	if end < len(text) && text[end] == '=' && text[at] != '=' {
		end++
	}
	name, op, value = text[:at], text[at:end], text[end:]
	if op == "!" || value == "" || strings.ContainsAny(value[:1], "=!<>&") {
		return "", "", "", fmt.Errorf("expected a field, an operator and a value")
	}
	if name == "loginuid" {
		name = "auid"
	}
	return name, op, value, nil
}

// condition writes one condition the one way in which this package writes it.
func condition(name, op, value string) (string, error) {
	ops, known := fieldNames[name]
	if !known || ops == "" {
		return "", fmt.Errorf("unknown field %q", name)
	}
	if !slices.Contains(strings.Fields(ops), op) {
		return "", fmt.Errorf("%s does not go with the field %s", op, name)
	}
	var err error
	switch {
	case slices.Contains(identities, name):
		value, err = identity(value)
	case name == "path" || name == "dir":
		value, err = watched(value)
	case name == "exe":
		if !strings.HasPrefix(value, "/") {
			err = fmt.Errorf("%q is no absolute path", value)
		}
	case name == "perm":
		value, err = permissions(value)
	case name == "arch":
		value, err = architecture(value)
	case name == "exit":
		value, err = exit(value)
	case name == "success":
		value, err = success(value)
	case strings.HasPrefix(name, "a") || strings.HasPrefix(name, "dev") || strings.HasSuffix(name, "pid") || name == "inode" || name == "pers":
		var n uint64
		if n, err = number(value); err == nil {
			value = strconv.FormatUint(n, 10)
		}
	}
	if err != nil {
		return "", err
	}
	return name + op + value, nil
}

// comparison writes the condition of -C; which field is first says nothing.
func comparison(text string) (string, error) {
	a, op, b, err := split(text)
	if err != nil {
		return "", err
	}
	if b == "loginuid" {
		b = "auid"
	}
	if op != "=" && op != "!=" || !slices.Contains(identities, a) || !slices.Contains(identities, b) {
		return "", fmt.Errorf("expected two fields of users or groups with = or != between them")
	}
	return comparing + min(a, b) + op + max(a, b), nil
}

// number reads a whole number as strtoul(3) with base 0 does.
func number(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil || strings.Contains(text, "_") {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n, nil
}

// unset is the number of a user nobody logged in as, as it is stored.
const unset = "unset"

// identity writes the number of a user or group. Names other than root's are
// left, for the numbers they have are the system's.
func identity(value string) (string, error) {
	switch value {
	case "-1", "4294967295", "unset":
		return unset, nil
	case "root":
		return "0", nil
	}
	if n, err := number(value); err == nil {
		return strconv.FormatUint(n, 10), nil
	}
	if c := value[0]; c == '-' || c >= '0' && c <= '9' {
		return "", fmt.Errorf("%q is neither a number nor a name", value)
	}
	return value, nil
}

// watched refuses paths that auditctl does not watch, and takes the slash off
// the end, as it does.
func watched(name string) (string, error) {
	switch {
	case !strings.HasPrefix(name, "/"):
		return "", fmt.Errorf("%q is no absolute path", name)
	case strings.Contains(name, ".."):
		return "", fmt.Errorf("%q has .. in it", name)
	case strings.ContainsAny(name, "*?"):
		return "", fmt.Errorf("%q has a wildcard, which the kernel does not know", name)
	case len(name) >= 4096:
		return "", fmt.Errorf("the path is longer than 4095 bytes")
	}
	return path.Clean(name), nil
}

// permissions sorts the letters of a watch.
func permissions(value string) (string, error) {
	letters := []byte(strings.ToLower(value))
	slices.Sort(letters)
	letters = slices.Compact(letters)
	if len(letters) == 0 || strings.Trim(string(letters), "arwx") != "" {
		return "", fmt.Errorf("%q: expected some of the letters r, w, x and a", value)
	}
	return string(letters), nil
}

// architecture writes b32 or b64 for the machines of that kind.
func architecture(value string) (string, error) {
	switch value {
	case "b64", "x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "riscv64":
		return "b64", nil
	case "b32", "i386", "i486", "i586", "i686", "arm", "armv5tejl", "armv7l", "armv6l", "ppc", "s390":
		return "b32", nil
	}
	return "", fmt.Errorf("unknown architecture %q", value)
}

// errnos are the numbers of errors that rules name (errno(3), the same on all
// architectures of Linux that Debian has as releases).
var errnos = map[string]int{
	"EPERM": 1, "ENOENT": 2, "ESRCH": 3, "EINTR": 4, "EIO": 5, "EBADF": 9, "EAGAIN": 11, "ENOMEM": 12, "EACCES": 13, "EFAULT": 14,
	"EBUSY": 16, "EEXIST": 17, "EXDEV": 18, "ENODEV": 19, "ENOTDIR": 20, "EISDIR": 21, "EINVAL": 22, "EMFILE": 24, "ETXTBSY": 26,
	"EFBIG": 27, "ENOSPC": 28, "EROFS": 30, "EMLINK": 31, "EPIPE": 32,
}

func exit(value string) (string, error) {
	name, negative := strings.CutPrefix(value, "-")
	n, known := errnos[name]
	if !known {
		// Numbers, and the names of errors that rules have no need of.
		if v, err := number(name); err == nil {
			n, known = int(v), true
		}
	}
	switch {
	case known && negative:
		return strconv.Itoa(-n), nil
	case known:
		return strconv.Itoa(n), nil
	case len(name) > 1 && name[0] == 'E':
		return value, nil
	}
	return "", fmt.Errorf("%q is neither a number nor the name of an error", value)
}

func success(value string) (string, error) {
	switch value {
	case "1", "yes":
		return "1", nil
	case "0", "no":
		return "0", nil
	}
	return "", fmt.Errorf("%q is neither 0 nor 1", value)
}
