package gpt_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := table()
	want.Partitions[1].Name, want.Partitions[1].Attributes = "Größe 𝄞", 1<<60
	data, err := os.ReadFile(write(t, want))
	if err != nil {
		t.Fatal(err)
	}
	got, err := gpt.Read(bytes.NewReader(data), int64(len(data)))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	// Every byte of header and entries is covered by a checksum.
	for at := 0; at < 34*gpt.SectorSize; at++ {
		data[at] ^= 0xff
		again, err := gpt.Read(bytes.NewReader(data), int64(len(data)))
		if err == nil && !cmp.Equal(got, again) {
			t.Fatalf("byte %d decides unnoticed: %+v", at, again)
		}
		if err == nil && at >= gpt.SectorSize && at < gpt.SectorSize+92 {
			t.Errorf("a damaged header at byte %d is accepted", at)
		}
		data[at] ^= 0xff
	}
	for _, size := range []int{0, 600, 20 << 10, 60 << 20} {
		if _, err := gpt.Read(bytes.NewReader(data[:size]), int64(size)); err == nil {
			t.Errorf("a disk cut to %d bytes is accepted", size)
		}
	}
	if _, err := gpt.Read(bytes.NewReader(make([]byte, 1<<20)), 1<<20); !errors.Is(err, gpt.ErrNone) {
		t.Errorf("an empty disk: %v", err)
	}
}

// TestSgdisksTableIsRead has a table with a gap in its numbers.
func TestSgdisksTableIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(path, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "sgdisk", "-n", "2:2048:4095", "-t", "2:8304", "-c", "2:root", "-n", "5:6144:8191", "-t", "5:ef00", path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := gpt.Read(f, 16<<20)
	if err != nil || len(got.Partitions) != 5 {
		t.Fatalf("%+v, %v", got, err)
	}
	if p := got.Partitions[1]; p.Name != "root" || p.Type != gpt.TypeRootAMD64 || p.First != 2048 || p.Last != 4095 {
		t.Errorf("partition 2 is %+v", p)
	}
	if p := got.Partitions[4]; p.Type != gpt.TypeESP || p.First != 6144 {
		t.Errorf("partition 5 is %+v", p)
	}
}
