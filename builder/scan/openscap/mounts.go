package openscap

import (
	"fmt"
	"os"
	"path"
	"strings"

	"imgbuild/provisioners/system"
)

// mountsPath is where programs read what is mounted.
const mountsPath = "/proc/mounts"

// The limits of fstab: of its bytes, and of the mounts it has.
const (
	maxFstab  = 1 << 20
	maxMounts = 1024
)

// writeMounts writes into a copied tree the table of mounts that a machine booted
// from it has by its /etc/fstab, and makes the mount points that kernels or
// service managers make. What is not mounted at boot (noauto) and what is nowhere
// mounted (swap) is left out, and so is what a service manager mounts without
// being told: the table is never better than what the tree says.
func writeMounts(root *os.Root, from system.Reader) error {
	fstab, err := readFstab(from)
	if err != nil {
		return err
	}
	table, points, err := mountTable(fstab)
	if err != nil {
		return err
	}
	for _, at := range points {
		if hollow["/"+strings.SplitN(at[1:], "/", 2)[0]] {
			if err := root.MkdirAll(below(at), 0o755); err != nil {
				return err
			}
		}
	}
	return root.WriteFile(below(mountsPath), []byte(table), 0o444)
}

// readFstab is empty where there is none.
func readFstab(from system.Reader) (string, error) {
	const name = "/etc/fstab"
	if _, err := from.Stat(name); err != nil {
		if os.IsNotExist(err) {
			return "", nil
		}
		return "", err
	}
	data, err := system.ReadFile(from, name, maxFstab)
	return string(data), err
}

// mountTable makes lines of proc_pid_mounts(5) of those of fstab(5). A partition
// has there a name of the kernel's, whose number does not matter.
func mountTable(fstab string) (table string, points []string, err error) {
	var b strings.Builder
	for n, line := range strings.Split(fstab, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return "", nil, fmt.Errorf("/etc/fstab:%d: %d fields, want 3 to 6", n+1, len(fields))
		}
		if len(points) == maxMounts {
			return "", nil, fmt.Errorf("/etc/fstab: more than %d mounts", maxMounts)
		}
		source, at, kind, options := fields[0], fields[1], fields[2], []string{"rw"}
		if len(fields) > 3 {
			options = mountOptions(fields[3])
		}
		if options == nil || kind == "swap" || !path.IsAbs(at) {
			continue
		}
		if strings.Contains(source, "=") {
			source = fmt.Sprintf("/dev/sda%d", len(points)+1)
		}
		at = path.Clean(at)
		points = append(points, at)
		fmt.Fprintf(&b, "%s %s %s %s 0 0\n", source, at, kind, strings.Join(options, ","))
	}
	return b.String(), points, nil
}

// mountOptions are those that a kernel shows of the options of fstab; nil for
// what is not mounted at boot.
func mountOptions(written string) []string {
	shown := []string{"rw"}
	for option := range strings.SplitSeq(written, ",") {
		switch {
		case option == "noauto":
			return nil
		case option == "ro":
			shown[0] = option
		case option == "defaults" || option == "rw" || option == "auto" || option == "nofail" || option == "_netdev" || strings.HasPrefix(option, "x-"):
		default:
			shown = append(shown, option)
		}
	}
	return shown
}
