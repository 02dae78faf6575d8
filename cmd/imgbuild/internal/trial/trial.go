package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/builder/progress"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

// Spec says what to try.
type Spec struct {
	Catalog *catalog.Catalog
	Version *catalog.Version
	// Machine boots the disk; otherwise the container is run.
	Machine bool
	// Firmware of the machine; empty is BIOS on amd64.
	Firmware launch.Firmware
	// Dir gets the exported output, in a directory of its own.
	Dir string
	// Output gets what the container or the machine's console writes; it may
	// be nil.
	Output io.Writer
	// Patience bounds the wait for an answer.
	Patience time.Duration
	Report   progress.Reporter
}

// Trial is a running image.
type Trial struct {
	// Form is "container" or "virtual machine", with how the latter runs.
	Form string
	// URLs are where the image's web ports answered.
	URLs []string
	// SSH is the command line that logs in; empty for a container.
	SSH string

	running running
	dir     string
}

// running is what launch's machines and containers have in common.
type running interface {
	Ended() <-chan struct{}
	Address(port int) string
	WaitHTTP(ctx context.Context, port int, path string, status int) ([]byte, error)
	Close() error
}

// Start exports, launches and waits until every web port of the image answers.
// The caller closes the trial.
func Start(ctx context.Context, s Spec) (t *Trial, err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("trying %s: %w", s.Version.Ref(), err)
	}
	t = &Trial{}
	if t.dir, err = os.MkdirTemp(s.Dir, "trial-"); err != nil {
		return nil, fmt.Errorf("trying %s: %w", s.Version.Ref(), err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	ports, err := t.launch(ctx, s)
	if err != nil {
		return t, err
	}
	return t, t.await(ctx, s, ports)
}

// launch starts the container or the machine and returns its web ports.
func (t *Trial) launch(ctx context.Context, s Spec) ([]int, error) {
	task := s.Report.Start("export", 0, progress.Items)
	if s.Machine {
		err := t.exportDisk(ctx, s)
		if err != nil {
			task.Fail(err)
			return nil, err
		}
		task.Done("disk")
		return t.launchMachine(ctx, s)
	}
	layout := filepath.Join(t.dir, "layout")
	ports, err := exportContainer(ctx, s, layout)
	if err != nil {
		task.Fail(err)
		return nil, err
	}
	task.Done("container")
	forward := map[int]int{}
	for _, port := range ports {
		forward[port] = 0
	}
	t.Form = "container"
	c, err := launch.StartContainer(ctx, launch.ContainerSpec{
		Layout: layout, Reference: s.Version.Number, Dir: t.dir, Ports: forward, Output: s.Output,
	})
	if err != nil {
		return nil, err
	}
	t.running = c
	return ports, nil
}

func exportContainer(ctx context.Context, s Spec, layout string) ([]int, error) {
	if err := s.Catalog.ExportContainer(ctx, s.Version, catalog.OCIDirectory, layout); err != nil {
		return nil, err
	}
	return tcpPorts(layout)
}

// diskFile is where the disk of a machine is exported to.
func (t *Trial) diskFile() string { return filepath.Join(t.dir, "disk") }

func (t *Trial) exportDisk(ctx context.Context, s Spec) error {
	if len(s.Version.Disks) == 0 {
		return fault.Inputf("%s has no disk", s.Version.Ref()).WithHint("add the output vm: to its recipe and bake again")
	}
	return s.Catalog.ExportDisk(ctx, s.Version, s.Version.Disks[0].Format, t.diskFile())
}

func (t *Trial) launchMachine(ctx context.Context, s Spec) ([]int, error) {
	key, err := newKey(filepath.Join(t.dir, "key"))
	if err != nil {
		return nil, err
	}
	ports := []int{80}
	if s.Version.Container != nil {
		// The machine serves what the container of the same root serves.
		if ports, err = exportContainer(ctx, s, filepath.Join(t.dir, "layout")); err != nil {
			return nil, err
		}
	}
	forward := map[int]int{sshPort: 0}
	for _, port := range ports {
		forward[port] = 0
	}
	vm, err := launch.StartVM(ctx, launch.VMSpec{
		Disk: t.diskFile(), Architecture: s.Version.Disks[0].Architecture, Firmware: s.Firmware, Dir: t.dir,
		SSHKeys: []string{key}, Ports: forward, Console: s.Output,
	})
	if err != nil {
		return nil, err
	}
	t.running = vm
	t.Form = "virtual machine (" + vm.Accelerator + ")"
	if vm.NoKVM != nil {
		s.Report.Note("no KVM here (%v): the machine is emulated and boots in a minute or two", vm.NoKVM)
	}
	t.SSH = fmt.Sprintf("ssh -i %s -p %d -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null debian@127.0.0.1",
		filepath.Join(t.dir, "key"), vm.Ports[sshPort])
	return ports, nil
}

// sshPort is where the machine's SSH server listens.
const sshPort = 22

// await waits until every web port answers.
func (t *Trial) await(ctx context.Context, s Spec, ports []int) error {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	for _, port := range ports {
		if !slices.Contains([]int{80, 8080}, port) {
			continue
		}
		task := s.Report.Start(fmt.Sprintf("wait for port %d", port), 0, progress.Items)
		if _, err := t.running.WaitHTTP(ctx, port, "/", 200); err != nil {
			task.Fail(err)
			return err
		}
		task.Done("answers")
		t.URLs = append(t.URLs, "http://"+t.running.Address(port)+"/")
	}
	return nil
}

// Ended is closed when the image no longer runs.
func (t *Trial) Ended() <-chan struct{} { return t.running.Ended() }

// Close ends the image and removes everything that the trial made.
func (t *Trial) Close() error {
	var err error
	if t.running != nil {
		err = t.running.Close()
	}
	if err := errors.Join(err, os.RemoveAll(t.dir)); err != nil {
		return fmt.Errorf("ending the trial: %w", err)
	}
	return nil
}
