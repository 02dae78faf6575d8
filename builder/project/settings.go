package project

import (
	"strings"

	"imgbuild/images/updates/policy"
)

// FileName is the file that makes a directory a project.
const FileName = "imgbuild.yaml"

// Setting is one key of imgbuild.yaml that can also come from the environment
// or a flag.
type Setting struct {
	// Key is its dotted name in imgbuild.yaml, such as "archive.dir".
	Key string
	// Usage is one line for a flag's help and the reference page.
	Usage string
	// Path says that the value is a path: relative to the project in
	// imgbuild.yaml, to the working directory elsewhere.
	Path bool
	// List says that the value is a list, with commas outside imgbuild.yaml.
	List bool
}

// Settings returns every setting but trust: and the rules of policy:, which only the
// file can hold.
func Settings() []Setting {
	return []Setting{
		{Key: "mirror", Usage: "base `URL` of the Debian archive (default: this machine's apt sources)"},
		{Key: "security-mirror", Usage: "base `URL` of Debian's security archive (default: this machine's apt sources)"},
		{Key: "snapshot", Usage: "base `URL` of a Debian snapshot service, asked for locked files that mirrors dropped"},
		{Key: "keyring", Usage: "`FILE` with the keys that sign Debian's releases (default: this machine's)", Path: true},
		{Key: "proxy", Usage: "HTTP proxy `URL` (default: apt's, then the environment's)"},
		{Key: "ca", Usage: "`FILE` with further certificate authorities to accept, in PEM (default: apt's)", Path: true},
		{Key: "archive.dir", Usage: "`DIR` of the archive of locked packages", Path: true},
		{Key: "archive.sources", Usage: "further `PLACES` to look for a locked file: directories, URLs or docker://registry/path", List: true},
		{Key: "cache.dir", Usage: "`DIR` of what can be made again: indexes, unpacked packages, stages", Path: true},
		{Key: "cache.limit", Usage: "`SIZE` that images gc cuts the cache down to, such as 20GiB"},
		{Key: "catalog", Usage: "`PLACE` of the image versions: a directory, or docker://registry/path"},
		{Key: "openscap.content", Usage: "`DIR` of SCAP data streams, as scap-security-guide has them: scans ask OpenSCAP too", Path: true},
		{Key: "policy.mode", Usage: "`MODE` of approval; open: whoever locks approves; approved: locks take approved updates alone"},
		{Key: "approver-key", Usage: "`FILE` of the SSH key that you approve updates with, or its public half for an agent", Path: true},
		{Key: "key-password-file", Usage: "`FILE` with the password of the signing key", Path: true},
	}
}

// Flag is the name of the setting's flag: "archive-dir".
func (s Setting) Flag() string { return strings.ReplaceAll(s.Key, ".", "-") }

// Variable is the name of its environment variable: "IMGBUILD_ARCHIVE_DIR".
func (s Setting) Variable() string {
	return "IMGBUILD_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.Key))
}

// Config holds the settings as they apply, paths absolute.
type Config struct {
	Mirror          string         `mapstructure:"mirror"`
	SecurityMirror  string         `mapstructure:"security-mirror"`
	Snapshot        string         `mapstructure:"snapshot"`
	Keyring         string         `mapstructure:"keyring"`
	Proxy           string         `mapstructure:"proxy"`
	CA              string         `mapstructure:"ca"`
	Archive         ArchiveConfig  `mapstructure:"archive"`
	Cache           CacheConfig    `mapstructure:"cache"`
	Catalog         string         `mapstructure:"catalog"`
	OpenSCAP        OpenSCAPConfig `mapstructure:"openscap"`
	Policy          PolicyConfig   `mapstructure:"policy"`
	ApproverKey     string         `mapstructure:"approver-key"`
	KeyPasswordFile string         `mapstructure:"key-password-file"`
	Trust           []TrustConfig  `mapstructure:"trust"`
}

// ArchiveConfig says where locked packages are kept and further sought.
type ArchiveConfig struct {
	Dir     string   `mapstructure:"dir"`
	Sources []string `mapstructure:"sources"`
}

// CacheConfig says where the cache is and how large it may stay.
type CacheConfig struct {
	Dir string `mapstructure:"dir"`
	// Limit is a size such as "20GiB"; LimitBytes is the same in bytes.
	Limit      string `mapstructure:"limit"`
	LimitBytes int64  `mapstructure:"-"`
}

// OpenSCAPConfig says what a second opinion of scans goes by.
type OpenSCAPConfig struct {
	// Content is a directory of data streams, such as ssg-debian12-ds.xml.
	Content string `mapstructure:"content"`
}

// PolicyConfig says which updates may be locked.
type PolicyConfig struct {
	Mode string `mapstructure:"mode"`
	// Policy is all of it, the mode included.
	policy.Policy `mapstructure:"-"`
}

// ForBundles is a key that signs bundles which are taken in here, of updates and of
// feeds, and nothing else: no image, and no record of an update.
const ForBundles = "bundles"

// TrustConfig is one accepted public key.
type TrustConfig struct {
	Name string `mapstructure:"name"`
	// Key is the path of a PEM file.
	Key string `mapstructure:"key"`
	// Catalog limits the key to one catalog; empty means every one.
	Catalog string `mapstructure:"catalog"`
	// For limits the key to one purpose, ForBundles; empty means every one.
	For string `mapstructure:"for"`
	// NotAfter ends a key that was rotated out, in RFC 3339.
	NotAfter string `mapstructure:"not-after"`
	// Withdrawn is the reason why none of its signatures counts any more.
	Withdrawn string `mapstructure:"withdrawn"`
}
