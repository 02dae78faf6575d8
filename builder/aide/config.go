// Package aide writes the configuration by which aide(1) holds a server against
// what its image was: the classes of paths of imgbuild/images/integrity in the
// words of aide.conf(5), so that AIDE, the integrity manifest and drift judge
// alike; and it takes out of AIDE's database what two servers of an image do not
// share. It never runs AIDE.
package aide

import (
	"fmt"
	"slices"
	"strings"

	"imgbuild/images/integrity"
)

// Where Debian's aide and those who look for it expect both.
const (
	ConfigPath   = "etc/aide/aide.conf"
	DatabasePath = "var/lib/aide/aide.db"
)

// head says what is compared. All of it is the same on every file system: no
// inode numbers, no change times, no blocks, nothing of a directory's size,
// links or time, which say no more than that something in it came or went.
// Seeded paths may appear and vanish (ANF, ARF), as in integrity.Drift.
//
// The audit tools are compared as CIS Debian Linux 12 Benchmark v1.1.0, 6.3.3,
// wants it, which is with numbers of the file system, too: nothing is said when
// these alone are not those of the database (see Normalize).
const head = `# What every server of this image is held against. It is made with the image
# from its classes of paths, as the database is.

%s=file:/` + DatabasePath + `
database_out=file:/` + DatabasePath + `.new
database_new=file:/` + DatabasePath + `.new
gzip_dbout=no
database_add_metadata=no
# No image knows on which inodes and blocks a server has its files.
report_ignore_changed_attrs=i+b
# The daily comparison's output goes to the journal.
report_url=stdout

Content = ftype+p+u+g+n+s+m+sha512+acl+xattrs+caps
Directory = ftype+p+u+g+acl+xattrs
Link = ftype+p+u+g+l
Other = ftype+p+u+g
Seeded = p+u+g+acl+ANF+ARF
SeededLink = Seeded+l
`

// The word by which aide.conf names the database, once: checkers look for a line
// of either, and take two for one with a line break in it. The old one is that of
// AIDE before 0.17 (NEWS), which 0.18 takes with a warning, and 0.19 no more; it
// is the one that checkers of Debian 12 know.
const (
	DatabaseWord    = "database_in"
	OldDatabaseWord = "database"
)

// auditTools are the programs that would show an intruder, and auditAttributes
// what is compared of them.
var auditTools = []string{"auditctl", "auditd", "ausearch", "aureport", "autrace", "augenrules"}

const auditAttributes = "p+i+n+u+g+s+b+acl+selinux+xattrs+sha512"

// Config gives /etc/aide/aide.conf for these classes; word is that for the database.
func Config(rules integrity.Rules, word string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, head, word)
	b.WriteString("\n# Variable paths.\n")
	for i, r := range rules {
		if r.Class == integrity.Variable {
			fmt.Fprintf(&b, "!%s\n", expression(rules, i))
		}
	}
	b.WriteString("# The database cannot hold its own sum.\n")
	fmt.Fprintf(&b, "!/%s$\n", literal(DatabasePath))
	b.WriteString("\n# Paths seeded at first boot, and variable directories that hold others.\n")
	for i, r := range rules {
		if r.Class == integrity.Seeded {
			fmt.Fprintf(&b, "%s %s\n", expression(rules, i), seeded(r))
		}
	}
	for _, dir := range held(rules) {
		fmt.Fprintf(&b, "/%s$ Seeded\n", dir)
	}
	b.WriteString("\n# The audit tools.\n")
	for _, tool := range auditTools {
		fmt.Fprintf(&b, "/usr/sbin/%s %s\n", tool, auditAttributes)
	}
	b.WriteString("\n# All else is immutable.\n/ f Content\n/ d Directory\n/ l Link\n/ Other\n")
	return []byte(b.String())
}

// seeded is what a rule of seeded paths compares. AIDE cannot tell links by where
// they point: of those that one rule speaks of, any may come, and none that is
// in the image may point elsewhere.
func seeded(r integrity.Rule) string {
	if r.Target != "" {
		return "l SeededLink"
	}
	return "Seeded"
}

// expression is a rule as a regular expression of PCRE. Whatever order AIDE asks
// its rules in (the deepest path first, exclusions before all), each path must
// match those of one class alone: where a later rule says otherwise, the
// expression does not match, and an exclusion does not match the directories
// above it either, or AIDE would not go there.
func expression(rules integrity.Rules, i int) string {
	var but []string
	for _, later := range rules[i+1:] {
		if later.Class == rules[i].Class || later.Target != "" || !meet(rules[i].Pattern, later.Pattern) {
			continue
		}
		if w := whole(later.Pattern); !slices.Contains(but, w) {
			but = append(but, w)
		}
	}
	if rules[i].Class == integrity.Variable {
		for _, dir := range above(rules, i) {
			if dir += "$"; !slices.Contains(but, dir) {
				but = append(but, dir)
			}
		}
	}
	guard := ""
	if len(but) > 0 {
		guard = "(?!" + strings.Join(but, "|") + ")"
	}
	return "/" + guard + whole(rules[i].Pattern)
}

// above are the directories on the way to what later rules take out of a
// variable one, as expressions.
func above(rules integrity.Rules, i int) []string {
	var out []string
	seen := map[string]bool{}
	for _, later := range rules[i+1:] {
		if later.Class == integrity.Variable || later.Target != "" {
			continue
		}
		elements := strings.Split(strings.TrimSuffix(later.Pattern, "/**"), "/")
		if !strings.HasSuffix(later.Pattern, "/**") {
			elements = elements[:len(elements)-1]
		}
		for n := 1; n <= len(elements); n++ {
			dir := strings.Join(elements[:n], "/")
			if at := translate(dir); !seen[at] && meet(rules[i].Pattern, dir) {
				seen[at] = true
				out = append(out, at)
			}
		}
	}
	return out
}

// held are the directories of above for all rules, without those that are
// seeded themselves.
func held(rules integrity.Rules) []string {
	var out []string
	seen := map[string]bool{}
	for _, r := range rules {
		if r.Class == integrity.Seeded {
			seen[translate(r.Pattern)] = true
		}
	}
	for i, r := range rules {
		if r.Class != integrity.Variable {
			continue
		}
		for _, dir := range above(rules, i) {
			if !seen[dir] {
				seen[dir] = true
				out = append(out, dir)
			}
		}
	}
	return out
}
