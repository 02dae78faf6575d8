package builder_test

import (
	"os"
	"strings"
	"testing"

	"imgbuild/images/peertest"
)

// listener is a server for a container that has nothing but Debian's essential
// packages.
const listener = `cmd: [/usr/bin/perl, -MIO::Socket::INET, -e, '$s = IO::Socket::INET->new(Listen => 5, LocalPort => 8080) or die; while ($c = $s->accept) { sleep 2 }']`

// TestBakeTriesWhatItsGateAsksFor bakes a recipe with the gate boot-trial: what
// listens on an undeclared port is rejected, what does on a declared one is not,
// and is not tried twice.
func TestBakeTriesWhatItsGateAsksFor(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	peertest.Need(t, "podman", "crun", "ip")
	s := newShop(t, inMemory(t), "proof-small")
	s.wrapper = []string{"sh", "-c", `ip link set lo up && exec "$@"`, "sh"} // what shows that nothing is reached
	recipe, err := os.ReadFile(s.recipeFile())
	if err != nil {
		t.Fatal(err)
	}
	write := func(port string) {
		t.Helper()
		text := strings.Replace(string(recipe), "cmd: [/bin/sh]", listener+"\n    ports: ["+port+"]", 1)
		if err := os.WriteFile(s.recipeFile(), []byte(text+"gates: {boot-trial: true}\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("9090")
	said := s.mustFail(t, 3)
	for _, want := range []string{"boot-trial.container: start 1: ports ", "8080/tcp on 0.0.0.0 by perl is not declared", "nobody listens on 9090/tcp"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	write("8080")
	_, told, err := s.output(t.Context(), "bake", s.baseline)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"isolation of the container: ", "restart of the container: ready after "} {
		if !strings.Contains(string(told), want) {
			t.Errorf("it does not say %q:\n%s", want, told)
		}
	}
	if _, again, err := s.output(t.Context(), "bake", s.baseline); err != nil || !strings.Contains(string(again), "boot trial of the container: made before") {
		t.Errorf("it was tried again: %v\n%s", err, again)
	}
}
