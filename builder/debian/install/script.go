package install

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"imgbuild/builder/progress"
	"imgbuild/builder/sandbox"
)

const (
	policyFile = "usr/sbin/policy-rc.d"
	// controlDir holds what dpkg would have in tmp.ci: the control files of
	// the package whose preinst runs (debconf looks for them there).
	controlDir = adminDir + "/tmp.ci"
	// stageDir holds programs that stand before the root's own while scripts run.
	stageDir   = "usr/lib/imgbuild-install"
	searchPath = "/" + stageDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// maxScriptLines is how much of a failed script's output is shown.
	maxScriptLines = 20
)

// script is what one visit to the sandbox does, in order.
type script struct {
	steps []step
}

type step struct {
	preinst *pkg   // run this package's preinst
	args    string // or dpkg with these arguments
}

// preinst runs p's preinst, if it has one.
func (s *script) preinst(p *pkg) {
	if p.has("preinst") {
		s.steps = append(s.steps, step{preinst: p})
	}
}

func (s *script) configure(packages []*pkg) {
	if len(packages) == 0 {
		return
	}
	args := "--no-triggers --configure"
	for _, p := range packages {
		args += " " + p.id
	}
	s.steps = append(s.steps, step{args: args})
}

func (s *script) configureAll() { s.steps = append(s.steps, step{args: "--configure -a"}) }

// ScriptError says that a maintainer script failed.
type ScriptError struct {
	Package string
	// Script is preinst, postinst or what else dpkg ran.
	Script string
	// Reason says how it ended: "exit status 3".
	Reason string
	// Output is the last lines that were written until then.
	Output string
}

func (e *ScriptError) Error() string {
	text := fmt.Sprintf("package %s: %s failed: %s", e.Package, e.Script, e.Reason)
	if e.Output == "" {
		return text
	}
	return text + "\n" + e.Output
}

// Killed says that something made an end of it, such as a kernel without memory: that is no
// word about the package.
func (e *ScriptError) Killed() bool {
	return strings.HasPrefix(e.Reason, "signal (Killed)") || e.Reason == "exit status 137"
}

// run visits the sandbox once for all steps. A shell in the root calls one
// after the other; descriptor 3 carries what is done.
func (l *layer) run(ctx context.Context, s *script, task progress.Task) error {
	if len(s.steps) == 0 {
		return nil
	}
	program, err := l.program(s)
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("running scripts: %w", err)
	}
	events := make(chan report, 1)
	go func() { events <- follow(reader, task) }()
	output := &tail{}
	err = sandbox.Run(ctx, sandbox.Spec{
		Root: l.Root, Args: []string{"/bin/sh", "-e", "-c", program}, Env: l.environment(),
		Stdout: output, Stderr: output, Files: []*os.File{writer},
	})
	writer.Close()
	told := <-events
	reader.Close()
	if err := l.dropControl(s); err != nil {
		return err
	}
	var exit *sandbox.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return told.failure(exit, output)
	}
	return fmt.Errorf("running package scripts: %w", err)
}

// environment is what scripts see: the same on every host.
func (l *layer) environment() []string {
	return append([]string{
		"PATH=" + searchPath, "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC", "TERM=dumb",
		"DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", l.Epoch),
	}, l.Env...)
}

// program writes the shell program of the steps and lays out the control files
// that it needs.
func (l *layer) program(s *script) (string, error) {
	var b strings.Builder
	for i, step := range s.steps {
		p := step.preinst
		if p == nil {
			fmt.Fprintf(&b, "dpkg --force-unsafe-io --force-confdef --force-confold --abort-after=1 --no-pager --log=/dev/null --status-fd=3 %s\n", step.args)
			continue
		}
		dir := fmt.Sprintf("%s.%d", controlDir, i)
		if err := l.root.mkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		for name, file := range p.Control {
			if err := l.root.write(dir+"/"+name, file.Data, file.Mode); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(&b, "echo 'preinst: %s' >&3\nmv -T /%s /%s\n", p.id, dir, controlDir)
		fmt.Fprintf(&b, "DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE=%s DPKG_MAINTSCRIPT_ARCH=%s DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 "+
			"DPKG_MAINTSCRIPT_DEBUG=0 DPKG_ADMINDIR=/%s DPKG_ROOT= DPKG_RUNNING_VERSION=%s /%s/preinst install 3>&-\n",
			p.locked.Name, p.locked.Architecture, adminDir, l.dpkgVersion, controlDir)
		fmt.Fprintf(&b, "mv -T /%s /%s\necho 'preinst-done: %s' >&3\n", controlDir, dir, p.id)
	}
	return b.String(), nil
}

// dropControl removes the control files that program laid out.
func (l *layer) dropControl(s *script) error {
	for i, step := range s.steps {
		if step.preinst == nil {
			continue
		}
		if err := l.root.removeDir(fmt.Sprintf("%s.%d", controlDir, i)); err != nil {
			return err
		}
	}
	return l.root.removeDir(controlDir)
}

// report is what descriptor 3 told.
type report struct {
	preinst string // the package whose preinst runs
	failed  string // dpkg's "package : error : reason"
}

func follow(r io.Reader, task progress.Task) report {
	var told report
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		kind, rest, _ := strings.Cut(line, ": ")
		switch {
		case kind == "preinst":
			told.preinst = rest
		case kind == "preinst-done":
			told.preinst = ""
		case kind == "status" && strings.HasSuffix(rest, ": installed"):
			task.Add(1)
		case kind == "status" && strings.Contains(rest, " : error : ") && told.failed == "":
			told.failed = rest
		}
	}
	// An over-long line ends the scanner; the writers must not block on it.
	_, _ = io.Copy(io.Discard, r)
	return told
}

var scriptFailed = regexp.MustCompile(`(?:new|installed|old) \S+ package (\S+) script subprocess (?:returned error |was killed by )(.*)$`)

var scriptNames = map[string]string{
	"pre-installation": "preinst", "post-installation": "postinst", "pre-removal": "prerm", "post-removal": "postrm",
}

// failure makes the error for a run that ended badly.
func (r report) failure(exit *sandbox.ExitError, output *tail) error {
	e := &ScriptError{Script: "dpkg", Reason: fmt.Sprintf("exit status %d", exit.Code)}
	switch {
	case r.preinst != "":
		e.Package, e.Script = r.preinst, "preinst"
	case r.failed != "":
		name, reason, _ := strings.Cut(r.failed, " : error : ")
		e.Package, e.Script, e.Reason = name, "configuring", reason
		if m := scriptFailed.FindStringSubmatch(reason); m != nil {
			e.Script, e.Reason = scriptNames[m[1]], m[2]
		}
	}
	e.Output = output.last(e.Package)
	return e
}

// tail keeps the end of what scripts write.
type tail struct{ data []byte }

const maxTail = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if len(t.data) > 2*maxTail {
		t.data = append(t.data[:0], t.data[len(t.data)-maxTail:]...)
	}
	return len(p), nil
}

// last returns the last lines, from where dpkg said that it begins with the
// package.
func (t *tail) last(name string) string {
	if i := bytes.LastIndex(t.data, []byte("\nSetting up "+name+" (")); i >= 0 && name != "" {
		t.data = t.data[i+1:]
	}
	lines := strings.Split(strings.TrimRight(string(t.data), "\n"), "\n")
	if len(lines) > maxScriptLines {
		lines = lines[len(lines)-maxScriptLines:]
	}
	return strings.Join(lines, "\n")
}
