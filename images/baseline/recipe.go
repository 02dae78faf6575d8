// Package baseline reads recipes: strict YAML that says what an image consists
// of. It loads a recipe with its ancestors, merges them into one, fills in
// variables and reports every mistake at its place. It holds resources as
// undecoded nodes, for what changes a system is known to the provisioners; it
// resolves no packages and builds nothing.
package baseline

import (
	"maps"
	"slices"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
)

// Recipe is one baseline, merged with its ancestors, variables filled in.
type Recipe struct {
	// Name is that of the file, without .yaml.
	Name        string `json:"name,omitempty" jsonschema_description:"the file's name without .yaml"`
	Description string `json:"description,omitempty" jsonschema_description:"one sentence on what the image is for"`
	// Extends is the parent as it was written; Chain has the ancestry.
	Extends string `json:"extends,omitempty" jsonschema_description:"the parent: a baseline's name, or a file relative to this one"`
	// Suite is the code name of the Debian release.
	Suite         string   `json:"suite,omitempty" jsonschema:"enum=bookworm,enum=trixie" jsonschema_description:"code name of the Debian release"`
	Architectures []string `json:"architectures,omitempty" jsonschema:"enum=amd64,enum=arm64" jsonschema_description:"Debian names of the machines it can be baked for"`
	// Priorities adds every package of these priorities, besides the essential ones.
	Priorities []string `json:"priorities,omitempty" jsonschema:"enum=required,enum=important,enum=standard" jsonschema_description:"package priorities to install whole"`
	// Packages are names, with a restriction like "[amd64]" already applied.
	Packages    []string            `json:"packages,omitempty" jsonschema_description:"package names; \"name [amd64]\" or \"name [!arm64]\" restricts one to architectures"`
	Recommends  bool                `json:"recommends,omitempty" jsonschema_description:"install recommended packages too"`
	Vars        map[string]Variable `json:"vars,omitempty" jsonschema_description:"values that ${name} stands for"`
	PathExclude []string            `json:"path-exclude,omitempty" jsonschema_description:"patterns of paths that packages do not unpack, as dpkg has them"`
	PathInclude []string            `json:"path-include,omitempty" jsonschema_description:"patterns of paths unpacked although path-exclude matches"`
	// Resources is the undecoded map of the root's resources; nil without any.
	Resources *node.Node `json:"resources,omitempty" jsonschema_description:"the desired state of the root: files, users, services"`
	Run       []Script   `json:"run,omitempty" jsonschema_description:"scripts that run inside the root after its resources were applied, without network"`
	// KernelArguments are words of the kernel's command line, in order.
	KernelArguments []string                 `json:"kernel-arguments,omitempty" jsonschema_description:"words of the kernel command line, in order"`
	Sources         map[string]PackageSource `json:"sources,omitempty" jsonschema_description:"further package repositories and local package files, by name"`
	Boot            Boot                     `json:"boot,omitzero" jsonschema_description:"what outputs that boot have besides the root"`
	Outputs         Outputs                  `json:"outputs,omitzero" jsonschema_description:"the forms of the image"`
	Controls        Controls                 `json:"controls,omitzero" jsonschema_description:"what the image is hardened with"`
	Mutable         Mutables                 `json:"mutable,omitempty" jsonschema_description:"paths that a running server may change, such as /srv/uploads; all below a directory alone: /srv/uploads/**"`
	Probes          map[string]Probe         `json:"probes,omitempty" jsonschema_description:"what a running image must answer, by name"`
	Gates           Gates                    `json:"gates,omitzero" jsonschema_description:"what an image must meet before a channel may point to it"`
	Remove          *node.Node               `json:"remove,omitempty" jsonschema_description:"inherited items to drop: the recipe's own shape with lists of names at its ends"`

	// Architecture is the Debian name of the machine the recipe was loaded for.
	Architecture string `json:"-"`

	tree        *node.Node
	values      node.Vars
	generations []Generation
	hardening   map[control.Output][]*control.Control
	controlSet  *control.Set
}

