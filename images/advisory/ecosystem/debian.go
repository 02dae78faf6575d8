package ecosystem

// debianReleases are the numbers of Debian's releases by code name
// (https://wiki.debian.org/DebianReleases).
var debianReleases = map[string]string{
	"woody": "3.0", "sarge": "3.1", "etch": "4.0", "lenny": "5.0", "squeeze": "6.0", "wheezy": "7", "jessie": "8", "stretch": "9",
	"buster": "10", "bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "duke": "15",
	"sid": "unstable", "unstable": "unstable",
}

// DebianRelease is the number of a release of Debian by its code name, and
// "unstable" for sid; it is empty for a name that is none.
func DebianRelease(codename string) string { return debianReleases[codename] }

// DebianCodename is the code name of a release of Debian by its number; it is empty
// for a number that is none.
func DebianCodename(number string) string {
	for name, n := range debianReleases {
		if n == number && name != "unstable" {
			return name
		}
	}
	return ""
}
