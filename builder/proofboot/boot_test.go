package proofboot_test

import (
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/launch/boottest"
)

// An emulated machine has one processor: as many of these tests run side by side
// as there are.

// TestTheDebian12ServerBoots boots one qcow2 under Secure Boot, under BIOS, and,
// as a user who tries it, under UEFI. One machine has the devices of a
// hypervisor that the other lacks.
func TestTheDebian12ServerBoots(t *testing.T) {
	t.Parallel()
	need(t, "qemu-system-x86_64", "qemu-img")
	reach(t, "bookworm")
	baked := bake(t, "debian-12-nginx")
	disk := baked.disk(t)
	machines := []boottest.Options{
		{Disk: disk, Firmware: launch.SecureBoot},
		{Disk: disk, Firmware: launch.BIOS, VGA: true, Agent: true},
	}
	boottest.Prove(t, machines, func(t *testing.T, g *boottest.Guest) { inspect(t, g, questions(baked, g)) })
	t.Run("tried", func(t *testing.T) {
		t.Parallel()
		need(t, "ssh")
		try(t, baked)
	})
}

func TestTheDebian13ServerBoots(t *testing.T) {
	t.Parallel()
	need(t, "qemu-system-x86_64", "qemu-img")
	reach(t, "trixie")
	baked := bake(t, "debian-13-nginx")
	g := boottest.Boot(t, boottest.Options{Disk: baked.disk(t), Firmware: launch.SecureBoot})
	g.Check(t)
	inspect(t, g, questions(baked, g))
}
