package live_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/crypto/ssh"

	"imgbuild/builder/scan/live"
	"imgbuild/images/baseline"
	"imgbuild/images/control"
	"imgbuild/images/fault"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
	"imgbuild/provisioners/agent"
)

type outcome struct {
	facts  live.Facts
	report *report.Report
}

func encode(w io.Writer, a *agent.Answer) error { return json.NewEncoder(w).Encode(a) }

func house(t *testing.T) live.Spec {
	t.Helper()
	set, err := control.Load(control.Source{Name: "controls", Files: fstest.MapFS{
		"own.yaml": {Data: []byte(`motd: {title: t, severity: high, rationale: r, resources: {files: {/etc/motd: {content: hi}}}}
issue: {title: t, severity: low, rationale: r, resources: {files: {/etc/issue: {content: hi}}}}
`)},
		"benchmarks/house.yaml": {Data: []byte("title: h\nversion: '1'\nsections: {'1.1': {level: 1, controls: [motd, issue]}}\n")},
	}})
	must(t, err)
	return live.Spec{Set: set, Level: 2, Rules: integrity.DefaultRules(), Now: time.Now()}
}

func TestCheckTellsWhatIsWrongAndLeavesNothing(t *testing.T) {
	d := newSSHD(t, "")
	d.knows(d.keys[1].PublicKey()) // the second of its keys is the one that is known
	spec := house(t)
	spec.Manifest = image(t, spec.Rules)
	got, err := d.check(context.Background(), spec)
	must(t, err)
	results := map[string]control.Result{}
	for _, f := range got.report.Findings {
		results[f.Control] = f.Result
	}
	if len(results) != 2 || results["motd"] != control.Pass || results["issue"] != control.Fail {
		t.Errorf("findings: %v", results)
	}
	if drift := got.report.Drift; len(drift) != 1 || drift[0].Path != "etc/nginx.conf" || !got.report.Compared {
		t.Errorf("drift: %v", drift)
	}
	var table bytes.Buffer
	must(t, report.Table(&table, got.report))
	if strings.Contains(table.String(), "nothing lies in the image") {
		t.Errorf("it claims what was not looked for:\n%s", table.String())
	}
	if got.facts.Root || got.facts.Platform == "" {
		t.Errorf("facts: %+v", got.facts)
	}
	d.clean()
}

func TestAServerMayChangeWhatItsRecipeLets(t *testing.T) {
	for pattern, want := range map[string]int{"/etc/nginx.conf": 0, "/etc/nginx*": 0, "/etc/nginx.conf/**": 1, "/etc/nginx.d": 1} {
		d := newSSHD(t, "")
		d.knows(d.keys[0].PublicKey())
		spec := house(t)
		var err error
		spec.Rules, err = baseline.Mutables{pattern: {Owner: "ops", Reason: "edited there"}}.Rules()
		must(t, err)
		spec.Manifest = image(t, spec.Rules)
		got, err := d.check(context.Background(), spec)
		must(t, err)
		if drift := got.report.Drift; len(drift) != want || !got.report.Compared {
			t.Errorf("%s: %v, want %d", pattern, drift, want)
		}
	}
}

func TestHostKeysAreNeverAcceptedByThemselves(t *testing.T) {
	other := newSSHD(t, "").keys[0].PublicKey()
	for name, known := range map[string]ssh.PublicKey{"is not known: ssh-ed25519 SHA256:": nil, ", known is SHA256:": other} {
		d := newSSHD(t, "")
		if known != nil {
			d.knows(known)
		}
		_, err := d.check(context.Background(), house(t))
		if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), ssh.FingerprintSHA256(d.keys[0].PublicKey())) {
			t.Errorf("%s: got %v", name, err)
		}
		if hint := fault.HintOf(err); !strings.Contains(hint, "ssh -p ") {
			t.Errorf("%s: hint %q", name, hint)
		}
		if d.logins.Load() > 0 {
			t.Errorf("%s: a login was tried", name)
		}
	}
}

// damage flips one bit of what passes.
type damage struct {
	io.Reader
	at int
}

func (d *damage) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if d.at >= 0 && d.at < n {
		p[d.at] ^= 1
	}
	d.at -= n
	return n, err
}

func TestWhatWasTamperedWithDoesNotRun(t *testing.T) {
	d := newSSHD(t, "")
	d.knows(d.keys[0].PublicKey())
	d.through = func(r io.Reader) io.Reader { return &damage{r, 100_000} }
	_, err := d.check(context.Background(), house(t))
	if fault.KindOf(err) != fault.World || !strings.Contains(err.Error(), "did not arrive as it was sent") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(d.ran); err == nil {
		t.Error("it was run")
	}
	d.clean()
}

func TestAKilledConnectionLeavesNothing(t *testing.T) {
	t.Run("while it sends", func(t *testing.T) {
		d := newSSHD(t, "")
		d.knows(d.keys[0].PublicKey())
		d.through = func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, 50_000), readerFunc(func([]byte) (int, error) { d.drop(); return 0, io.EOF }))
		}
		if _, err := d.check(context.Background(), house(t)); err == nil {
			t.Error("no error")
		}
		if _, err := os.Stat(d.ran); err == nil {
			t.Error("it was run")
		}
		d.clean()
	})
	t.Run("while it runs", func(t *testing.T) {
		d := newSSHD(t, "slow")
		d.knows(d.keys[0].PublicKey())
		go func() { d.running(); d.drop() }()
		if _, err := d.check(context.Background(), house(t)); fault.KindOf(err) != fault.World {
			t.Errorf("got %v", err)
		}
		d.clean()
	})
	t.Run("by Ctrl-C", func(t *testing.T) {
		d := newSSHD(t, "slow")
		d.knows(d.keys[0].PublicKey())
		ctx, cancel := context.WithCancel(context.Background())
		go func() { d.running(); cancel() }()
		if _, err := d.check(ctx, house(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		d.clean()
	})
}

// running waits until the program runs.
func (d *sshd) running() {
	for range 200 {
		if _, err := os.Stat(d.ran); err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestWhatCannotBeToldIsAnError(t *testing.T) {
	for fake, want := range map[string]string{
		"silent": "does not answer for the control",
		"broken": "no such disk",
		"DENY":   "may not become root by sudo",
	} {
		d := newSSHD(t, fake)
		d.knows(d.keys[0].PublicKey())
		if fake == "DENY" {
			d.env = append(d.env, "DENY=1")
		}
		if _, err := d.check(context.Background(), house(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", fake, err)
		}
		d.clean()
	}
}

// TestAServerThatSaysTooMuchIsNotHeardOut has one that answers, and one that
// complains, without an end in sight.
func TestAServerThatSaysTooMuchIsNotHeardOut(t *testing.T) {
	for script, want := range map[string]string{
		"yes | head -c 100000000":            "the server answers more than",
		"yes | head -c 50000000 >&2; exit 1": "",
	} {
		d := newSSHD(t, "")
		d.knows(d.keys[0].PublicKey())
		must(t, os.WriteFile(filepath.Join(d.home, "bin", "uname"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		host, err := d.client.Find("ssh://" + d.addr)
		must(t, err)
		s, err := d.client.Connect(context.Background(), host)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 100_000 {
			t.Errorf("%s: got %.300v", script, err)
		}
	}
}

func TestNobodyThere(t *testing.T) {
	d := newSSHD(t, "")
	host, err := d.client.Find("ssh://127.0.0.1:1")
	must(t, err)
	if _, err := d.client.Connect(context.Background(), host); fault.KindOf(err) != fault.World {
		t.Errorf("got %v", err)
	}
}
