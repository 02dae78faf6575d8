package deb822

import "imgbuild/images/advisory/ecosystem/debversion"

// CompareVersions returns how dpkg orders two version numbers: negative when
// a is earlier than b, 0 when they are equal, positive when a is later.
func CompareVersions(a, b string) int { return debversion.Compare(a, b) }

// IsVersion reports whether v is a version number: [epoch:]upstream[-revision]
// of the characters that deb-version(7) allows.
func IsVersion(v string) bool { return debversion.Valid(v) }
