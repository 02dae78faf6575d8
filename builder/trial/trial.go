package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"imgbuild/builder/launch"
	"imgbuild/builder/progress"
	"imgbuild/builder/scratch"
	"imgbuild/images/baseline"
	"imgbuild/images/catalog"
	"imgbuild/images/fault"
)

// Spec says what to try.
type Spec struct {
	Catalog *catalog.Catalog
	Version *catalog.Version
	// Probes are those of the version's recipe, by name.
	Probes map[string]baseline.Probe
	// Machine boots the disk; otherwise the container is run.
	Machine bool
	// Firmware of the machine; empty is BIOS on amd64.
	Firmware launch.Firmware
	// Dir gets the exported output, in a directory of its own.
	Dir string
	// Output gets what the container or the machine's console writes; it may
	// be nil.
	Output io.Writer
	// Patience bounds the wait for an answer to a probe that sets no time.
	Patience time.Duration
	Report   progress.Reporter
}

// Trial is a running image.
type Trial struct {
	// Form is "container" or "virtual machine", with how the latter runs.
	Form string
	// Answers are those to the recipe's probes.
	Answers []Answer
	// URLs are where the image's web probes answered.
	URLs []string
	// Ports maps the TCP ports of the image to where they are on this machine,
	// host:port.
	Ports map[int]string
	// SSH is the command line that logs in; empty for a container.
	SSH string

	probes   map[string]baseline.Probe
	emulated bool
	guest    subject
	// began is when it was launched.
	began   time.Time
	scratch *scratch.Dir
	dir     string
}

// Start exports, launches and waits until the image has answered every probe
// of its recipe. The caller closes the trial.
func Start(ctx context.Context, s Spec) (*Trial, error) {
	t, err := open(ctx, s, launch.Open)
	if err != nil {
		return t, err
	}
	if err = t.started(ctx, s); err == nil {
		err = t.ask(ctx, s)
	}
	if err != nil {
		return t, errors.Join(err, t.Close())
	}
	return t, nil
}

// open exports and launches on a network; a machine's is isolated whatever it
// is.
func open(ctx context.Context, s Spec, network launch.Network) (t *Trial, err error) {
	t = &Trial{probes: asked(s.Probes, s.Machine), Ports: map[int]string{}}
	if t.scratch, err = launch.NewScratch(ctx, s.Dir); err != nil {
		return nil, fmt.Errorf("trying %s: %w", s.Version.Ref(), err)
	}
	t.dir = t.scratch.Path
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	forward, err := t.export(ctx, s)
	if err != nil {
		return t, err
	}
	if s.Machine {
		err = t.boot(ctx, s, forward)
	} else {
		err = t.runContainer(ctx, s, network, forward)
	}
	if err != nil {
		return t, err
	}
	if network == launch.Open || s.Machine {
		for inside := range forward {
			t.Ports[inside] = t.guest.Address(inside)
		}
	}
	return t, nil
}

// The files of a trial's directory.
const (
	layoutName = "layout"
	diskName   = "disk"
	keyName    = "key"
)

// export writes what is launched into the trial's directory and returns the
// ports to publish: those that the container exposes, for a machine serves
// what the container of the same root serves, and those of the probes.
func (t *Trial) export(ctx context.Context, s Spec) (forward map[int]int, err error) {
	task := s.Report.Start("export", 0, progress.Items)
	defer func() {
		if err != nil {
			task.Fail(err)
		}
	}()
	forward = map[int]int{}
	if s.Version.Container != nil {
		layout := filepath.Join(t.dir, layoutName)
		if err := s.Catalog.ExportContainer(ctx, s.Version, catalog.OCIDirectory, layout); err != nil {
			return nil, err
		}
		ports, err := tcpPorts(layout)
		if err != nil {
			return nil, err
		}
		for _, p := range ports {
			forward[p] = 0
		}
	}
	for _, p := range t.probes {
		if number := port(p); number != 0 {
			forward[number] = 0
		}
	}
	if !s.Machine {
		task.Done("container")
		return forward, nil
	}
	forward[sshPort] = 0
	if len(s.Version.Disks) == 0 {
		return nil, fault.Inputf("%s has no disk", s.Version.Ref()).WithHint("add the output vm: to its recipe and bake again")
	}
	if err := s.Catalog.ExportDisk(ctx, s.Version, s.Version.Disks[0].Format, filepath.Join(t.dir, diskName)); err != nil {
		return nil, err
	}
	task.Done("disk")
	return forward, nil
}

func (t *Trial) runContainer(ctx context.Context, s Spec, network launch.Network, forward map[int]int) error {
	t.Form = "container"
	c, err := launch.StartContainer(ctx, launch.ContainerSpec{
		Layout: filepath.Join(t.dir, layoutName), Reference: s.Version.Number, Dir: t.dir, Ports: forward, Output: s.Output, Network: network,
	})
	if err != nil {
		return err
	}
	t.guest = container{c}
	return nil
}

// started waits until the image has begun to run: a container is unpacked first.
func (t *Trial) started(ctx context.Context, s Spec) error {
	if s.Machine {
		return nil
	}
	task := s.Report.Start("unpack", 0, progress.Items)
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	if err := t.guest.Started(ctx); err != nil {
		task.Fail(err)
		return err
	}
	t.began = time.Now()
	task.Done("")
	return nil
}

// sshPort is where the machine's SSH server listens, and user whom it lets in:
// cloud-init's default user on Debian.
const (
	sshPort = 22
	user    = "debian"
)

func (t *Trial) boot(ctx context.Context, s Spec, forward map[int]int) error {
	keyFile := filepath.Join(t.dir, keyName)
	key, line, err := newKey(keyFile)
	if err != nil {
		return err
	}
	vm, err := launch.StartVM(ctx, launch.VMSpec{
		Disk: filepath.Join(t.dir, diskName), Architecture: s.Version.Disks[0].Architecture, Firmware: s.Firmware, Dir: t.dir,
		SSHKeys: []string{line}, Ports: forward, Console: s.Output,
	})
	if err != nil {
		return err
	}
	t.began = time.Now()
	t.guest = machine{vm, &shell{login: launch.Login{Address: vm.Address(sshPort), User: user, Key: key}}}
	t.Form = "virtual machine (" + vm.Accelerator + ")"
	if vm.NoKVM != nil {
		t.emulated = true
		s.Report.Note("no KVM here (%v): the machine is emulated and boots in a minute or two", vm.NoKVM)
	}
	t.SSH = fmt.Sprintf("ssh -i %s -p %d -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null %s@127.0.0.1",
		keyFile, vm.Ports[sshPort], user)
	return nil
}

// Ended is closed when the image no longer runs.
func (t *Trial) Ended() <-chan struct{} { return t.guest.Ended() }

// Close ends the image and removes everything that the trial made.
func (t *Trial) Close() error {
	var err error
	if t.guest != nil {
		err = t.guest.Close()
	}
	if err := errors.Join(err, t.scratch.Close()); err != nil {
		return fmt.Errorf("ending the trial: %w", err)
	}
	return nil
}