// First says whether the recipe is loaded for its first architecture, the one
// that is meant where none is named.
func (r *Recipe) First() bool {
	return len(r.Architectures) == 0 || r.Architecture == r.Architectures[0]
}

// Typed is how a command line names the recipe: by its name, and by --arch
// where it is not loaded for its first architecture.
func (r *Recipe) Typed() string {
	if r.First() {
		return r.Name
	}
	return r.Name + " --arch " + r.Architecture
}

// Controls choose what the image is hardened with: its container and the root
// of its disk by what profiles ask of containers, the disk also by what they
// ask of machines.
type Controls struct {
	Profiles []string `json:"profiles,omitempty" jsonschema_description:"profiles of controls, such as cis-l1; imgbuild controls list shows them"`
	// Except are not applied. A scan holds them against the image all the same.
	Except []string `json:"except,omitempty" jsonschema_description:"ids of controls that are not applied; a scan reports them all the same, unless they are waived"`
	// Waive are the failures that the recipe accepts of itself, by control.
	Waive map[string]Acceptance `json:"waive,omitempty" jsonschema_description:"failures that are accepted, by the id of the control, of this baseline and those that extend it"`
}

// Acceptance says why a control may fail, and until when.
type Acceptance struct {
	Reason string `json:"reason" jsonschema:"required"`
	// Owner is who answers for it.
	Owner string `json:"owner" jsonschema:"required"`
	// Expires is the first day on which it holds no more, in UTC.
	Expires control.Date `json:"expires" jsonschema:"required"`
}

// Waivers are what the recipe accepts, by their controls' ids.
func (c Controls) Waivers() []*control.Waiver {
	var list []*control.Waiver
	for _, id := range slices.Sorted(maps.Keys(c.Waive)) {
		a := c.Waive[id]
		list = append(list, &control.Waiver{ID: id, Control: id, Reason: a.Reason, Owner: a.Owner, Expires: a.Expires})
	}
	return list
}

// Boot is what is added to the root for outputs that boot.
type Boot struct {
	Packages  []string   `json:"packages,omitempty" jsonschema_description:"kernel, boot loader, init and the like"`
	Resources *node.Node `json:"resources,omitempty" jsonschema_description:"the desired state of the booting system"`
	Run       []Script   `json:"run,omitempty" jsonschema_description:"scripts that run inside the booting system's root, without network"`
}

// Script is a script that runs in the sandbox inside the root.
type Script struct {
	Name string `json:"name" jsonschema:"required" jsonschema_description:"its identity: a child's script of the same name is laid over it"`
	// Script is the text; Interpreter reads it from a file. Exactly one of
	// Script and From is given.
	Script string     `json:"script,omitempty" jsonschema_description:"the text; variables are not filled in here, hand them over by env"`
	From   *node.File `json:"from,omitempty" jsonschema_description:"a file of the project that holds the text"`
	// Interpreter is the command that the script's file is the last argument of.
	Interpreter []string `json:"interpreter,omitempty" merge:"replace" jsonschema_description:"default: /bin/sh -eu"`
	// Inputs are the only files of the project that the script sees.
	Inputs []Input           `json:"inputs,omitempty" jsonschema_description:"files and directories of the project that the script reads"`
	Env    map[string]string `json:"env,omitempty" jsonschema_description:"environment variables"`
}

// Files are the project's files that the script consists of and sees.
func (s *Script) Files() []*node.File {
	var files []*node.File
	if s.From != nil {
		files = append(files, s.From)
	}
	for _, input := range s.Inputs {
		files = append(files, node.FilesOf(input.Entries)...)
	}
	return files
}

// Input is a file or a directory of the project.
type Input struct {
	// Name is as written in the recipe, cleaned; it may begin with "../".
	Name string `json:"name"`
	// Entries has one file whose Path is "." for a file, what lies below for a
	// directory.
	Entries []node.TreeEntry `json:"entries"`
}

