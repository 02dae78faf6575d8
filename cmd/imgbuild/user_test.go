package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// smallWeb is a baseline with every form of output.
const smallWeb = `description: a web server in every form
extends: debian-12-nginx
outputs:
  vm: {formats: [qcow2, raw]}
`

// TestAUserBakesWhatRootBakes bakes the same recipe and lock as root and as an
// ordinary user with empty caches, umask and time zone differing: container and
// disks have the same digests.
func TestAUserBakesWhatRootBakes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; CI runs as root")
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "imgbuild-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := copyOfProgram(t, dir)

	root := &baker{t: t, program: program, home: filepath.Join(dir, "root"), environment: []string{"TZ=UTC"}}
	root.make()
	asRoot := root.bake()

	other := &baker{t: t, program: program, home: filepath.Join(dir, "user"), user: newUser(t),
		environment: []string{"TZ=Asia/Kolkata", "LC_ALL=C.UTF-8", "IMGBUILD_ARCHIVE_SOURCES=" + filepath.Join(root.project(), ".imgbuild", "archive")}}
	other.make()
	lock := filepath.Join("locks", "web.lock")
	if err := copyFile(filepath.Join(root.project(), lock), filepath.Join(other.project(), lock)); err != nil {
		t.Fatal(err)
	}
	other.own()
	asUser := other.bake()

	if asRoot.Container == "" || len(asRoot.Disks) != 2 {
		t.Fatalf("root's bake lacks outputs: %+v", asRoot)
	}
	if diff := cmp.Diff(asRoot.Container, asUser.Container); diff != "" {
		t.Errorf("container (-root +user):\n%s", diff)
	}
	if diff := cmp.Diff(asRoot.Disks, asUser.Disks); diff != "" {
		t.Errorf("disks (-root +user):\n%s", diff)
	}
}

// baker bakes in a project of its own, as root or as another user.
type baker struct {
	t           *testing.T
	program     string
	home        string
	user        *user.User
	environment []string
}

func (b *baker) project() string { return filepath.Join(b.home, "project") }

// make makes the project with the baseline.
func (b *baker) make() {
	b.t.Helper()
	if err := os.Mkdir(b.home, 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.own()
	b.run("init", b.project())
	if err := os.WriteFile(filepath.Join(b.project(), "baselines", "web.yaml"), []byte(smallWeb), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// own hands everything below the home to the user.
func (b *baker) own() {
	b.t.Helper()
	if b.user == nil {
		return
	}
	if out, err := exec.Command("chown", "-R", b.user.Username+":", b.home).CombinedOutput(); err != nil {
		b.t.Fatalf("chown: %v: %s", err, out)
	}
}

func (b *baker) bake() bakedImage {
	b.t.Helper()
	var baked bakedImage
	out := b.run("bake", "web", "--project", b.project(), "--output", "json")
	if err := json.Unmarshal(out, &baked); err != nil {
		b.t.Fatalf("%v in %s", err, out)
	}
	return baked
}

// run runs imgbuild, with a umask of its own for the user.
func (b *baker) run(args ...string) []byte {
	b.t.Helper()
	script := "umask 022; exec \"$@\""
	if b.user != nil {
		script = "umask 077; exec \"$@\""
	}
	cmd := exec.CommandContext(b.t.Context(), "sh", append([]string{"-c", script, "sh", b.program}, args...)...)
	cmd.Dir = b.home
	cmd.Env = append([]string{"HOME=" + b.home, "PATH=" + os.Getenv("PATH"), "IMGBUILD_KEY_PASSWORD=for this test"}, b.environment...)
	if b.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(b.t, b.user)}
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("imgbuild %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return out.Bytes()
}

func credential(t *testing.T, u *user.User) *syscall.Credential {
	t.Helper()
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// newUser makes an ordinary user with subordinate ids for the time of the test.
func newUser(t *testing.T) *user.User {
	t.Helper()
	name := fmt.Sprintf("imgbuild-test-%d", os.Getpid())
	if out, err := exec.Command("useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name).CombinedOutput(); err != nil {
		t.Fatalf("useradd: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("userdel", name).CombinedOutput(); err != nil {
			t.Errorf("userdel: %v: %s", err, out)
		}
	})
	made, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// copyOfProgram puts this test's program where every user may run it; by its
// name it is imgbuild.
func copyOfProgram(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "imgbuild")
	if err := copyFile(self, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
