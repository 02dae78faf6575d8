package proofboot_test

import (
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/launch/boottest"
	"imgbuild/images/peertest"
)

// An emulated machine has one processor: as many of these tests run side by side
// as there are.

// TestTheDebian12ServerBoots boots two copies of one qcow2: under Secure Boot, as
// a user who tries it, and under BIOS, with a larger disk and the devices of a
// hypervisor that the other lacks. Nothing of an identity may be in both.
func TestTheDebian12ServerBoots(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "qemu-system-x86_64", "qemu-img", "ssh")
	reach(t, "bookworm")
	baked := bake(t, "debian-12-nginx")
	disk := baked.disk(t)
	var first, second boottest.Identity
	// The longest of all: it waits for no other test.
	t.Run("secureboot", func(t *testing.T) { first = holdsAfterBothStarts(t, baked) })
	t.Run("beside", func(t *testing.T) {
		t.Run("bios", func(t *testing.T) {
			t.Parallel()
			g := boottest.Boot(t, boottest.Options{Disk: disk, Firmware: launch.BIOS, VGA: true, Agent: true})
			second = g.Check(t)
			inspect(t, g, append(questions(baked, g), ofLogs()...))
		})
		t.Run("disk", func(t *testing.T) {
			t.Parallel()
			holdToScan(t, baked)
			holdToManifest(t, baked, disk)
		})
	})
	if !t.Failed() && (first.MachineID == second.MachineID || first.HostKeys == second.HostKeys) {
		t.Errorf("two copies of the image share an identity: %+v and %+v", first, second)
	}
}

// TestTheDebian13ServerBoots boots a child of the shipped baseline, which has
// what only a first boot can finish. What a first boot writes is known only by
// asking for every file.
func TestTheDebian13ServerBoots(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "qemu-system-x86_64", "qemu-img")
	reach(t, "trixie")
	baked := bake(t, "proof-data", project(t)...)
	disk := baked.disk(t)
	t.Run("disk", func(t *testing.T) { holdToManifest(t, baked, disk) })
	t.Run("scan", func(t *testing.T) { holdToScan(t, baked) })
	g := boottest.Boot(t, boottest.Options{Disk: disk, Firmware: launch.SecureBoot})
	g.Check(t)
	// All files take an emulated machine minutes; the one with Debian 12 is asked.
	configuration := question{"configuration", `sudo aide --check --config=/etc/aide/aide.conf --limit=/etc >/home/debian/aide 2>&1 || head -n 30 /home/debian/aide`, is("")}
	inspect(t, g, append(append(questions(baked, g), ofFirstBoot()...), configuration))
}
