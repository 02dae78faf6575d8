package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// State is how a finding stands.
type State string

// The states.
const (
	// Good needs nothing.
	Good State = "ok"
	// Wanting lacks something that only some commands need, or that only
	// makes them faster.
	Wanting State = "optional"
	// Missing lacks something without which nothing can be baked.
	Missing State = "missing"
)

// Finding is what the doctor says of one thing a machine needs.
type Finding struct {
	// Name is what was looked for, such as "xz".
	Name string `json:"name"`
	// State says whether it is there, and how bad it is when it is not.
	State State `json:"state"`
	// Detail says what was found, such as a path or a reason.
	Detail string `json:"detail"`
	// For names what needs it, such as "run IMAGE --vm".
	For string `json:"for"`
	// Mend is the exact command that mends it, empty when nothing is to be done
	// or no command can.
	Mend string `json:"mend,omitempty"`
}

// Request says what a diagnosis is made for.
type Request struct {
	// CacheDir is where stages are made, or will be.
	CacheDir string
	// StoreDirs are where archive and catalog live or will live, as far as that
	// is on this machine.
	StoreDirs []string
	// Keyring finds the keyring that releases are verified with; it fails when
	// none is configured and Debian's is not installed.
	Keyring func() (string, error)
	// Mirror finds the base URL of an archive, for a suite or for any.
	Mirror func(archive, suite string) (string, error)
}

// Disk space in bytes: a bake of one baseline with a disk image uses about
// 3 GiB of archive, cache and catalog.
const (
	diskNeeded  = 3 << 30
	diskWelcome = 10 << 30
)

