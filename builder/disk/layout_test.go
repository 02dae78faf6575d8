package disk_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"imgbuild/builder/disk"
	"imgbuild/images/fault"
	"imgbuild/images/peertest"
)

func layout(t *testing.T, size int64) disk.Layout {
	t.Helper()
	l, err := disk.NewLayout(disk.LayoutSpec{Seed: "debian-12-nginx", Architecture: "amd64", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLayoutFollowsFromItsSpec(t *testing.T) {
	l := layout(t, 0)
	if !reflect.DeepEqual(l, layout(t, disk.DefaultSize)) {
		t.Error("the same spec gave another layout")
	}
	if last := l.Partitions[len(l.Partitions)-1]; last.Role != disk.Root || last.Start+last.Size+1<<20 != l.Size {
		t.Errorf("the root file system does not end the disk: %+v", last)
	}
	seen := map[string]bool{}
	for _, other := range []disk.LayoutSpec{{Seed: "debian-12-nginx", Architecture: "amd64"}, {Seed: "other", Architecture: "amd64"}, {Seed: "other", Architecture: "arm64"}} {
		l, err := disk.NewLayout(other)
		if err != nil {
			t.Fatal(err)
		}
		ids := []string{l.ID.String()}
		for _, p := range l.Partitions {
			ids = append(ids, p.ID.String(), p.FileSystem.UUID)
		}
		for _, id := range ids {
			if id != "" && seen[id] {
				t.Errorf("%s appears twice", id)
			}
			seen[id] = true
		}
	}
	if l, err := disk.NewLayout(disk.LayoutSpec{Architecture: "arm64"}); err != nil || l.Partitions[0].Role != disk.ESP {
		t.Errorf("arm64 has no BIOS: %+v, %v", l, err)
	}
}

// TestLabelsTellPartitionsApart: a scan knows the root by its label.
func TestLabelsTellPartitionsApart(t *testing.T) {
	spec := disk.LayoutSpec{Architecture: "amd64", Size: 8 << 30}
	for _, mount := range []string{"/var/tmp", "/var-tmp", "/root", "/esp", "/srv/customers/one/a", "/srv/customers/one/b", "/srv/customers-one"} {
		spec.Data = append(spec.Data, disk.DataSpec{Mount: mount, Size: 64 << 20})
	}
	l, err := disk.NewLayout(spec)
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{}
	for _, p := range l.Partitions {
		label := p.FileSystem.Label
		if was, taken := labels[label]; taken || len(label) > 16 {
			t.Errorf("%s and %s are both called %q", was, p.FileSystem.Mount, label)
		}
		labels[label] = p.FileSystem.Mount
	}
	for label, mount := range map[string]string{"root": "/", "root-2": "/root", "var-tmp": "/var-tmp", "var-tmp-2": "/var/tmp", "srv-customers-on": "/srv/customers-one", "srv-customers--2": "/srv/customers/one/a", "srv-customers--3": "/srv/customers/one/b"} {
		if labels[label] != mount {
			t.Errorf("%q is of %s, want %s", label, labels[label], mount)
		}
	}
}

func TestWrongLayoutsAreTheUsersToMend(t *testing.T) {
	for _, s := range []disk.LayoutSpec{{Architecture: "i386"}, {Architecture: "amd64", Size: 1 << 20}, {Architecture: "amd64", Size: 4<<30 + 5}, {Architecture: "amd64", Size: -1}} {
		if _, err := disk.NewLayout(s); fault.KindOf(err) != fault.Input {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestFstab(t *testing.T) {
	peertest.Need(t, "findmnt")
	l := layout(t, 0)
	for _, f := range disk.Files(l) {
		if f.Path != "etc/fstab" {
			continue
		}
		path := filepath.Join(t.TempDir(), "fstab")
		if err := os.WriteFile(path, f.Content, f.Mode); err != nil {
			t.Fatal(err)
		}
		out := run(t, "findmnt", "--tab-file", path, "--noheadings", "--output", "TARGET,SOURCE,FSTYPE,PASSNO", "--list")
		root, _ := l.Find(disk.Root)
		want := "/ UUID=" + root.FileSystem.UUID + " ext4 1"
		if got := strings.Join(strings.Fields(strings.Split(out, "\n")[0]), " "); got != want {
			t.Errorf("the first line of fstab reads as %q, want %q", got, want)
		}
		return
	}
	t.Error("there is no fstab")
}

func bootWith(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "boot"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(root, "boot", n), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestKernels(t *testing.T) {
	got, err := disk.Kernels(bootWith(t, "vmlinuz-6.1.0-9-cloud-amd64", "vmlinuz-6.1.0-25-cloud-amd64", "vmlinuz-6.12.9+deb13-amd64", "initrd.img-6.1.0-9-cloud-amd64"))
	want := []string{"6.12.9+deb13-amd64", "6.1.0-25-cloud-amd64", "6.1.0-9-cloud-amd64"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := disk.Kernels(bootWith(t)); fault.HintOf(err) == "" {
		t.Errorf("a root without a kernel: %v", err)
	}
	if _, err := disk.Kernels(bootWith(t, "vmlinuz-1' ; halt '")); fault.KindOf(err) != fault.World {
		t.Errorf("a kernel's name that ends a quotation: %v", err)
	}
}

func TestMenu(t *testing.T) {
	l := layout(t, 0)
	menu, err := disk.Menu(l, []string{"6.1.0-25-cloud-amd64"}, []string{"console=ttyS0,115200n8", "quiet"})
	if err != nil {
		t.Fatal(err)
	}
	root, _ := l.Find(disk.Root)
	want := "linux /boot/vmlinuz-6.1.0-25-cloud-amd64 root=UUID=" + root.FileSystem.UUID + " ro console=ttyS0,115200n8 quiet\n"
	if !strings.Contains(string(menu), want) {
		t.Errorf("the menu lacks %q:\n%s", want, menu)
	}
	// A password guards changes, and never the boot itself.
	for _, want := range []string{"  source /boot/grub/user.cfg\n", "\nset superusers=\"root\"\n", "' --unrestricted {\n"} {
		if !strings.Contains(string(menu), want) {
			t.Errorf("the menu lacks %q:\n%s", want, menu)
		}
	}
	if program, err := exec.LookPath("grub-script-check"); err == nil {
		cmd := exec.Command(program)
		cmd.Stdin = bytes.NewReader(menu)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("GRUB refuses the menu: %v\n%s", err, out)
		}
	}
	for _, bad := range []string{"", "a b", "a;halt", "$x", "x'y", "a\nb"} {
		if _, err := disk.Menu(l, []string{"1"}, []string{bad}); fault.KindOf(err) != fault.Input {
			t.Errorf("argument %q: %v", bad, err)
		}
	}
}
