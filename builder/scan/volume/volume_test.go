package volume_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/disk/gpt"
	"imgbuild/builder/disk/qcow2"
	"imgbuild/builder/scan/volume"
	"imgbuild/provisioners/system"
)

// TestTheTreeOfAServer assembles the same disk as the kernel does, from every
// form of the image.
func TestTheTreeOfAServer(t *testing.T) {
	disk := server(t)
	v := open(t, disk)
	lines, err := describe(v)
	must(t, err)
	for name, want := range map[string]string{"/home/hidden": "", "/home/user/.profile": "FileSystem:", "/var/log/audit/audit.log": "FileSystem:", "/var/tmp/kept": "FileSystem:"} {
		if got := lines[name]; (got == "") != (want == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, name := range []string{"/to-home/up", "/bin/tool", "/usr/bin/tool", "/home/user/up"} {
		if info, err := v.Stat(name); err != nil || info.Size != 400000 {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
	}
	if got := v.Unseen(); len(got) != 1 || got[0] != "what partition 2 has below /home, where partition 3 is mounted" {
		t.Errorf("unseen: %q", got)
	}
	t.Run("mounts", func(t *testing.T) { checkMounts(t, v) })
	t.Run("forms", func(t *testing.T) { checkForms(t, disk, lines) })
	t.Run("kernel", func(t *testing.T) {
		at := t.TempDir()
		for _, place := range []string{"/", "/home", "/tmp", "/var", "/var/log", "/var/tmp", "/var/log/audit"} {
			for _, p := range v.Partitions() {
				if p.Mount == place {
					mount(t, disk, p, filepath.Join(at, place))
				}
			}
		}
		r, err := system.OpenRoot(at)
		must(t, err)
		defer r.Close()
		want, err := describe(r)
		must(t, err)
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("-kernel +read:\n%s", diff)
		}
	})
}

// TestNoTypeHidesAPartition has a file system that a server could mount, under the
// type of what only the firmware reads.
func TestNoTypeHidesAPartition(t *testing.T) {
	for _, kind := range []gpt.GUID{gpt.TypeESP, gpt.TypeBIOSBoot} {
		v := open(t, raw(t, part{name: "root", kind: gpt.TypeRootAMD64, tree: dir(t, nil)}, part{name: "x", kind: kind, tree: dir(t, nil)}))
		if got := v.Unseen(); len(got) != 1 || got[0] != "partition 2 (ext4)" {
			t.Errorf("unseen: %q", got)
		}
	}
}

// TestWhatAServerShowsElsewhereIsUnseen has directories that a server of the disk
// mounts over others.
func TestWhatAServerShowsElsewhereIsUnseen(t *testing.T) {
	v := open(t, raw(t, part{name: "root", kind: gpt.TypeRootAMD64, tree: dir(t, map[string]string{
		"etc/fstab": "/srv/ssh /etc/ssh none rw,bind 0 0\nall /usr overlay lowerdir=/usr,upperdir=/srv/usr,workdir=/srv/w 0 0\n/srv/a /srv/b none bind,noauto 0 0\n",
	})}))
	want := []string{"what is at /usr once all is mounted there (overlay)", "what is at /etc/ssh once /srv/ssh is mounted there (none)"}
	if diff := cmp.Diff(want, v.Unseen()); diff != "" {
		t.Error(diff)
	}
}

func checkMounts(t *testing.T, v *volume.Volume) {
	read, left := map[string]int{}, map[string]string{}
	for _, m := range v.Mounts() {
		if m.Read {
			read[m.Path] = m.Partition
		} else {
			left[m.Path] = m.Why
		}
	}
	if diff := cmp.Diff(map[string]int{"/": 2, "/home": 3, "/tmp": 4, "/var": 5, "/var/tmp": 6, "/var/log": 7, "/var/log/audit": 8}, read); diff != "" {
		t.Error(diff)
	}
	if len(left) != 4 || !strings.Contains(left["/boot/efi"], "noauto") || left["/srv"] == "" || left["none"] == "" || left["/dev/shm"] == "" {
		t.Errorf("left alone: %q", left)
	}
	if esp := v.Partitions()[0]; esp.FileSystem != "vfat" || esp.UUID != "1234-ABCD" || esp.Label != "ESP" {
		t.Errorf("the ESP is %+v", esp)
	}
}

func checkForms(t *testing.T, disk string, want map[string]string) {
	at := func(name string) string { return filepath.Join(t.TempDir(), name) }
	forms := map[string]string{"own zstd": convert(t, disk, qcow2.Zstd), "own deflate": convert(t, disk, qcow2.Deflate)}
	for name, options := range map[string][]string{
		"plain":            nil,
		"zlib":             {"-c"},
		"zstd":             {"-c", "-o", "compression_type=zstd"},
		"version 2":        {"-c", "-o", "compat=0.10"},
		"small clusters":   {"-c", "-o", "cluster_size=512"},
		"large clusters":   {"-c", "-o", "compression_type=zstd,cluster_size=2M"},
		"allocated before": {"-o", "preallocation=metadata"},
	} {
		forms[name] = at("disk.qcow2")
		args := append([]string{"convert", "-f", "raw", "-O", "qcow2"}, options...)
		run(t, "qemu-img", append(args, disk, forms[name])...)
	}
	for name, path := range forms {
		lines, err := describe(open(t, path))
		if diff := cmp.Diff(want, lines); diff != "" || err != nil {
			t.Errorf("%s: %v\n-raw +form:\n%.2000s", name, err, diff)
		}
	}
}

// TestReadersInParallel reads everything from several goroutines at once, by the
// same names and others.
func TestReadersInParallel(t *testing.T) {
	v := open(t, convert(t, server(t), qcow2.Zstd))
	want, err := describe(v)
	must(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := describe(v); err != nil || !cmp.Equal(want, got) {
				t.Errorf("%v\n%s", err, cmp.Diff(want, got))
			}
		})
	}
	wg.Wait()
}

