package proofcontrols_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"imgbuild/builder/host"
	"imgbuild/builder/scan"
	"imgbuild/builder/scan/layers"
	"imgbuild/images/control"
	"imgbuild/provisioners"
)

// platform is a release of Debian that controls are made for.
type platform struct {
	name, suite string

	once  sync.Once
	trees *trees
}

var platforms = []*platform{{name: "debian-12", suite: "bookworm"}, {name: "debian-13", suite: "trixie"}}

// machineRecipe is Debian with what the shipped machines have, and with the
// packages that controls want; nothing of it is hardened. Partitions are what the
// controls of mounts speak of.
const machineRecipe = `
description: Debian as it comes, with what controls want installed
suite: %s
architectures: [amd64]
priorities: [required]
packages: [ca-certificates, netbase, tzdata]
boot:
  packages: [%s]
outputs:
  container: {cmd: [/bin/bash]}
  vm:
    formats: [raw]
    size: 6GiB
    partitions:
      /home: {size: 128MiB}
      /tmp: {size: 128MiB}
      /var: {size: 1GiB}
      /var/tmp: {size: 128MiB}
      /var/log: {size: 256MiB}
      /var/log/audit: {size: 128MiB}
`

// shippedMachine is what boots besides, as the shipped recipes have it.
var shippedMachine = []string{
	"linux-image-cloud-${arch}", "initramfs-tools", "zstd", "shim-signed", "grub-efi-${arch}-signed", "systemd", "systemd-sysv", "udev", "dbus",
	"libpam-systemd", "iproute2", "systemd-resolved", "libnss-myhostname", "cloud-init", "cloud-guest-utils", "e2fsprogs", "sudo", "openssh-server",
}

// programsRecipe is a tree with the programs that some controls speak of, and
// that a machine need not or must not have.
const programsRecipe = `
description: programs that some controls speak of
suite: %s
architectures: [amd64]
priorities: [required]
packages: [ca-certificates, netbase, tzdata, systemd, systemd-sysv, systemd-timesyncd, nginx, apache2, libapache2-mod-security2, rsyslog, cron, ufw, nftables, logrotate]
outputs:
  container: {cmd: [/bin/bash]}
`

// trees are the stock trees of one release.
type trees struct{ machine, container, programs *snapshot }

// stock bakes the trees of a release, once a run.
func stock(t *testing.T, p *platform) *trees {
	t.Helper()
	if testing.Short() {
		t.Skip("bakes take too long for -short")
	}
	sources, err := host.AptSources()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sources.Mirror(host.ArchiveDebian, p.suite); err != nil {
		t.Skip("no mirror in apt's sources: ", err)
	}
	p.once.Do(func() { p.trees = bakeStock(t, p) })
	if p.trees == nil {
		t.Fatal("the trees could not be made: the first test that asked for them says why")
	}
	return p.trees
}

func bakeStock(t *testing.T, p *platform) *trees {
	t.Helper()
	project := filepath.Join(scratch, p.name)
	imgbuild(t, "init", project)
	var packages []string
	for _, name := range append(slices.Clone(shippedMachine), wanted(t, p)...) {
		packages = append(packages, fmt.Sprintf("%q", name))
	}
	export := func(version, to string, flags ...string) string {
		to = filepath.Join(project, to)
		imgbuild(t, append([]string{"images", "export", version, to, "--project", project}, flags...)...)
		return to
	}
	for name, text := range map[string]string{
		"machine": fmt.Sprintf(machineRecipe, p.suite, strings.Join(packages, ", ")), "programs": fmt.Sprintf(programsRecipe, p.suite),
	} {
		if err := os.WriteFile(filepath.Join(project, "baselines", name+".yaml"), []byte("name: "+name+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	machine, programs := bake(t, project, "machine"), bake(t, project, "programs")
	return &trees{
		machine:   openDisk(t, export(machine, "machine.raw")),
		container: openContainer(t, export(machine, "container", "--form", "oci")),
		programs:  openContainer(t, export(programs, "programs", "--form", "oci")),
	}
}

// wanted are the packages that controls want of every machine, as they come
// into the lock of a hardened one.
func wanted(t *testing.T, p *platform) []string {
	t.Helper()
	var list []string
	for _, c := range controls(t, p, control.Machine) {
		if c.When != nil {
			continue
		}
		present, _ := provisioners.Packages(c.Resources())
		for _, choice := range present {
			if !slices.Contains(list, choice[0]) {
				list = append(list, choice[0])
			}
		}
	}
	return list
}

func openDisk(t *testing.T, path string) *snapshot {
	t.Helper()
	target, err := scan.Disk(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := takeSnapshot(target.System)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openContainer(t *testing.T, dir string) *snapshot {
	t.Helper()
	source, err := layers.ParseSource("oci:" + dir)
	if err != nil {
		t.Fatal(err)
	}
	target, err := scan.Container(t.Context(), source, scratch)
	if err != nil {
		t.Fatal(err)
	}
	s, err := takeSnapshot(target.System)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
