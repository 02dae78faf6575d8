package install_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"imgbuild/builder/debian/deb822"
	"imgbuild/builder/sandbox"
	"imgbuild/images/integrity"
	"imgbuild/images/updates"
	"imgbuild/provisioners/tree"
)

// ownDev is why each file of /dev is allowed to differ.
const ownDev = "mmdebstrap's own: kept by --skip=output/dev; a bake's sandbox mounts its own /dev"

// allowed names every file that may differ from mmdebstrap's, and why.
var allowed = map[string]string{
	"etc/apt/sources.list":                "mmdebstrap's own: the caller's list of mirrors",
	"etc/hostname":                        "mmdebstrap's own: copied from the host",
	"etc/resolv.conf":                     "mmdebstrap's own: copied from the host",
	"etc/fstab":                           "mmdebstrap's own: an empty table",
	"var/cache/apt/archives/lock":         "apt's lock; the packages were not installed by apt",
	"var/lib/apt/lists/lock":              "apt's lock; the packages were not installed by apt",
	"var/cache/apt/archives/partial":      "apt makes its directory private when it fetches; nothing is fetched here",
	"var/lib/apt/lists/partial":           "apt makes its directory private when it fetches; nothing is fetched here",
	"etc/machine-id":                      "emptied by mmdebstrap; random; emptied at seal",
	"etc/passwd-":                         "what a tool had one write ago: tells the order of configuration",
	"etc/group-":                          "what a tool had one write ago: tells the order of configuration",
	"etc/shadow-":                         "what a tool had one write ago: tells the order of configuration",
	"etc/gshadow-":                        "what a tool had one write ago: tells the order of configuration",
	"var/cache/debconf/config.dat-old":    "what debconf had one write ago",
	"var/cache/debconf/templates.dat-old": "what debconf had one write ago",
	"var/cache/ldconfig/aux-cache":        "removed by mmdebstrap; holds inode numbers; removed at seal",
	"var/log/alternatives.log":            "removed by mmdebstrap; removed at seal",
	"var/lib/dpkg/status-old":             "what dpkg had one write ago",
	"dev/console":                         ownDev,
	"dev/fd":                              ownDev,
	"dev/full":                            ownDev,
	"dev/null":                            ownDev,
	"dev/ptmx":                            ownDev,
	"dev/pts":                             ownDev,
	"dev/random":                          ownDev,
	"dev/shm":                             ownDev,
	"dev/stderr":                          ownDev,
	"dev/stdin":                           ownDev,
	"dev/stdout":                          ownDev,
	"dev/tty":                             ownDev,
	"dev/urandom":                         ownDev,
	"dev/zero":                            ownDev,
}

// bookworm names the files that differ on bookworm only.
var bookworm = map[string]string{
	"usr/bin/uncompress": "a hard link in the package; usrmerge, which need not run here, copies it when it moves /bin",
}

// sets are the package sets of the comparison. layered ones are also installed
// as two layers.
var sets = []struct {
	suite   string
	include []string
	layered bool
	allowed map[string]string
}{
	{suite: "bookworm", include: []string{"nginx"}, layered: true},
	{suite: "bookworm", include: []string{"apache2", "php-fpm"}},
	{suite: "bookworm", include: []string{"postgresql", "openjdk-17-jre-headless"}, allowed: map[string]string{
		"etc/ssl/certs/ssl-cert-snakeoil.pem":                        "random: a key made when ssl-cert is configured",
		"etc/ssl/private/ssl-cert-snakeoil.key":                      "random: a key made when ssl-cert is configured",
		"var/lib/postgresql/15/main/global/pg_control":               "random: the cluster's identity",
		"var/lib/postgresql/15/main/pg_stat/pgstat.stat":             "differs between two runs of mmdebstrap: statistics of the cluster's making",
		"var/lib/postgresql/15/main/pg_wal/000000010000000000000001": "random: holds the cluster's identity",
		"etc/ssl/certs/java/cacerts":                                 "differs between two runs of mmdebstrap: holds the time of making",
	}},
	{suite: "bookworm", include: []string{"python3", "build-essential"}},
	// molly-guard's preinst diverts systemd-sysv's programs; the others have file
	// capabilities.
	{suite: "bookworm", include: []string{"systemd-sysv", "molly-guard", "iputils-ping", "mtr-tiny", "fping"}},
	{suite: "trixie", include: []string{"nginx", "systemd-sysv", "molly-guard"}, layered: true},
}

