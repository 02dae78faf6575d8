package sbom

import "strings"

// spdxID returns the SPDX licence identifier of a DEP-5 short name
// (Debian's copyright-format 1.0, section 7.1). Names that DEP-5 does not
// define are used for so many texts that only exact ones count.
func spdxID(name string) (string, bool) {
	lower := strings.ToLower(name)
	if id, ok := shortNames()[lower]; ok {
		return id, true
	}
	later := strings.HasSuffix(lower, "+")
	for _, suffix := range []string{"-or-later", "-only", "+"} {
		lower = strings.TrimSuffix(lower, suffix)
	}
	version, known := gnuVersions()[lower]
	switch {
	case !known:
		return "", false
	case later || strings.HasSuffix(strings.ToLower(name), "-or-later"):
		return version + "-or-later", true
	}
	return version + "-only", true
}

// gnuVersions are the licences that come with and without "or later".
func gnuVersions() map[string]string {
	return map[string]string{
		"gpl-1": "GPL-1.0", "gpl-1.0": "GPL-1.0",
		"gpl-2": "GPL-2.0", "gpl-2.0": "GPL-2.0",
		"gpl-3": "GPL-3.0", "gpl-3.0": "GPL-3.0",
		"lgpl-2": "LGPL-2.0", "lgpl-2.0": "LGPL-2.0",
		"lgpl-2.1": "LGPL-2.1",
		"lgpl-3":   "LGPL-3.0", "lgpl-3.0": "LGPL-3.0",
		"agpl-3": "AGPL-3.0", "agpl-3.0": "AGPL-3.0",
		"gfdl-1.1": "GFDL-1.1", "gfdl-1.2": "GFDL-1.2", "gfdl-1.3": "GFDL-1.3",
	}
}

// shortNames are the others, by lower-case short name.
func shortNames() map[string]string {
	return map[string]string{
		"apache-1.0": "Apache-1.0", "apache-1.1": "Apache-1.1", "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0",
		"artistic": "Artistic-1.0-Perl", "artistic-2": "Artistic-2.0", "artistic-2.0": "Artistic-2.0",
		"bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause",
		"bsd-4-clause-uc": "BSD-4-Clause-UC", "0bsd": "0BSD", "bsl-1.0": "BSL-1.0",
		"cc0": "CC0-1.0", "cc0-1.0": "CC0-1.0", "cc-by-3.0": "CC-BY-3.0", "cc-by-4.0": "CC-BY-4.0",
		"cc-by-sa-3.0": "CC-BY-SA-3.0", "cc-by-sa-4.0": "CC-BY-SA-4.0",
		"cddl-1.0": "CDDL-1.0", "cpl-1.0": "CPL-1.0", "curl": "curl",
		"expat": "MIT", "mit": "MIT", "fsful": "FSFUL", "fsfullr": "FSFULLR", "fsfap": "FSFAP",
		"isc": "ISC", "mpl-1.1": "MPL-1.1", "mpl-2.0": "MPL-2.0", "ofl-1.1": "OFL-1.1",
		"openssl": "OpenSSL", "postgresql": "PostgreSQL", "psf-2": "PSF-2.0", "php-3.01": "PHP-3.01",
		"unicode-dfs-2016": "Unicode-DFS-2016", "unlicense": "Unlicense", "vim": "Vim",
		"x11": "X11", "zlib": "Zlib", "zpl-2.1": "ZPL-2.1", "wtfpl": "WTFPL", "wtfpl-2": "WTFPL",
	}
}
