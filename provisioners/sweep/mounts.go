package sweep

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"imgbuild/provisioners/system"
)

// The places of mount tables and their limit in bytes.
const (
	liveMounts = "/proc/mounts"
	fstab      = "/etc/fstab"
	maxTable   = 4 << 20
)

// Mount is one line of fstab(5), or of /proc/mounts, which has the same form.
type Mount struct {
	// Point is a clean absolute path; Type is the file system's.
	Point, Type string
	Options     []string
}

// Has tells whether the mount has an option by that name.
func (m Mount) Has(option string) bool { return slices.Contains(m.Options, option) }

// Mounts returns the mounts of a live host, else those that an offline
// system's fstab asks for; live tells which. Swap and lines that are mounted
// nowhere are left out. A system with neither table has none.
func Mounts(r system.Reader) (list []Mount, live bool, err error) {
	for _, name := range []string{liveMounts, fstab} {
		text, there, err := system.ReadText(r, name, maxTable)
		if err != nil {
			return nil, false, fmt.Errorf("reading mounts: %w", err)
		}
		if !there {
			continue
		}
		list, err := ParseMounts(text)
		if err != nil {
			return nil, false, fmt.Errorf("reading mounts: %s: %w", name, err)
		}
		return list, name == liveMounts, nil
	}
	return nil, false, nil
}

// ParseMounts reads a table of the form of fstab(5).
func ParseMounts(text string) ([]Mount, error) {
	var list []Mount
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 3 {
			return nil, fmt.Errorf("line %d: expected a device, a place and a type", i+1)
		}
		point := unescape(fields[1])
		if fields[2] == "swap" || point == "none" || point == "swap" {
			continue
		}
		if !strings.HasPrefix(point, "/") {
			return nil, fmt.Errorf("line %d: %q is no absolute path", i+1, point)
		}
		m := Mount{Point: path.Clean(point), Type: fields[2]}
		if len(fields) > 3 {
			m.Options = strings.Split(fields[3], ",")
		}
		list = append(list, m)
	}
	return list, nil
}

// unescape turns \040 into a space, as getmntent(3) does.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
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

// On returns the mount that a file lies on, false when it is that of "/" and
// the table does not have it. Of two at one place the later covers the other.
func On(mounts []Mount, name string) (Mount, bool) {
	var best Mount
	found := false
	for _, m := range mounts {
		inside := m.Point == "/" || name == m.Point || strings.HasPrefix(name, m.Point+"/")
		if inside && len(m.Point) >= len(best.Point) {
			best, found = m, true
		}
	}
	return best, found
}

// notWalked are the types of file systems that hold no files of a host's own:
// those that a kernel makes up, those in memory, those of other machines and
// those of containers, which lie on the host's disk anyway. Types of FUSE are
// another program's invention as well, but for those on a block device.
var notWalked = []string{
	"9p", "afs", "anon_inodefs", "autofs", "bdev", "beegfs", "binder", "binfmt_misc", "bpf", "ceph", "cgroup", "cgroup2", "cifs", "coda",
	"configfs", "cpuset", "debugfs", "devpts", "devtmpfs", "efivarfs", "fuse", "fusectl", "glusterfs", "hugetlbfs",
	"lustre", "mqueue", "ncpfs", "nfs", "nfs4", "nfsd", "nsfs", "overlay", "pipefs", "proc", "pstore", "ramfs", "resctrl",
	"rpc_pipefs", "securityfs", "selinuxfs", "smackfs", "smb3", "smbfs", "sockfs", "sysfs", "tmpfs", "tracefs", "virtiofs",
}

// foreign returns the mount points that a walk of a live host stays out of.
func foreign(r system.Reader) (map[string]bool, bool, error) {
	mounts, live, err := Mounts(r)
	if err != nil || !live {
		return nil, false, err
	}
	skip := map[string]bool{"/proc": true, "/sys": true, "/run": true, "/dev": true}
	for _, m := range mounts {
		if m.Point == "/" {
			continue // a container's overlay is all it has
		}
		fuse := strings.HasPrefix(m.Type, "fuse.")
		// A later mount covers an earlier one at the same place.
		skip[m.Point] = skip[m.Point] && kernels(m.Point) || fuse || slices.Contains(notWalked, m.Type)
	}
	return skip, true, nil
}

func kernels(point string) bool {
	return point == "/proc" || point == "/sys" || point == "/run" || point == "/dev"
}