// Diagnose looks at everything imgbuild uses of its host, in a fixed order.
// An error means that the diagnosis itself failed; what is missing is in the
// findings.
func Diagnose(ctx context.Context, req Request) ([]Finding, error) {
	probes := []func(context.Context, Request) Finding{
		keyring, mirror, namespaces, overlay, subordinateIDs, idMapTools, xz, diskSpace,
		podman, qemu, qemuImg, kvm, ovmf, oscap,
	}
	findings := make([]Finding, len(probes))
	group, ctx := errgroup.WithContext(ctx)
	for i, probe := range probes {
		group.Go(func() error {
			findings[i] = probe(ctx, req)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("looking at this machine: %w", err)
	}
	return findings, nil
}

// install is the command that installs a Debian package here.
func install(pkg string) string { return asRoot("apt-get install -y --no-install-recommends " + pkg) }

func asRoot(command string) string {
	if os.Geteuid() == 0 {
		return command
	}
	return "sudo " + command
}

func keyring(_ context.Context, req Request) Finding {
	f := Finding{Name: "archive keyring", For: "lock", State: Good}
	path, err := req.Keyring()
	if err != nil {
		f.State, f.Detail, f.Mend = Missing, err.Error(), install("debian-archive-keyring")
		return f
	}
	f.Detail = path
	if _, err := os.Stat(path); err != nil {
		f.State, f.Detail = Missing, err.Error()
	}
	return f
}

func mirror(_ context.Context, req Request) Finding {
	f := Finding{Name: "mirror", For: "lock", State: Good}
	var found, wrong, set []string
	for _, archive := range []struct{ name, setting string }{
		{ArchiveDebian, "IMGBUILD_MIRROR"}, {ArchiveSecurity, "IMGBUILD_SECURITY_MIRROR"},
	} {
		url, err := req.Mirror(archive.name, "")
		if err != nil {
			wrong = append(wrong, err.Error())
			set = append(set, archive.setting+"=http://mirror.example/"+archive.name)
			continue
		}
		found = append(found, url)
	}
	f.Detail = strings.Join(found, " and ")
	if len(wrong) > 0 {
		f.State, f.Detail, f.Mend = Missing, strings.Join(wrong, "; "), "export "+strings.Join(set, " ")
	}
	return f
}

func namespaces(ctx context.Context, _ Request) Finding {
	f := Finding{Name: "namespaces", For: "bake"}
	args := []string{"--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "true"}
	if os.Geteuid() != 0 {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	out, err := exec.CommandContext(ctx, "unshare", args...).CombinedOutput()
	if err == nil {
		f.State, f.Detail = Good, "mount, PID, network, UTS and IPC"
		return f
	}
	f.State, f.Detail = Missing, firstLine(out, err)
	if os.Geteuid() != 0 {
		f.Mend = "sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000"
		if _, err := os.Stat("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"); err == nil {
			f.Mend += " kernel.apparmor_restrict_unprivileged_userns=0"
		}
	}
	return f
}

func overlay(ctx context.Context, req Request) Finding {
	f := Finding{Name: "overlayfs", For: "bake"}
	dir, err := os.MkdirTemp(existing(req.CacheDir), ".imgbuild-doctor-")
	if err != nil {
		f.State, f.Detail = Missing, err.Error()
		return f
	}
	defer os.RemoveAll(dir)
	script := `cd "$1" && mkdir lower upper work merged && mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged && umount merged`
	args := []string{"--mount", "sh", "-c", script, "sh", dir}
	if os.Geteuid() != 0 {
		args = append([]string{"--user", "--map-root-user"}, args...)
	}
	out, err := exec.CommandContext(ctx, "unshare", args...).CombinedOutput()
	if err != nil {
		f.State, f.Detail = Missing, firstLine(out, err)
		f.Mend = asRoot("modprobe overlay")
		return f
	}
	f.State, f.Detail = Good, "mounted below "+filepath.Dir(dir)
	return f
}

// existing returns the nearest ancestor of dir that exists.
func existing(dir string) string {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return dir
		}
		dir = parent
	}
}

func subordinateIDs(context.Context, Request) Finding {
	f := Finding{Name: "subordinate ids", For: "bake as an ordinary user", State: Good}
	me, err := user.Current()
	if err != nil {
		f.State, f.Detail = Wanting, err.Error()
		return f
	}
	if me.Uid == "0" {
		f.Detail = "not needed by root"
		return f
	}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := os.ReadFile(file)
		if err != nil || !grants(string(text), me.Username, me.Uid) {
			f.State, f.Detail = Missing, "none for "+me.Username+" in "+file
			f.Mend = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " + me.Username
			return f
		}
	}
	f.Detail = "for " + me.Username
	return f
}

// grants says whether subid(5) text has a line for the user, by name or number.
func grants(text, name, uid string) bool {
	for line := range strings.Lines(text) {
		if who, _, _ := strings.Cut(line, ":"); who == name || who == uid {
			return true
		}
	}
	return false
}

func idMapTools(context.Context, Request) Finding {
	if os.Geteuid() == 0 {
		return Finding{Name: "newuidmap", For: "bake as an ordinary user", State: Good, Detail: "not needed by root"}
	}
	return program("newuidmap", "uidmap", "bake as an ordinary user", Missing)
}

func xz(context.Context, Request) Finding {
	f := program("xz", "xz-utils", "a faster first bake", Wanting)
	if f.State == Wanting {
		f.Detail += "; the slower built-in decoder is used"
	}
	return f
}

func qemu(context.Context, Request) Finding {
	return program("qemu-system-x86_64", "qemu-system-x86", "run IMAGE --vm, boot trials of disks", Wanting)
}

func kvm(ctx context.Context, _ Request) Finding {
	f := Finding{Name: "KVM", For: "fast virtual machines", State: Good, Detail: "a guest ran"}
	if err := KVM(ctx); err != nil {
		f.State, f.Detail = Wanting, err.Error()+"; virtual machines are emulated"
	}
	return f
}

func ovmf(context.Context, Request) Finding {
	const firmware = "/usr/share/OVMF/OVMF_CODE_4M.fd"
	f := Finding{Name: "UEFI firmware", For: "run IMAGE --vm --firmware uefi", State: Good, Detail: firmware}
	if _, err := os.Stat(firmware); err != nil {
		f.State, f.Detail, f.Mend = Wanting, err.Error(), install("ovmf")
	}
	return f
}

func qemuImg(context.Context, Request) Finding {
	return program("qemu-img", "qemu-utils", "run IMAGE --vm, boot trials of disks", Wanting)
}

func podman(context.Context, Request) Finding {
	return program("podman", "podman crun slirp4netns", "run IMAGE, boot trials of containers", Wanting)
}

func oscap(context.Context, Request) Finding {
	return program("oscap", "openscap-scanner", "a second opinion of a scan", Wanting)
}

// program looks for an executable that Debian has in packages.
func program(name, packages, purpose string, without State) Finding {
	f := Finding{Name: name, For: purpose, State: Good}
	path, err := exec.LookPath(name)
	if err != nil {
		f.State, f.Detail, f.Mend = without, "not installed", install(packages)
		return f
	}
	f.Detail = path
	return f
}

// diskSpace judges the fullest of the file systems that a bake writes to.
func diskSpace(_ context.Context, req Request) Finding {
	f := Finding{Name: "disk space", For: "bake", State: Good}
	var least uint64 = math.MaxUint64
	var details []string
	seen := map[uint64]bool{}
	for _, dir := range append([]string{req.CacheDir}, req.StoreDirs...) {
		dir = existing(dir)
		var at unix.Stat_t
		var fs unix.Statfs_t
		if err := errors.Join(unix.Stat(dir, &at), unix.Statfs(dir, &fs)); err != nil {
			f.State, f.Detail = Missing, fmt.Sprintf("asking for the free space of %s: %v", dir, err)
			return f
		}
		if seen[at.Dev] {
			continue
		}
		seen[at.Dev] = true
		free := fs.Bavail * uint64(fs.Bsize)
		least = min(least, free)
		details = append(details, fmt.Sprintf("%.1f GiB free at %s", float64(free)/(1<<30), dir))
	}
	f.Detail = strings.Join(details, ", ")
	switch {
	case least < diskNeeded:
		f.State, f.Mend = Missing, "imgbuild images gc"
	case least < diskWelcome:
		f.State, f.Mend = Wanting, "imgbuild images gc"
	}
	return f
}
