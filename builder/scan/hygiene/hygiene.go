// Package hygiene looks in a finished tree for what no image may carry: secrets,
// identities, traces of the build and of people, and ways in that nobody chose.
// What a package brought and nobody changed is taken as approved with it. It
// changes nothing and judges nothing but what lies in the tree.
package hygiene

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/zricethezav/gitleaks/v8/detect"

	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners/system"
	"imgbuild/provisioners/tree"
)

// Kind is what is wrong with a file.
type Kind string

// The kinds.
const (
	PrivateKey    Kind = "private-key"
	Token         Kind = "token"
	Password      Kind = "password"
	MachineID     Kind = "machine-id"
	HostKey       Kind = "host-key"
	History       Kind = "history"
	BuildPath     Kind = "build-path"
	PackageCache  Kind = "package-cache"
	WorldWritable Kind = "world-writable"
	Setuid        Kind = "setuid"
	// DeletedSecret is a secret in a file that the tree does not show and the
	// image has all the same.
	DeletedSecret Kind = "deleted-secret"
	// Unlocked is a package that the lock does not have, or has in another
	// version.
	Unlocked Kind = "unlocked-package"
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{BuildPath, DeletedSecret, History, HostKey, MachineID, PackageCache, Password, PrivateKey, Setuid, Token, Unlocked, WorldWritable}
}

// Expected is what a tree may have.
type Expected struct {
	// Locked are the versions of the packages by name and architecture,
	// "libc6:amd64"; nil when it is not known what the tree was made from.
	Locked map[string]string
	// BuildPaths are directories of the machine that built it.
	BuildPaths []string
	// Setuid are further files that may run as another user, by path.
	Setuid []string
}

// Inspect reads a tree once and returns its entries, as tree.Read does, and what
// is wrong with it and with what it hides, sorted by kind and path.
func Inspect(ctx context.Context, r system.Reader, e Expected, hidden ...Hidden) ([]integrity.Entry, []report.Stray, error) {
	packages, err := readPackages(r)
	if err != nil {
		return nil, nil, fmt.Errorf("looking for what does not belong in an image: %w", err)
	}
	detector, err := newDetector()
	if err != nil {
		return nil, nil, err
	}
	i := &inspection{reader: r, packages: packages, expected: e, detector: detector}
	entries, err := tree.Read(ctx, r, i)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		i.place(entry)
	}
	i.unlocked()
	if err := i.accounts(); err != nil {
		return nil, nil, err
	}
	if err := i.hidden(ctx, hidden); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(i.found, func(a, b report.Stray) int {
		return strings.Compare(a.Kind+"\x00"+a.Path+"\x00"+a.Detail, b.Kind+"\x00"+b.Path+"\x00"+b.Detail)
	})
	return entries, slices.Compact(i.found), nil
}

// inspection is one look at a tree.
type inspection struct {
	reader   system.Reader
	packages *packages
	expected Expected
	detector *detect.Detector

	mu    sync.Mutex
	found []report.Stray
}

// addAll is for several goroutines.
func (i *inspection) addAll(found []report.Stray) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.found = append(i.found, found...)
}

func (i *inspection) add(kind Kind, path, detail string, args ...any) {
	i.addAll([]report.Stray{{Kind: string(kind), Path: path, Detail: fmt.Sprintf(detail, args...)}})
}

// unlocked compares the installed packages with those of the lock.
func (i *inspection) unlocked() {
	if i.expected.Locked == nil {
		return
	}
	for name, version := range i.packages.versions {
		switch locked, ok := i.expected.Locked[name]; {
		case !ok:
			i.add(Unlocked, name, "%s is installed, the lock has none", version)
		case locked != version:
			i.add(Unlocked, name, "%s is installed, the lock has %s", version, locked)
		}
	}
}