func TestPartitionsAreFoundAsFstabNamesThem(t *testing.T) {
	other := dir(t, map[string]string{"in": "in"})
	for source, want := range map[string]string{
		"UUID=" + uuid("data"):                      "",
		"UUID=" + strings.ToUpper(uuid("data")):     "",
		"LABEL=data":                                "",
		"LABEL='data'":                              "",
		"PARTUUID=" + partuuid("data"):              "",
		"PARTLABEL=data":                            "",
		"/dev/disk/by-uuid/" + uuid("data"):         "",
		"/dev/disk/by-label/data":                   "",
		"/dev/disk/by-partuuid/" + partuuid("data"): "",
		"/dev/disk/by-partlabel/da\\x74a":           "",
		"/dev/vda2":                                 "",
		"/dev/sda2":                                 "",
		"/dev/nvme0n1p2":                            "",
		"/dev/vdb2":                                 "no partition of the disk",
		"/dev/vda02":                                "no partition of the disk",
		"/dev/vda3":                                 "no partition of the disk",
		"/dev/mapper/data":                          "no partition of the disk",
		"UUID=":                                     "no partition of the disk",
		"LABEL=dat":                                 "no partition of the disk",
		"/dev/vda1":                                 "is at / already",
	} {
		disk := raw(t,
			part{name: "root", kind: gpt.TypeRootAMD64, tree: dir(t, map[string]string{"etc/fstab": source + " /data ext4\n", "data/": ""})},
			part{name: "data", kind: linux, tree: other})
		v, err := volume.Open(disk)
		if want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/etc/fstab:1: mounting /data") {
				t.Errorf("%s: %v", source, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if _, err := v.Lstat("/data/in"); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		must(t, v.Close())
	}
}

func TestWrongTables(t *testing.T) {
	data := part{name: "data", kind: linux, tree: dir(t, nil)}
	for fstab, want := range map[string]string{
		"LABEL=data /missing ext4\n":                     "the mount point does not exist",
		"LABEL=data /etc/fstab ext4\n":                   "no directory",
		"LABEL=data /data ext4\nLABEL=data /data ext4\n": "at /data already",
		"LABEL=other /data ext4\n":                       "no partition of the disk is LABEL=other",
		"LABEL=data /data xfs\n":                         "its type is xfs",
		"LABEL=root / btrfs\n":                           "its type is btrfs",
		"LABEL=data / ext4\n":                            "which is the disk's root",
		"LABEL=data data ext4\n":                         "not absolute",
		"LABEL=data\n":                                   "1 fields",
		"LABEL=root / ext4\nLABEL=root / ext4\n":         "twice",
		strings.Repeat("tmpfs /x tmpfs\n", 2000):         "more than 1024",
	} {
		disk := raw(t, part{name: "root", kind: gpt.TypeRootAMD64, tree: dir(t, map[string]string{"etc/fstab": fstab, "data/": ""})}, data)
		if _, err := volume.Open(disk); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", fstab, err, want)
		}
	}
}

func TestTheRootIsFound(t *testing.T) {
	tree, empty := dir(t, map[string]string{"root": ""}), dir(t, nil)
	luks := append([]byte("LUKS\xba\xbe"), make([]byte, megabyte)...)
	for name, tc := range map[string]struct {
		parts []part
		want  int
	}{
		"by its type":     {[]part{{name: "a", kind: linux, tree: empty}, {name: "b", kind: gpt.TypeRootARM64, tree: tree}}, 2},
		"by its name":     {[]part{{name: "root", kind: linux, tree: tree}, {name: "b", kind: linux, tree: empty}}, 1},
		"as the only one": {[]part{{name: "a", kind: linux, bytes: luks}, {name: "b", kind: linux, tree: tree}}, 2},
		"two of the type": {[]part{{name: "a", kind: gpt.TypeRootAMD64, tree: tree}, {name: "b", kind: gpt.TypeRootAMD64, tree: tree}}, 0},
		"two of no type":  {[]part{{name: "a", kind: linux, tree: tree}, {name: "b", kind: linux, tree: tree}}, 0},
		"encrypted":       {[]part{{name: "a", kind: gpt.TypeRootAMD64, bytes: luks}, {name: "b", kind: linux, tree: tree}}, 0},
		"not there":       {[]part{{name: "a", kind: linux, bytes: luks}}, 0},
	} {
		v, err := volume.Open(raw(t, tc.parts...))
		if (err == nil) != (tc.want > 0) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		if got := v.Mounts()[0].Partition; got != tc.want {
			t.Errorf("%s: partition %d", name, got)
		}
		if _, err := v.Lstat("/root"); err != nil {
			t.Error(err)
		}
		must(t, v.Close())
	}
}

func TestClosed(t *testing.T) {
	v, err := volume.Open(raw(t, part{name: "root", kind: linux, bytes: tiny(t, "checksums")}))
	must(t, err)
	must(t, v.Close())
	if _, err := v.ReadDir("/many"); err == nil {
		t.Error("a closed disk is read")
	}
	if _, err := volume.Open(filepath.Join(t.TempDir(), "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
