package proofpeers_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// with is the house's project with more said in the recipe of peer-web, and a
// catalog of its own.
func (h *house) with(t *testing.T, more string) *place {
	t.Helper()
	p := h.copy(t)
	p.project = filepath.Join(newDir(t), "project")
	if out, err := exec.Command("cp", "-a", h.project, p.project).CombinedOutput(); err != nil {
		t.Fatalf("copying the project: %v\n%s", err, out)
	}
	if err := h.recipe(p.project, "peer-web", webRecipe+more); err != nil {
		t.Fatal(err)
	}
	return p
}

// answers is what run --output json says of probes.
type answers struct {
	URLs   []string
	Ports  map[string]string
	Probes []struct{ Probe, Asked, Error string }
}

func TestRunAsksTheProbesOfTheSignedRecipe(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.with(t, `probes:
  page: {http: {port: 80, path: /index.html, contains: hello}}
  moved: {http: {port: 80, path: /none, status: 404}}
  listens: {tcp: {port: 80}}
  tool: {command: [test, -x, /usr/sbin/nginx]}
  nginx: {unit: nginx.service}
`)
	var baked image
	if err := p.bake("peer-web", &baked); err != nil {
		t.Fatal(err)
	}
	if baked.Known || baked.Container != h.web.Container {
		t.Errorf("probes change no byte of a container, and make a version: got %+v after %+v", baked, h.web)
	}
	got := decode[answers](t, p, "run", "peer-web", "--check")
	var asked []string
	for _, a := range got.Probes {
		if a.Error != "" {
			t.Errorf("%s: %s", a.Probe, a.Error)
		}
		asked = append(asked, a.Probe)
	}
	// A container has no units.
	if strings.Join(asked, " ") != "listens moved page tool" || len(got.URLs) != 2 || got.Ports["80"] == "" {
		t.Errorf("got %+v", got)
	}
}

func TestRunNamesTheProbesThatAreNotAnswered(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.with(t, `probes:
  page: {http: {port: 80, contains: goodbye}, within: 10s}
  closed: {tcp: {port: 81}, within: 10s}
  tool: {command: [sh, -c, "echo no such tool; exit 3"], within: 10s}
  fine: {http: {port: 80}}
`)
	var baked image
	if err := p.bake("peer-web", &baked); err != nil {
		t.Fatal(err)
	}
	p.refuses(t, 1, []string{
		"3 of 4 probes were not answered", `page (GET /, port 80): not within 10s: the answer does not contain "goodbye"`,
		"closed (TCP port 81): not within 10s: ", "exit status 3: no such tool",
	}, "run", "peer-web", "--check")
}

func TestAGateEndsTheBakeAndEveryPromotion(t *testing.T) {
	t.Parallel()
	h := theHouse(t)
	p := h.with(t, `gates:
  max-size: {container: 1MiB}
  forbid-packages: [nginx-light, telnet]
`)
	words := []string{"forbid-packages.nginx-light: the package is installed", "max-size.container: it has "}
	p.refuses(t, 3, words, "bake", "peer-web")
	p.refuses(t, 3, append(words, "nothing changed"), "bake", "peer-web")
	p.refuses(t, 3, words, "images", "promote", "peer-web", "released")
	p.refuses(t, 2, []string{"released"}, "images", "show", "peer-web:released")
	// It is there, whole, to be looked at, and the version before it stays free.
	p.must(t, "images", "verify", "peer-web")
	p.must(t, "images", "promote", h.web.Version, "released")
}
