package updates

// LockFormat is the number of the lock file's format that this code writes.
const LockFormat = 1

// Lock is the exact list of what a baseline bakes from. It is written beside
// the recipe as locks/<baseline>.lock and reviewed like code. Nothing in it
// depends on the machine that made it: paths are relative to an archive's
// root on any mirror.
type Lock struct {
	Format   int    `yaml:"format"`
	Baseline string `yaml:"baseline"`
	// Architecture is the Debian name of the machine architecture: amd64, arm64.
	Architecture string `yaml:"architecture"`
	// Suite is the code name of the distribution's release: bookworm, trixie.
	Suite string `yaml:"suite"`
	// WithoutSecurity says that it was made on purpose as if the distribution's security
	// suite were not there, so that it lacks what that has mended.
	WithoutSecurity bool `yaml:"without-security,omitempty"`
	// Epoch is the newest Date of the releases below, in seconds since 1970;
	// every time stamp of the image is at most this.
	Epoch int64 `yaml:"epoch"`
	// Request is the SHA-256, in lower-case hex, of everything in the recipe
	// that was resolved: a recipe that asks for other packages needs another
	// lock. Empty when that is not known.
	Request string `yaml:"request,omitempty"`
	// Releases are the signed release files that the packages were resolved from.
	Releases []Release `yaml:"releases"`
	// Layers names the package stages in the order they run: those of the
	// root set first, then those of the boot set. A package names its layer.
	Layers []string `yaml:"layers"`
	// Packages are sorted by Set (root, boot, tools), then Name, then
	// Architecture.
	Packages []Package `yaml:"packages"`
	// Accounts are the users and groups that packages, and the recipe without
	// stating a number, made in the first bake; later bakes keep their numbers.
	Accounts []Account `yaml:"accounts,omitempty"`
}

// Release is one signed release file.
type Release struct {
	// Archive names the repository: "debian", "debian-security", or the name
	// of an entry of the recipe's sources.
	Archive string `yaml:"archive"`
	// URL is the root of a repository of the recipe's, without a password;
	// empty for Debian's archives, which are the same on every mirror.
	URL   string `yaml:"url,omitempty"`
	Suite string `yaml:"suite"`
	// Path is relative to the archive's root: dists/bookworm/InRelease.
	Path string `yaml:"path"`
	// SHA256 is the digest of the InRelease file's bytes.
	SHA256 string `yaml:"sha256"`
	// Date is the file's Date field in RFC 3339, UTC.
	Date string `yaml:"date"`
}

// Package is one locked binary package.
type Package struct {
	Name         string `yaml:"name"`
	Version      string `yaml:"version"`
	Architecture string `yaml:"architecture"`
	// Source and SourceVersion name the source package that it was built from.
	Source        string `yaml:"source"`
	SourceVersion string `yaml:"source-version"`
	// Archive and Suite say which release lists it; both are empty for a local
	// file, whose Path is then relative to the project.
	Archive string `yaml:"archive,omitempty"`
	Suite   string `yaml:"suite,omitempty"`
	// Path is relative to the archive's root: pool/main/n/nginx/nginx_1_amd64.deb.
	Path string `yaml:"path"`
	// Size is the file's length in bytes.
	Size int64 `yaml:"size"`
	// SHA256 is the file's digest in lower-case hex.
	SHA256 string `yaml:"sha256"`
	// Set says what the package is for.
	Set Set `yaml:"set"`
	// Layer names the package stage that installs it, one of Lock.Layers;
	// empty in the tools set.
	Layer string `yaml:"layer,omitempty"`
	// Auto is true for a package that only a dependency asked for.
	Auto bool `yaml:"auto,omitempty"`
}

// Set is what a locked package is for.
type Set string

// The sets.
const (
	// Root packages are in every output.
	Root Set = "root"
	// Boot packages are added for outputs that boot: kernel, boot loader, init.
	Boot Set = "boot"
	// Tools packages make the tools root that file-system and boot tools run
	// from; nothing of them enters an image.
	Tools Set = "tools"
)

// Account is one user or group (or both, under one name) whose number was
// chosen in a bake.
type Account struct {
	Name string `yaml:"name"`
	// UID is nil when the account is only a group, GID when it is only a user.
	UID *int `yaml:"uid,omitempty"`
	GID *int `yaml:"gid,omitempty"`
	// Layer is the package stage whose scripts made it, or MadeByRecipe or
	// MadeByBoot.
	Layer string `yaml:"layer"`
}

// The layers of accounts that the recipe's resources and scripts made, in the
// root and in what is added to outputs that boot. No package layer has a slash.
const (
	MadeByRecipe = "recipe/root"
	MadeByBoot   = "recipe/boot"
)
