package proofboot_test

import (
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/launch/boottest"
	"imgbuild/images/peertest"
)

// An emulated machine has one processor: as many of these tests run side by side
// as there are.

// TestTheDebian12ServerBoots boots one qcow2 under Secure Boot, under BIOS, in a
// boot trial, and, as a user who tries it, under UEFI. One machine has the
// devices of a hypervisor that the other lacks.
func TestTheDebian12ServerBoots(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "qemu-system-x86_64", "qemu-img")
	reach(t, "bookworm")
	baked := bake(t, "debian-12-nginx")
	disk := baked.disk(t)
	t.Run("disk", func(t *testing.T) { holdToManifest(t, baked, disk) })
	t.Run("scan", func(t *testing.T) { holdToScan(t, baked) })
	machines := []boottest.Options{
		// The boot trial restarts it.
		{Disk: disk, Firmware: launch.SecureBoot, Once: true},
		{Disk: disk, Firmware: launch.BIOS, VGA: true, Agent: true, Once: true},
	}
	boottest.Prove(t, machines, func(t *testing.T, g *boottest.Guest) {
		all := ofMachine(g)
		if g.Options.Firmware == launch.BIOS {
			all = questions(baked, g) // one machine answers for the image
		}
		inspect(t, g, all)
	})
	t.Run("boot trial", func(t *testing.T) {
		t.Parallel()
		peertest.Need(t, "podman", "crun")
		bootTrial(t, baked)
	})
	t.Run("tried", func(t *testing.T) {
		t.Parallel()
		peertest.Need(t, "ssh")
		try(t, baked)
	})
}

// TestTheDebian13ServerBoots boots a child of the shipped baseline, which has
// what only a first boot can finish.
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
	inspect(t, g, append(questions(baked, g), ofFirstBoot()...))
}
