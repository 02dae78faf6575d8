package proofboot_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"imgbuild/builder/launch"
)

// holdsAfterBothStarts boots an image as a user who tries it, under Secure Boot,
// and holds the machine after its first start and after a reboot to all that its
// image promises: it serves, lets the key in, no unit has failed, imgbuild check
// finds nothing that is not waived, and AIDE no file that is not as it was baked.
func holdsAfterBothStarts(t *testing.T, baked *image) {
	m := tryMachine(t, baked, launch.SecureBoot, &hypervisor{screen: true, agent: true})
	boot := m.running(t, "")
	m.showed(t, "12")
	m.inspect(t, m.questions(baked))
	m.on.pingAgent(t)
	config := m.know(t)
	m.stands(t, config)
	first := m.identity(t)
	first.own(t)
	m.remote("sudo systemctl reboot", nil) // the connection may end with the boot
	m.running(t, boot)
	m.stands(t, config)
	if again := m.identity(t); !reflect.DeepEqual(again, first) {
		t.Errorf("a reboot changed the identity from %+v to %+v", first, again)
	}
	m.inspect(t, ofLogs())
	m.end(t)
}

// hostKeys is where cloud-init writes the host keys on a machine's console.
var hostKeys = regexp.MustCompile(`(?s)-----BEGIN SSH HOST KEY KEYS-----\r?\n(.*?)-----END SSH HOST KEY KEYS-----`)

// shownKeys are the lines of host keys on a console, "" when it shows none.
func shownKeys(console string) string {
	if shown := hostKeys.FindStringSubmatch(console); shown != nil {
		return shown[1]
	}
	return ""
}

// know notes the host keys that the console shows, as who has a console does, and
// returns a configuration of ssh that knows them.
func (m *tried) know(t *testing.T) (config string) {
	t.Helper()
	shown := shownKeys(m.screen.String())
	if shown == "" {
		t.Fatal("the console does not show the host keys")
	}
	dir := t.TempDir()
	known := &strings.Builder{}
	for line := range strings.Lines(shown) {
		fmt.Fprintf(known, "[127.0.0.1]:%s %s\n", m.option("-p"), strings.TrimSpace(line))
	}
	config = filepath.Join(dir, "config")
	for path, text := range map[string]string{
		filepath.Join(dir, "known_hosts"): known.String(),
		config:                            "UserKnownHostsFile " + filepath.Join(dir, "known_hosts") + "\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}

// stands holds a machine that runs to its image.
func (m *tried) stands(t *testing.T, config string) {
	t.Helper()
	m.served(t)
	if got := m.ask(t, "systemctl is-active nginx.service && systemctl list-units --failed --plain --no-legend --all"); got != "active" {
		t.Errorf("nginx, and units that have failed: %s", got)
	}
	start := time.Now()
	cmd := command(t, "check", "ssh://debian@127.0.0.1:"+m.option("-p"), "-i", m.option("-i"), "-F", config)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Errorf("imgbuild check ended with exit code %d\n%s", exit.ExitCode(), said.Bytes())
	} else if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "every file is what was baked") {
		t.Error("its files were not compared with the manifest of its image")
	}
	t.Logf("imgbuild check took %.0f s:\n%s", time.Since(start).Seconds(), out)

	start = time.Now()
	m.ask(t, "sudo aide --check --config=/etc/aide/aide.conf")
	t.Logf("aide --check took %.0f s", time.Since(start).Seconds())
}

// identity asks for what no other machine may have.
func (m *tried) identity(t *testing.T) identity {
	t.Helper()
	id, keys, _ := strings.Cut(m.ask(t, "cat /etc/machine-id /etc/ssh/ssh_host_*_key.pub"), "\n")
	found := identity{machine: id, keys: keysOf(keys)}
	if len(id) != 32 || len(found.keys) != 3 {
		t.Errorf("no identity was made: %+v", found)
	}
	return found
}
