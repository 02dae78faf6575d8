package gpt_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/builder/disk/gpt"
)

func table() gpt.Table {
	return gpt.Table{
		Disk:    gpt.Derive("seed", "disk"),
		Sectors: 256 << 11,
		Partitions: []gpt.Partition{
			{Name: "bios", Type: gpt.TypeBIOSBoot, ID: gpt.Derive("seed", "bios"), First: 2048, Last: 4095},
			{Name: "esp", Type: gpt.TypeESP, ID: gpt.Derive("seed", "esp"), First: 4096, Last: 4096 + 64<<11 - 1},
			{Name: "root", Type: gpt.TypeRootAMD64, ID: gpt.Derive("seed", "root"), First: 4096 + 64<<11, Last: 255<<11 - 1},
		},
	}
}

func write(t *testing.T, tab gpt.Table) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(int64(tab.Sectors) * gpt.SectorSize); err != nil {
		t.Fatal(err)
	}
	if err := tab.Write(f); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSgdiskAcceptsTheTable(t *testing.T) {
	path := write(t, table())
	if out := run(t, "sgdisk", "-v", path); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v:\n%s", out)
	}
	out := run(t, "sgdisk", "-i", "3", path)
	for _, want := range []string{
		strings.ToUpper(gpt.TypeRootAMD64.String()),
		"unique GUID: " + strings.ToUpper(gpt.Derive("seed", "root").String()),
		"Partition name: 'root'",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("sgdisk -i 3 lacks %q:\n%s", want, out)
		}
	}
}

func TestSfdiskAcceptsTheTable(t *testing.T) {
	path := write(t, table())
	if out := run(t, "sfdisk", "--verify", path); !strings.Contains(out, "No errors detected") {
		t.Errorf("sfdisk --verify:\n%s", out)
	}
	dump := run(t, "sfdisk", "--dump", path)
	for _, want := range []string{"label: gpt", "label-id: " + strings.ToUpper(gpt.Derive("seed", "disk").String()), "start=        2048, size=        2048"} {
		if !strings.Contains(dump, want) {
			t.Errorf("sfdisk --dump lacks %q:\n%s", want, dump)
		}
	}
}

func TestMBRCodeIsKept(t *testing.T) {
	path := write(t, table())
	code := bytes.Repeat([]byte{0x90}, 440)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(code, 0); err != nil {
		t.Fatal(err)
	}
	if err := table().Write(f); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 440)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, code) {
		t.Errorf("the boot code changed (%v)", err)
	}
}

func TestWrongTablesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*gpt.Table){
		"overlap":       func(t *gpt.Table) { t.Partitions[1].First = 4000 },
		"past the end":  func(t *gpt.Table) { t.Partitions[2].Last = t.Sectors - 1 },
		"reversed":      func(t *gpt.Table) { t.Partitions[0].Last = 2000 },
		"in the header": func(t *gpt.Table) { t.Partitions[0].First = 3 },
		"long name":     func(t *gpt.Table) { t.Partitions[0].Name = strings.Repeat("x", 37) },
		"tiny disk":     func(t *gpt.Table) { t.Sectors = 60 },
	} {
		t.Run(name, func(t *testing.T) {
			tab := table()
			change(&tab)
			if err := tab.Write(discard{}); err == nil {
				t.Error("accepted")
			}
		})
	}
}

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

func TestDerive(t *testing.T) {
	a := gpt.Derive("seed", "root")
	if a != gpt.Derive("seed", "root") || a == gpt.Derive("seed", "esp") || a == gpt.Derive("seeds", "root") || gpt.Derive("ab", "c") == gpt.Derive("a", "bc") {
		t.Error("a GUID must follow from seed and name alone")
	}
	back, err := gpt.Parse(strings.ToUpper(a.String()))
	if err != nil || back != a {
		t.Errorf("Parse(%s) = %s, %v", a, back, err)
	}
	for _, bad := range []string{"", "c12a7328", "c12a7328-f81f-11d2-ba4b-00a0c93ec93", "g12a7328-f81f-11d2-ba4b-00a0c93ec93b", "c12a7328xf81f-11d2-ba4b-00a0c93ec93b"} {
		if _, err := gpt.Parse(bad); err == nil {
			t.Errorf("Parse(%q) accepted", bad)
		}
	}
}
