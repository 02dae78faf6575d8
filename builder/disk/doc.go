// Package disk makes the disk of a virtual machine from a finished root
// directory: partition table, EFI system partition, BIOS boot loader and root
// file system, as a sparse raw image whose bytes follow from its inputs alone.
// It also gives the files that must lie in the root beforehand. It never
// mounts anything, never uses a loop device and never runs a tool of the host.
//
// # The order of a bake
//
//  1. NewLayout: every UUID is known before anything is written.
//  2. Files: written into the root before the boot packages are configured,
//     which happens with ConfigureEnvironment so that no initramfs is made yet.
//  3. Kernels and Menu: the names of the kernels, and /boot/grub/grub.cfg.
//  4. Initramfs: made once, when all that goes into it is there.
//  5. Build: the raw disk. qcow2.Write turns it into qcow2.
//
// # Packages
//
// The tools root holds, extracted and not configured, with what they depend on:
// e2fsprogs, dosfstools, mtools, grub-common, grub2-common, grub-pc-bin (amd64
// only), grub-efi-amd64-signed or grub-efi-arm64-signed, and shim-signed. The
// boot loader comes from there alone, so a bootable root needs no GRUB and no
// shim package. What it needs: a kernel (linux-image-cloud-amd64: its
// configuration has virtio, NVMe, ENA, vmxnet3 and pvscsi, and lacks AHCI and
// e1000; linux-image-amd64 has all), initramfs-tools, zstd, systemd-sysv, udev,
// dbus, e2fsprogs (e2fsck in the initramfs, resize2fs), cloud-init with
// cloud-guest-utils (growpart), openssh-server, iproute2,
// netbase, systemd-resolved and libnss-resolve. Debian 12 and 13 need the same.
package disk
