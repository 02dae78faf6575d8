package proofboot_test

import (
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/launch/boottest"
)

// An emulated machine has one processor: as many of these tests run side by side
// as there are.

// TestTheDebian12ServerBoots boots one qcow2 under Secure Boot, under BIOS, and,
// as a user who tries it, under UEFI.
func TestTheDebian12ServerBoots(t *testing.T) {
	t.Parallel()
	need(t, "qemu-system-x86_64", "qemu-img")
	baked := bake(t, "debian-12-nginx", "bookworm")
	firmwares := []launch.Firmware{launch.SecureBoot, launch.BIOS}
	boottest.Prove(t, baked.disk(t), firmwares, func(t *testing.T, g *boottest.Guest) { inspect(t, baked, g) })
	t.Run("tried", func(t *testing.T) {
		t.Parallel()
		need(t, "ssh")
		try(t, baked)
	})
}

func TestTheDebian13ServerBoots(t *testing.T) {
	t.Parallel()
	need(t, "qemu-system-x86_64", "qemu-img")
	baked := bake(t, "debian-13-nginx", "trixie")
	g := boottest.Boot(t, boottest.Options{Disk: baked.disk(t), Firmware: launch.SecureBoot})
	g.Check(t, launch.SecureBoot)
	inspect(t, baked, g)
}
