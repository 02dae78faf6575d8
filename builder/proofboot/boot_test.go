package proofboot_test

import (
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/launch/boottest"
)

// The machines of these tests are emulated where there is no KVM, so they run
// one after the other: none of the tests is parallel.

// TestTheDebian12ServerBoots boots one qcow2 under BIOS, UEFI and Secure Boot.
func TestTheDebian12ServerBoots(t *testing.T) {
	need(t, "qemu-system-x86_64", "qemu-img")
	baked := bake(t, "debian-12-nginx", "bookworm")
	boottest.Prove(t, baked.disk(t), func(t *testing.T, g *boottest.Guest) { inspect(t, baked, g) })
}

func TestTheDebian13ServerBoots(t *testing.T) {
	need(t, "qemu-system-x86_64", "qemu-img")
	baked := bake(t, "debian-13-nginx", "trixie")
	g := boottest.Boot(t, boottest.Options{Disk: baked.disk(t), Firmware: launch.SecureBoot})
	g.Check(t, launch.SecureBoot)
	inspect(t, baked, g)
}