// PackageSource is a repository (URL to Key) or one local file (Deb, SHA256).
type PackageSource struct {
	URL        string   `json:"url,omitempty" jsonschema_description:"root of the repository, above dists/ and pool/"`
	Suite      string   `json:"suite,omitempty" jsonschema_description:"directory below dists/"`
	Components []string `json:"components,omitempty" merge:"replace" jsonschema_description:"default: main"`
	// Fingerprint is that of the only accepted signing key, 40 or 64 upper-case
	// hex digits.
	Fingerprint string `json:"fingerprint,omitempty" jsonschema_description:"fingerprint of the OpenPGP key that must have signed it"`
	// Key is the file with the OpenPGP public key, armored or binary.
	Key *node.File `json:"key,omitempty" jsonschema_description:"file of the project with that public key"`
	// Deb is a local package file; its package is offered to the resolver, and
	// installed when it is listed or depended on.
	Deb    *node.File `json:"deb,omitempty" jsonschema_description:"a package file of the project, instead of a repository"`
	SHA256 string     `json:"sha256,omitempty" jsonschema_description:"digest that the package file must have"`
	// Advisories is what is known of vulnerabilities of what comes from it. The
	// distribution's advisories do not speak of it, so that its packages cannot be
	// judged, unless the recipe accepts that none do.
	Advisories Advisories `json:"advisories,omitempty" jsonschema:"enum=none" jsonschema_description:"none accepts that no advisory speaks of these packages, so that their vulnerabilities are not looked for; without it they count as packages that cannot be judged"`
}

// Advisories is which advisories speak of the packages of a source.
type Advisories string

// NoAdvisories is that none do, and that the recipe's author answers for it.
const NoAdvisories Advisories = "none"

// Outputs are the forms of the image; a form that is nil is not made.
type Outputs struct {
	Container *Container `json:"container,omitempty" jsonschema_description:"an OCI container image"`
	VM        *VM        `json:"vm,omitempty" jsonschema_description:"a disk that boots on BIOS and UEFI"`
}

