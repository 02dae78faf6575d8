package builder

import (
	"imgbuild/builder/debian/deb"
	"imgbuild/builder/debian/fetch"
	"imgbuild/builder/progress"
	"imgbuild/builder/scan"
	"imgbuild/builder/stage"
	"imgbuild/images/catalog"
	"imgbuild/images/control"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

// Builder holds the places that bakes read from and write to. Its methods run
// inside the namespaces of sandbox.Enter.
type Builder struct {
	// Archive holds every package file ever locked.
	Archive *updates.Store
	// Fetch brings what the archive lacks.
	Fetch *fetch.Fetcher
	// Unpacked keeps package files decompressed.
	Unpacked *deb.Cache
	// Stages keeps finished stages.
	Stages *stage.Cache
	// LayerCache is the directory of compressed container layers.
	LayerCache string
	// ScanDir is where outputs lie while they are scanned.
	ScanDir string
	// SCAPContent is the directory of data streams by which scans ask OpenSCAP
	// too; empty when they do not.
	SCAPContent string
	// Advisor is asked which vulnerabilities images have; nil when nobody is. It
	// is asked by the scans of several forms at once; what it says is in their reports
	// alone.
	Advisor scan.Advisor
	// Catalog receives finished versions.
	Catalog *catalog.Catalog
	// Trust says whose versions count as known and as parents.
	Trust signing.Trust
	// Revoked says whether a revoked version may be named as known or be baked
	// on; it is not, unless a person says so.
	Revoked catalog.Revoked
	// Waivers are the accepted exceptions to controls.
	Waivers []*control.Waiver
	// Trials says how finished images are started; Controls are what those are
	// scanned by whose recipe asks for no scan.
	Trials   Trials
	Controls *control.Set
	// ScanAlways scans images whose recipe asks for no scan, too.
	ScanAlways bool
	// Scanned was baked and scanned a moment ago, such as for a trial: an output that has
	// the very same bytes is given that report, and not scanned again. Nil for none.
	Scanned *Baked
	// Key signs the evidence.
	Key *signing.Key
	// Channel is moved to the version that was baked when its gates agree and
	// nothing was wrong in its boot trials; none when empty.
	Channel string
	// Who bakes, for records.
	Who string
	// Report shows progress.
	Report progress.Reporter
	// WriteLock stores a lock that a bake completed with account numbers.
	WriteLock func(*updates.Lock) error
	// Program names the program and its version in the provenance.
	Program string
}
