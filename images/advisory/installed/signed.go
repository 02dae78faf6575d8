package installed

import (
	"regexp"
	"strings"
)

// Debian signs what boots for Secure Boot in source packages of their own, made from
// what another source package built (https://wiki.debian.org/SecureBoot). Advisories
// speak of that other one alone: a kernel is built from linux-signed-amd64 6.1.192+2,
// and what is published is about linux 6.1.192-2.
var signed = []struct {
	name *regexp.Regexp
	// source is that of the other one, and prefix what stands before its version.
	source, prefix string
}{
	{regexp.MustCompile(`^linux-signed((?:-[0-9][0-9.]*)?)-[a-z0-9]+$`), "linux$1", ""},
	{regexp.MustCompile(`^grub-efi-[a-z0-9]+-signed$`), "grub2", "1+"},
	{regexp.MustCompile(`^shim-helpers-[a-z0-9]+-signed$`), "shim", "1+"},
	{regexp.MustCompile(`^fwupd-[a-z0-9]+-signed$`), "fwupd-efi", ""},
	{regexp.MustCompile(`^systemd-boot-efi-[a-z0-9]+-signed$`), "systemd", ""},
}

// Unsigned is what a source package of Debian that only signs was made from, with its
// version; other source packages are what they are. A version of one that signs has a
// plus in place of the hyphen, for it is native.
func Unsigned(name, version string) (string, string) {
	if !strings.Contains(name, "-signed") {
		return name, version
	}
	for _, s := range signed {
		if !s.name.MatchString(name) {
			continue
		}
		version = strings.TrimPrefix(version, s.prefix)
		if !strings.Contains(version, "-") {
			version = strings.Replace(version, "+", "-", 1)
		}
		return s.name.ReplaceAllString(name, s.source), version
	}
	return name, version
}