func TestEqualsMmdebstrap(t *testing.T) {
	w := newWorkshop(t)
	for _, set := range sets {
		t.Run(set.suite+" "+strings.Join(set.include, " "), func(t *testing.T) {
			t.Parallel()
			reference := w.mmdebstrap(t, set.suite, set.include...)
			packages := w.locked(t, set.suite, reference)
			want := snapshot(t, reference)
			may := maps.Clone(allowed)
			maps.Copy(may, set.allowed)
			if set.suite == "bookworm" {
				maps.Copy(may, bookworm)
			}

			root := newRoot(t)
			w.install(t, root, packages)
			compare(t, "one layer", root, snapshot(t, root), reference, want, may)
			checkDatabase(t, root)
			if !set.layered {
				return
			}
			core, leaf := split(t, reference, packages)
			root = newRoot(t)
			w.install(t, root, core)
			w.install(t, root, leaf)
			compare(t, "two layers", root, snapshot(t, root), reference, want, may)
			checkDatabase(t, root)
		})
	}
}

// split divides packages into those that others depend on or may depend on,
// with the essential ones, and the rest.
func split(t testing.TB, reference string, packages []updates.Package) (core, leaf []updates.Package) {
	t.Helper()
	relations := func(p *deb822.Paragraph, field string) []deb822.Relation {
		list, err := deb822.AppendRelations(nil, p.Get(field))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	installed := paragraphs(t, filepath.Join(reference, "var/lib/dpkg/status"))
	wanted := map[string]bool{}
	for _, p := range installed {
		wanted[p.Get("Package")] = wanted[p.Get("Package")] || p.Get("Essential") == "yes"
		for _, r := range append(relations(p, "Pre-Depends"), relations(p, "Depends")...) {
			wanted[r.Name] = true
		}
	}
	for _, p := range installed {
		for _, r := range relations(p, "Provides") {
			wanted[p.Get("Package")] = wanted[p.Get("Package")] || wanted[r.Name]
		}
	}
	for _, p := range packages {
		if wanted[p.Name] {
			core = append(core, p)
		} else {
			leaf = append(leaf, p)
		}
	}
	if len(leaf) == 0 {
		t.Fatal("no package is a leaf")
	}
	return core, leaf
}

// snapshot describes every path by all that counts, owners by name.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	entries, err := tree.Walk(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	var users, groups map[string]string
	if _, err := os.Lstat(filepath.Join(root, "etc/passwd")); err == nil {
		users, groups = names(t, root, "etc/passwd"), names(t, root, "etc/group")
	}
	all := map[string]string{}
	for _, e := range entries {
		if e.Path == "." {
			continue // the directory that the caller made
		}
		all[e.Path] = describe(&e, users, groups)
	}
	return all
}

func describe(e *integrity.Entry, users, groups map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:%s", e.Mode, users[fmt.Sprint(e.UID)], groups[fmt.Sprint(e.GID)])
	if e.Mode.Type() == fs.ModeSymlink {
		b.WriteString(" -> " + e.Target)
	}
	if e.HardLink != "" {
		b.WriteString(" = " + e.HardLink)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		fmt.Fprintf(&b, " %s=%q", name, e.Xattrs[name])
	}
	fmt.Fprintf(&b, " %d %s", e.Size, e.SHA256)
	return b.String()
}

func names(t testing.TB, root, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	byNumber := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(line, ":"); len(f) > 2 {
			byNumber[f[2]] = f[0]
		}
	}
	return byNumber
}

func compare(t *testing.T, what, gotRoot string, got map[string]string, wantRoot string, want map[string]string, may map[string]string) {
	t.Helper()
	paths := map[string]bool{}
	for p := range got {
		paths[p] = true
	}
	for p := range want {
		paths[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		if got[p] == want[p] || may[p] != "" {
			continue
		}
		if alike, known := unordered(p, filepath.Join(gotRoot, p), filepath.Join(wantRoot, p)); known && alike {
			continue
		}
		t.Errorf("%s: /%s\n  imgbuild   %s\n  mmdebstrap %s", what, p, got[p], want[p])
	}
}

// unordered compares the files whose lines or paragraphs are in the order in
// which packages happened to be configured.
func unordered(path, got, want string) (alike, known bool) {
	separator := "\n"
	switch path {
	case "etc/shells", "etc/shadow", "etc/gshadow", "var/lib/dpkg/triggers/File":
	case "var/lib/apt/extended_states", "var/lib/dpkg/status":
		separator = "\n\n"
	default:
		return false, false
	}
	return bytes.Equal(sorted(got, separator), sorted(want, separator)), true
}

func sorted(path, separator string) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	parts := strings.Split(strings.TrimSpace(string(data)), separator)
	slices.Sort(parts)
	return []byte(strings.Join(parts, separator))
}

// checkDatabase asks dpkg and apt in the root whether all is well. It changes
// the root: apt writes its caches.
func checkDatabase(t *testing.T, root string) {
	t.Helper()
	for _, command := range [][]string{{"dpkg", "--audit"}, {"dpkg", "--verify"}, {"apt-get", "check", "-qq"}} {
		var out bytes.Buffer
		err := sandbox.Run(t.Context(), sandbox.Spec{
			Root: root, Args: command, Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Stdout: &out, Stderr: &out,
		})
		if err != nil || out.Len() > 0 {
			t.Errorf("%s: %v\n%s", strings.Join(command, " "), err, out.String())
		}
	}
}
