package disk

import (
	"slices"

	"imgbuild/images/updates"
)

// LoaderPackages returns the packages of a lock's tools set of which parts end
// up on the disk beside the root file system: shim, its MOK manager and GRUB
// in the EFI system partition, GRUB's modules in the BIOS boot partition.
func LoaderPackages(lock *updates.Lock) []updates.Package {
	arch := lock.Architecture
	names := []string{"shim-signed", "shim-helpers-" + arch + "-signed", "grub-efi-" + arch + "-signed", "grub-pc-bin"}
	return slices.DeleteFunc(lock.InSet(updates.Tools), func(p updates.Package) bool { return !slices.Contains(names, p.Name) })
}
