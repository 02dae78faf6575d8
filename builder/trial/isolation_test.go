package trial_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"imgbuild/builder/launch"
	"imgbuild/builder/trial"
	"imgbuild/images/report"
)

func beacon(t *testing.T) *trial.Beacon {
	t.Helper()
	b, err := trial.NewBeacon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// errors are those of answers, by what was asked.
func faults(answers []report.Answer) map[string]string {
	found := map[string]string{}
	for _, a := range answers {
		if a.Error != "" {
			found[a.Name+" "+a.Asked] = a.Error
		}
	}
	return found
}

// TestAnOpenNetworkIsNotIsolated tries the way out on this host's own network:
// the beacon is reached, by programs of a machine as by a container's sockets.
func TestAnOpenNetworkIsNotIsolated(t *testing.T) {
	t.Parallel()
	b := beacon(t)
	list := trial.Targets(b)
	out, err := exec.Command("bash", "-c", trial.Script(list)).Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := trial.ReadAttempts(list, string(out))
	reached := 0
	for _, a := range answers {
		if a.Name != "this host's loopback" {
			continue
		}
		reached++
		want := "it lets itself be connected to"
		if strings.HasSuffix(a.Asked, "/udp") {
			want = "it answers"
		}
		if a.Error != want {
			t.Errorf("%s: %q", a.Asked, a.Error)
		}
	}
	if reached != 2 {
		t.Errorf("the loopback was tried %d times: %s", reached, out)
	}
	for _, target := range list {
		words, err := trial.Attempt(t.Context(), target)
		if strings.HasPrefix(target.Name, "this host") && (words == "" || err != nil) {
			t.Errorf("%s is not reached: %q, %v", target, words, err)
		}
	}
}

// TestANetworkWithoutAWayOutIsIsolated tries it in a network namespace that has
// nothing but its loopback device.
func TestANetworkWithoutAWayOutIsIsolated(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace is root's to make")
	}
	b := beacon(t)
	list := trial.Targets(b)
	cmd := exec.Command("unshare", "--net", "bash", "-c", trial.Script(list))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err, said.String())
	}
	answers := trial.ReadAttempts(list, string(out))
	if found := faults(answers); len(found) > 0 || len(answers) != len(list)+1 {
		t.Errorf("%d answers, %v\n%s", len(answers), found, out)
	}
}

// TestWhatWasNotTriedIsNotIsolated leaves out what the script should say.
func TestWhatWasNotTriedIsNotIsolated(t *testing.T) {
	list := trial.Targets(beacon(t))[:2]
	const whole = "0 began\n1 began\n2 began\n1 said: connect: Network is unreachable\nend\n"
	if found := faults(trial.ReadAttempts(list, whole)); len(found) > 0 {
		t.Errorf("silence is no isolation: %v", found)
	}
	for text, want := range map[string]int{
		"":                                       3,
		"bash: not found\n":                      3,
		strings.Replace(whole, "end\n", "", 1):   3,
		strings.Replace(whole, "0 began", "", 1): 1,
		strings.Replace(whole, "Network is unreachable", "no such device", 1):     1,
		strings.Replace(whole, "Network is unreachable", "Connection refused", 1): 1,
		whole + "0 answered\n2 answered\n":                                        2,
	} {
		if found := faults(trial.ReadAttempts(list, text)); len(found) != want {
			t.Errorf("%q: %v", text, found)
		}
	}
}

// TestAContainersNetworkIsProven runs a container on each of the networks: from
// the open one this host is reached, from the isolated one nothing is.
func TestAContainersNetworkIsProven(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("it enters the container's network, which is root's to do")
	}
	layout := layoutOf(t, "/bin/busybox", "httpd", "-f", "-h", "/www")
	for _, network := range []launch.Network{launch.Open, launch.Isolated} {
		c, err := launch.StartContainer(t.Context(), launch.ContainerSpec{Layout: layout, Reference: "web", Dir: t.TempDir(), Network: network})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		if err := c.WaitStarted(t.Context()); err != nil {
			t.Fatal(err)
		}
		b := beacon(t)
		answers := trial.ContainerSubject(c).Escape(t.Context(), b)
		found := faults(answers)
		if network == launch.Isolated && len(found) > 0 || len(answers) < 5 {
			t.Errorf("%s: %v", network, found)
		}
		reached := false
		for asked := range found {
			reached = reached || strings.HasPrefix(asked, "this host ") || strings.HasPrefix(asked, "name server ")
		}
		if network == launch.Open && !reached {
			t.Errorf("from an open network nothing is reached: %v", answers)
		}
	}
}
