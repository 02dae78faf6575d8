package debian_test

import (
	"bytes"
	"context"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian"
	"imgbuild/builder/debian/repo"
	"imgbuild/builder/host"
	"imgbuild/builder/progress"
	"imgbuild/images/updates"
)

// TestRootEqualsMmdebstraps locks Debian 12 with nginx from the build host's
// mirror and compares the root set with what mmdebstrap would install.
func TestRootEqualsMmdebstraps(t *testing.T) {
	mmdebstrap, err := exec.LookPath("mmdebstrap")
	if err != nil {
		t.Skip("mmdebstrap is not on this machine, and it is the peer")
	}
	t.Parallel()
	sources, err := host.AptSources()
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := sources.Mirror(host.ArchiveDebian, "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	security, err := sources.Mirror(host.ArchiveSecurity, "bookworm-security")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := repo.LoadKeyring(sources.Keyring())
	if err != nil {
		t.Fatal(err)
	}
	client := &repo.Client{HTTP: http.DefaultClient, Cache: t.TempDir(), Now: time.Now, Progress: progress.Discard}
	lock, err := debian.Make(context.Background(), client, debian.Request{
		Baseline: "debian-12-nginx", Suite: "bookworm", Architecture: "amd64",
		Generations: []debian.Generation{
			{Name: "debian-12", Priorities: []string{"required"}}, {Name: "debian-12-nginx", Packages: []string{"nginx"}},
		},
		Boot:    []string{"linux-image-cloud-amd64", "systemd-sysv", "openssh-server", "cloud-init", "zstd"},
		Tools:   debian.DefaultTools("amd64"),
		Sources: debian.DebianSources("bookworm", mirror, security, nil, keys),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "debian-12-nginx.lock")
	if err := lock.Write(path); err != nil {
		t.Fatal(err)
	}
	if lock, err = updates.ReadLock(path); err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, p := range lock.InSet(updates.Root) {
		ours = append(ours, p.Name+"="+p.Version)
	}
	if len(lock.InSet(updates.Boot)) == 0 || len(lock.InSet(updates.Tools)) == 0 {
		t.Error("the boot set or the tools set is empty")
	}

	command := exec.Command(mmdebstrap, "--verbose", "--simulate", "--variant=minbase", "--include=nginx", "bookworm",
		filepath.Join(t.TempDir(), "root.tar"), "deb "+mirror+" bookworm main",
		"deb "+mirror+" bookworm-updates main", "deb "+security+" bookworm-security main")
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		t.Fatalf("mmdebstrap: %v\n%s", err, out.Bytes())
	}
	var theirs []string
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == "Inst" {
			theirs = append(theirs, words[1]+"="+strings.TrimPrefix(words[2], "("))
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	if diff := cmp.Diff(slices.Compact(theirs), ours); diff != "" {
		t.Errorf("- mmdebstrap, + ours:\n%s", diff)
	}
}