// Container is how the container image runs.
type Container struct {
	Entrypoint []string `json:"entrypoint,omitempty" merge:"replace"`
	Cmd        []string `json:"cmd,omitempty" merge:"replace"`
	// User is a name or number, with an optional group after a colon.
	User       string            `json:"user,omitempty" jsonschema_description:"user[:group] by name or number"`
	WorkingDir string            `json:"working-dir,omitempty"`
	Ports      []Port            `json:"ports,omitempty" jsonschema_description:"ports such as 80, 80/tcp, 53/udp"`
	Labels     map[string]string `json:"labels,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	StopSignal string            `json:"stop-signal,omitempty" jsonschema_description:"such as SIGQUIT"`
	// Compression of the layers; zstd when empty.
	Compression string `json:"compression,omitempty" jsonschema:"enum=zstd,enum=gzip"`
}

// VM is how the disk is made.
type VM struct {
	Formats []string `json:"formats,omitempty" jsonschema:"enum=qcow2,enum=raw" merge:"replace"`
	// Size of the virtual disk in bytes.
	Size Bytes `json:"size,omitempty" jsonschema_description:"size of the virtual disk, such as 4GiB"`
	// Ports are what a machine listens on besides SSH; the container's when empty.
	Ports []Port `json:"ports,omitempty" jsonschema_description:"ports that the machine listens on besides SSH, such as 80 or 53/udp; those of the container by default"`
	// Partitions are file systems of their own, by mount point. The root's is
	// the last partition and has what they leave.
	Partitions map[string]Partition `json:"partitions,omitempty" jsonschema_description:"file systems of their own, by mount point, such as /var/log; the root has what they leave of the disk"`
}

// Partition is a file system of its own.
type Partition struct {
	Size Bytes `json:"size" jsonschema:"required" jsonschema_description:"its size, such as 512MiB"`
	// Options are those of fstab(5).
	Options []string `json:"options,omitempty" jsonschema_description:"options of fstab, such as nodev"`
}

// Probe is one thing that a running image must answer. Exactly one of HTTP,
// TCP, Command and Unit is given.
type Probe struct {
	HTTP    *HTTPProbe `json:"http,omitempty"`
	TCP     *TCPProbe  `json:"tcp,omitempty"`
	Command []string   `json:"command,omitempty" merge:"replace" jsonschema_description:"a command that must end with status 0, run in a machine as root, in a container as its user"`
	// Unit is asked of machines that booted only.
	Unit string `json:"unit,omitempty" jsonschema_description:"a systemd unit that must be active"`
	// Outputs are the forms that are asked; all when empty.
	Outputs []string `json:"outputs,omitempty" jsonschema:"enum=container,enum=vm" jsonschema_description:"the outputs that are asked; all by default"`
	// Within is how long after the start the answer may take; when 0, whoever
	// asks decides.
	Within Duration `json:"within,omitempty" jsonschema_description:"how long after the start, such as 60s"`
}

// HTTPProbe asks a web server with GET.
type HTTPProbe struct {
	Port int `json:"port" jsonschema:"required"`
	// Path begins with a slash; "/" when empty.
	Path string `json:"path,omitempty"`
	// Status is the expected answer; 200 when 0.
	Status int `json:"status,omitempty"`
	// Contains must be part of the body.
	Contains string `json:"contains,omitempty"`
	// TLS asks over TLS.
	TLS *TLSProbe `json:"tls,omitempty" jsonschema_description:"ask over TLS (https), and what the certificate must be; {} for one that an authority of this machine vouches for"`
}

// TLSProbe says what a server's certificate must be. That it is valid now is
// always asked for.
type TLSProbe struct {
	// Name is the server's; any when empty.
	Name string `json:"name,omitempty" jsonschema_description:"the host name that is asked for and that the certificate must be for; any by default"`
	// SelfSigned accepts a certificate that no authority vouches for.
	SelfSigned bool `json:"self-signed,omitempty" jsonschema_description:"accept a certificate that no authority vouches for"`
	// ValidFor is how much longer it must be valid.
	ValidFor Duration `json:"valid-for,omitempty" jsonschema_description:"how much longer the certificate must be valid, such as 720h"`
}

// TCPProbe connects to a port.
type TCPProbe struct {
	Port int `json:"port" jsonschema:"required"`
}

// Gates are what an image must meet before a channel may point to it.
type Gates struct {
	// MaxSize is the largest stored size of an output in bytes, by its name.
	MaxSize map[string]Bytes `json:"max-size,omitempty" jsonschema_description:"largest stored size of container, qcow2 or raw, such as 200MiB"`
	// ForbidPackages are names of packages that no output may have.
	ForbidPackages []string `json:"forbid-packages,omitempty" jsonschema_description:"packages that must not be in the image, whatever depends on them"`
	// MinScore is the least score of every output by benchmark, in percent,
	// waivers counted as failures.
	MinScore map[string]MinScore `json:"min-score,omitempty" jsonschema_description:"least scores by benchmark, in percent; what is waived does not count as met"`
	// NoFail is the least severity of which no control may fail or be untold,
	// unless it is waived.
	NoFail control.Severity `json:"no-fail,omitempty" jsonschema:"enum=low,enum=medium,enum=high,enum=critical" jsonschema_description:"no control of this severity or above that the recipe's profiles ask for may fail or be in doubt, unless it is waived; without profiles, none at all"`
	// Clean asks that nothing lies in it that must not, and that every file is
	// what was baked.
	Clean bool `json:"clean,omitempty" jsonschema_description:"no secrets, identities and traces in any output, and every file as it was baked"`
	// BootTrial asks that every output was started on an isolated network and
	// answered as it should.
	BootTrial bool `json:"boot-trial,omitempty" jsonschema_description:"every output was started in a trial and answered all probes"`
	// NoWorse asks that no score is below that of the newest earlier version
	// that was scanned and may be used.
	NoWorse bool `json:"no-worse,omitempty" jsonschema_description:"no score is below that of the version before"`
	// CVEs are the published vulnerabilities that no output may have; nil asks for
	// none.
	CVEs *CVEs `json:"cves,omitempty" jsonschema_description:"published vulnerabilities that no output may have, unless they are waived: a severity, such as high, or a map"`
}

// Scanned tells whether the gates ask what a scan finds.
func (g Gates) Scanned() bool {
	return len(g.MinScore) > 0 || g.NoFail != "" || g.Clean || g.BootTrial || g.NoWorse || g.CVEs != nil
}

// MinScore are the least scores of a benchmark at its levels, in percent; 0 asks
// for none.
type MinScore struct {
	Level1 int `json:"level-1,omitempty" jsonschema_description:"of the sections of level 1"`
	Level2 int `json:"level-2,omitempty" jsonschema_description:"of the sections up to level 2"`
}

// Variable is the declaration of a variable.
type Variable struct {
	Type        string     `json:"type,omitempty" jsonschema:"enum=string,enum=int,enum=bool,enum=list"`
	Default     *node.Node `json:"default,omitempty" jsonschema_description:"without one, a recipe that extends this one must set it"`
	Description string     `json:"description,omitempty"`
}

// Generation is one recipe of a chain of parents.
type Generation struct {
	// Name is the recipe's.
	Name string `json:"name"`
	// File is where it was read from, as errors show it.
	File string `json:"file"`
	// Packages and BootPackages are what this generation adds to its
	// ancestors, sorted, without what a later one removes.
	Packages     []string `json:"packages,omitempty"`
	BootPackages []string `json:"boot_packages,omitempty"`
	// Priorities are what this generation adds to its ancestors.
	Priorities []string `json:"priorities,omitempty"`
}

// Hardening are the controls that are applied for an output, sorted by id.
func (r *Recipe) Hardening(output control.Output) []*control.Control { return r.hardening[output] }

// ControlSet is all controls that the recipe's profiles are chosen from; nil
// when it chooses none.
func (r *Recipe) ControlSet() *control.Set { return r.controlSet }

// Scanned tells whether the finished image is to be scanned: it is hardened, or
// its gates ask for it.
func (r *Recipe) Scanned() bool { return r.controlSet != nil }

// Platform is what controls call the system of the recipe: "debian-12".
func (r *Recipe) Platform() string { return Distribution + "-" + Release(r.Suite) }

// Distribution is the ID of os-release(5) of what recipes are made of.
const Distribution = "debian"

// Release is the VERSION_ID of os-release(5) of a suite that recipes may name,
// "" of any other.
func Release(suite string) string {
	switch suite {
	case "bookworm":
		return "12"
	case "trixie":
		return "13"
	}
	return ""
}

// Values are what ${name} stands for, built-in variables included; they fill
// the recipe's template files.
func (r *Recipe) Values() node.Vars { return r.values }

// Chain lists the generations from the oldest ancestor to the recipe itself.
func (r *Recipe) Chain() []Generation { return r.generations }

// PackageAt is where the recipe or an ancestor lists a package, for the root or
// to boot; false when none does.
func (r *Recipe) PackageAt(name string) (node.Position, bool) {
	for _, list := range []*node.Node{r.tree.Get("packages"), r.tree.Get("boot").Get("packages")} {
		for _, item := range items(list) {
			if node.Identity(item) == name {
				return item.Pos, true
			}
		}
	}
	return node.Position{}, false
}

// Canonical encodes what the recipe means, for hashing: comments, white space,
// quoting, the order of keys and where in the project a file lies change
// nothing.
func (r *Recipe) Canonical() ([]byte, error) { return canonical(r) }

// Lines is the resolved recipe as YAML with the origin of each line.
func (r *Recipe) Lines() []node.Line { return node.Lines(r.tree) }
