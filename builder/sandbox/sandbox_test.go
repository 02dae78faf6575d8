package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"imgbuild/builder/sandbox"
)

// TestMain moves the tests into the sandbox's namespaces, as a bake does, so
// that they mean the same for root and for an ordinary user.
func TestMain(m *testing.M) {
	sandbox.Init()
	if err := sandbox.Enter(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// hostRoot is an overlay over the host's own files: a root that has a shell
// and may be written to.
func hostRoot(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var lower []string
	target := filepath.Join(dir, "root")
	for _, d := range []string{"upper", "work", "root", "skeleton"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	skeleton := filepath.Join(dir, "skeleton")
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.Symlink("usr/"+link, filepath.Join(skeleton, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"usr", "tmp", "etc"} {
		if err := os.Mkdir(filepath.Join(skeleton, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lower = append(lower, skeleton)
	unmount, err := sandbox.Overlay(lower, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	return target
}

func shell(t *testing.T, root, script string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := sandbox.Run(context.Background(), sandbox.Spec{
		Root:   root,
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", ReadOnly: true}},
		Args:   []string{"sh", "-c", script},
		Env:    []string{"PATH=/usr/sbin:/usr/bin"},
		Stdout: &out, Stderr: &out,
	})
	return out.String(), err
}

func TestWhatACommandSees(t *testing.T) {
	root := hostRoot(t)
	segment, err := unix.SysvShmGet(unix.IPC_PRIVATE, 4096, unix.IPC_CREAT|0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := unix.SysvShmCtl(segment, unix.IPC_RMID, nil); err != nil {
			t.Error(err)
		}
	})
	for _, tc := range []struct{ name, script, want string }{
		{"host name", "cat /proc/sys/kernel/hostname", "localhost\n"},
		{"uid", "id -u", "0\n"},
		{"few other processes", "ls /proc > /tmp/seen; grep -c '^[0-9]' /tmp/seen", "3\n"}, // the attendant, sh, ls
		{"capabilities", "grep -h CapInh /proc/self/status; capsh --has-p=cap_dac_read_search 2>/dev/null || echo none", "CapInh:\t0000000000000000\nnone\n"},
		{"only a loopback interface", "ls /proc/sys/net/ipv4/conf | tr '\\n' ' '", "all default lo "},
		{"only its own shared memory", "wc -l < /proc/sysvipc/shm", "1\n"}, // a heading, and the test's is not below it
		{"environment", "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL=", "PATH=/usr/sbin:/usr/bin\n"},
		{"umask", "umask", "0022\n"},
		{"nodes", "echo x > /dev/null && head -c 2 /dev/zero | wc -c", "2\n"},
		{"an empty /sys", "ls -A /sys | wc -l", "0\n"},
		{"no device nodes", "mknod /tmp/n b 7 0 2>/dev/null || echo refused", "refused\n"},
		{"no mounts", "mount -t tmpfs x /tmp 2>/dev/null || echo refused", "refused\n"},
		{"no kernel settings", "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo refused", "refused\n"},
		{"read-only mounts", "touch /usr/x 2>/dev/null || echo refused", "refused\n"},
		// Which a device refuses to a program whose flushes are real.
		{"nothing waits for the disk", "sync /dev/null && echo skipped", "skipped\n"},
		{"owners can be changed", "touch /tmp/f && chown 33:33 /tmp/f && stat -c %u:%g /tmp/f", "33:33\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := shell(t, root, tc.script)
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestNamespacesAreItsOwn(t *testing.T) {
	root := hostRoot(t)
	for _, name := range []string{"ipc", "mnt", "net", "pid", "uts"} {
		outside, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			t.Fatal(err)
		}
		inside, err := shell(t, root, "readlink /proc/self/ns/"+name)
		if err != nil || !strings.HasPrefix(inside, name+":[") || strings.TrimSpace(inside) == outside {
			t.Errorf("%s: %q inside, %q outside, %v", name, inside, outside, err)
		}
	}
}

func TestExitStatus(t *testing.T) {
	_, err := shell(t, hostRoot(t), "exit 7")
	var exit *sandbox.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 {
		t.Fatalf("got %v", err)
	}
}

func TestMissingCommandIsNamed(t *testing.T) {
	err := sandbox.Run(context.Background(), sandbox.Spec{Root: hostRoot(t), Args: []string{"no-such-command"}, Env: []string{"PATH=/usr/bin"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Fatalf("got %v", err)
	}
}

func TestCancelKillsEverything(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	marker := fmt.Sprintf("%d.25", 100000+os.Getpid())
	root := hostRoot(t)
	err := sandbox.Run(ctx, sandbox.Spec{
		Root:   root,
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", ReadOnly: true}},
		Args:   []string{"sh", "-c", "setsid sleep " + marker + " & setsid sleep " + marker},
		Env:    []string{"PATH=/usr/bin"},
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	if running(t, marker) {
		t.Error("processes outlived the sandbox")
	}
}

// TestADeviceNodeOfAPackageIsNoDevice puts a node where a package could and
// reads it from inside.
func TestADeviceNodeOfAPackageIsNoDevice(t *testing.T) {
	if sandbox.Rootless() {
		t.Skip("an ordinary user cannot make device nodes at all")
	}
	root := hostRoot(t)
	if err := unix.Mknod(filepath.Join(root, "tmp/zero"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	got, err := shell(t, root, "head -c 1 /tmp/zero | wc -c; head -c 1 /dev/zero | wc -c")
	if err != nil || !strings.Contains(got, "Permission denied") || !strings.HasSuffix(got, "0\n1\n") {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestRefusedCalls makes the calls that would reach beyond all namespaces, with
// their numbers on amd64.
func TestRefusedCalls(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the numbers are those of amd64")
	}
	for name, call := range map[string]string{
		"open_by_handle_at": "304, 0, 0, 0", "keyctl": "250, 11, 0, 0, 0", "add_key": "248, 0, 0, 0, 0, 0", "request_key": "249, 0, 0, 0, 0",
	} {
		got, err := shell(t, hostRoot(t), "perl -e 'syscall("+call+"); print $!+0'")
		if err != nil || got != fmt.Sprint(int(unix.EPERM)) {
			t.Errorf("%s: got errno %s, %v", name, got, err)
		}
	}
}

// TestWhatIsInheritedGivesNothing starts from a program that hands capabilities
// down.
func TestWhatIsInheritedGivesNothing(t *testing.T) {
	if os.Getenv("IMGBUILD_TEST_INHERITED") != "" {
		got, err := shell(t, hostRoot(t), "grep -h -e CapInh -e CapEff /proc/self/status")
		var inherited, effective uint64
		if _, scan := fmt.Sscanf(got, "CapInh:\t%x\nCapEff:\t%x", &inherited, &effective); err != nil || scan != nil {
			t.Fatalf("%q: %v %v", got, err, scan)
		}
		if inherited != 0 || effective&(1<<unix.CAP_SYS_ADMIN|1<<unix.CAP_MKNOD) != 0 {
			t.Errorf("got %s", got)
		}
		return
	}
	if sandbox.Rootless() {
		t.Skip("an ordinary user has nothing to hand down")
	}
	reexecute(t, "IMGBUILD_TEST_INHERITED", "setpriv", "--inh-caps", "+sys_admin,+mknod")
}

// TestTheDeathOfTheProgramEndsItAll kills a program whose command in a sandbox
// has refused to be told of that.
func TestTheDeathOfTheProgramEndsItAll(t *testing.T) {
	marker := os.Getenv("IMGBUILD_TEST_KILLED")
	if marker != "" {
		shell(t, hostRoot(t), "exec setpriv --pdeathsig clear sleep "+marker)
		return
	}
	marker = fmt.Sprintf("%d.75", 100000+os.Getpid())
	cmd := exec.Command(os.Args[0], "-test.run", "^TestTheDeathOfTheProgramEndsItAll$")
	// What the killed program leaves goes with this test.
	cmd.Env = append(outside(), "IMGBUILD_TEST_KILLED="+marker, "TMPDIR="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for !running(t, marker) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed
	for deadline := time.Now().Add(time.Minute); running(t, marker); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the command outlived the program")
		}
	}
}

// running tells whether a "sleep marker" runs.
func running(t *testing.T, marker string) bool {
	t.Helper()
	err := exec.Command("pgrep", "-f", "^sleep "+marker).Run()
	var none *exec.ExitError
	if err != nil && (!errors.As(err, &none) || none.ExitCode() != 1) {
		t.Fatal(err)
	}
	return err == nil
}

// outside is the environment without the mark of having entered.
func outside() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "IMGBUILD_SANDBOX_ENTERED=") })
}

// reexecute runs the calling test again by a command, with a variable set.
func reexecute(t *testing.T, variable string, by ...string) {
	t.Helper()
	by = append(by, os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd := exec.Command(by[0], by[1:]...)
	cmd.Env = append(outside(), variable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestAMountPointIsNeverFollowedOutside(t *testing.T) {
	root := hostRoot(t)
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "proc")); err != nil {
		t.Fatal(err)
	}
	_, err := shell(t, root, "true")
	if err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Fatalf("got %v", err)
	}
}

// TestMountsStayInside enters from a namespace that shares its mounts, as those
// of systemd do.
func TestMountsStayInside(t *testing.T) {
	if os.Getenv("IMGBUILD_TEST_SHARED") != "" {
		info, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(info)) {
			if strings.Contains(line, " shared:") {
				t.Errorf("a mount is shared with the outside: %s", line)
			}
		}
		return
	}
	reexecute(t, "IMGBUILD_TEST_SHARED", "unshare", "--mount", "--propagation", "shared")
}
