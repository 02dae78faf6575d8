package baseline_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
	"imgbuild/images/baseline/node"
	"imgbuild/images/baselines"
	"imgbuild/images/control"
	"imgbuild/images/fault"
)

// project makes a project directory of the files given by name and content.
func project(t *testing.T, files map[string]string) *baseline.Source {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src, err := baseline.NewSource(dir, baselines.FS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	return src
}

func load(t *testing.T, src *baseline.Source, name string) *baseline.Recipe {
	t.Helper()
	r, err := baseline.Load(context.Background(), src, name, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const base = "suite: bookworm\narchitectures: [amd64, arm64]\n"

func TestMistakesAreFoundAtTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, recipe, want string }{
		{"unknown key", base + "pakages: [nginx]\n", `baselines/web.yaml:3:1: unknown key "pakages"; did you mean "packages"?`},
		{"key in a map", base + "outputs:\n  container:\n    entripoint: [x]\n", `baselines/web.yaml:5:5: unknown key "entripoint"; did you mean "entrypoint"?`},
		{"value", "suite: bookwrom\narchitectures: [amd64]", `baselines/web.yaml:1:8: unknown value "bookwrom" for "suite"; did you mean "bookworm"?`},
		{"value in a list", base + "priorities: [requird]", `baselines/web.yaml:3:14: unknown value "requird"`},
		{"text for a list", base + "packages: nginx", `baselines/web.yaml:3:11: expected a list for "packages", found the text "nginx"; write [nginx]`},
		{"number for text", base + "outputs: {container: {user: 33}}", `baselines/web.yaml:3:29: expected text for "user", found the number 33; quote it: "33"`},
		{"truth value", base + "recommends: yes", `baselines/web.yaml:3:13: expected true or false for "recommends", found the text "yes"`},
		{"package name", base + "packages: [Nginx]", `baselines/web.yaml:3:12: "Nginx" is not a package name`},
		{"several", base + "a1: 1\nb1: 2", "vars\nbaselines/web.yaml:4:1: unknown key \"b1\""},
		{"key twice", base + "suite: trixie", `baselines/web.yaml:3:1: mapping key "suite" already defined`},
		{"syntax", base + "packages: [a", `baselines/web.yaml:3:11: `},
		{"anchor", base + "packages: &a [b]", `baselines/web.yaml:3:11: anchors and aliases are not read`},
		{"tag", base + "description: !!str 3", `baselines/web.yaml:3:14: tags are not read`},
		{"empty value", base + "packages:\n", `baselines/web.yaml:3:1: "packages" is empty`},
		{"no suite", "architectures: [amd64]", `missing key "suite"`},
		{"name", base + "name: other", `baselines/web.yaml:3:7: expected "web", the name of the file, found "other"`},
		{"unknown parent", "extends: debian-12-ngnix", `baselines/web.yaml:1:10: there is no baseline "debian-12-ngnix"; did you mean "debian-12-nginx"?`},
		{"own parent", "extends: web", `baselines/web.yaml:1:10: baselines/web.yaml is its own ancestor`},
		{"cycle", "extends: cycle", `is its own ancestor`},
		{"unknown variable", base + "kernel-arguments: ['x=${prot}']\nvars: {port: 80}", `baselines/web.yaml:3:20: unknown variable "prot"; did you mean "port"?`},
		{"variable in a block", base + "resources:\n  files:\n    /a:\n      content: |\n        one\n        two ${nam}\n", `baselines/web.yaml:8:13: unknown variable "nam"; did you mean "name"?`},
		{"type of a variable", base + "vars: {port: {type: int, default: http}}", `baselines/web.yaml:3:35: variable "port" is of type int`},
		{"no value", base + "vars: {port: {type: int}}", `variable "port" has no value`},
		{"built-in variable", base + "vars: {arch: x}", `variable "arch" is built in`},
		{"remove without parent", base + "remove: {packages: [x]}", `this recipe extends none`},
		{"remove what is not there", "extends: debian-12\nremove:\n  packages: [tzdat]", `baselines/web.yaml:3:14: cannot remove "tzdat": the parent's packages has none; did you mean "tzdata"?`},
		{"remove from nothing", "extends: debian-12\nremove:\n  sourcs: [x]", `baselines/web.yaml:3:3: cannot remove from "sourcs"`},
		{"script", base + "run: [{name: a}]", `expected exactly one of "script" and "from"`},
		{"script twice", base + "run: [{name: a, script: x}, {name: a, script: y}]", `a script named "a" was given already`},
		{"script input", base + "run: [{name: a, script: x, inputs: [../secret]}]", `cannot read "../secret"`},
		{"input outside", base + "run: [{name: a, script: x, inputs: [../../x]}]", `"../../x" leaves the project`},
		{"size", base + "outputs: {vm: {size: 4GB}}", `baselines/web.yaml:3:22: expected a size such as 512MiB or 4GiB, found "4GB"`},
		{"port", base + "outputs: {container: {ports: [http]}}", `expected a port such as 80`},
		{"probe", base + "probes: {a: {unit: x, tcp: {port: 1}}}", `expected exactly one of "http"`},
		{"gate", base + "gates: {max-size: {iso: 1GiB}}", `"iso" is no output: expected one of container, qcow2, raw`},
		{"word for CVEs", base + "gates: {cves: hihg}", `:3:15: unknown value "hihg" for "severity"; did you mean "high"?`},
		{"key of CVEs", base + "gates:\n  cves:\n    severity: high\n    unfixd: ignore\n", `:6:5: unknown key "unfixd"; did you mean "unfixed"?`},
		{"word of CVEs", base + "gates: {cves: {severity: high, unfixed: skip}}", `unknown value "skip" for "unfixed"`},
		{"dismissed without a fix", base + "gates: {cves: {severity: high, unfixed: ignore, dismissed: refuse}}", `"unfixed: ignore" leaves "dismissed: refuse" nothing to refuse`},
		{"no CVEs", base + "gates: {cves: {unfixed: refuse}}", `"cves" refuses nothing: give it "severity", or "exploited: refuse"`},
		{"list of CVEs", base + "gates: {cves: [high]}", `expected a severity for "cves"`},
		{"score", base + "gates:\n  min-score:\n    cis:\n      level-1: 97\n      level-2: 101\n", `:7:16: expected a score from 0 to 100 percent, found 101`},
		{"probe port", base + "probes: {a: {tcp: {port: 70000}}}", `expected a port from 1 to 65535, found 70000`},
		{"source", base + "sources: {x: {url: 'https://mirror.example/x', suite: s}}", `missing key "fingerprint"`},
		{"source's advisories", base + "sources: {x: {url: 'https://mirror.example/x', suite: s, advisories: some}}", `advisories`},
		{"source url", base + "sources: {x: {url: 'ftp://mirror.example'}}", `expected an http, https or file URL`},
		{"source of Debian's name", base + "sources: {debian-security: {url: 'https://mirror.example', suite: x, key: parts/web.yaml, fingerprint: " + strings.Repeat("A", 40) + "}}", `"debian-security" is Debian's own`},
		{"kernel argument", base + "kernel-arguments: ['a b']", `is not one word of a kernel command line`},
		{"list for a recipe", "- a", `expected a map of a recipe's keys, found a list`},
		{"float", base + "outputs: {vm: {size: 1.5}}", `decimals are not read`},
		{"same name", "extends: ./parts/web.yaml", `baselines/web.yaml and its ancestor baselines/parts/web.yaml have the same name`},
		{"bomb of text", base + "vars: {a: \"" + strings.Repeat("x", 400_000) + "\"}\nkernel-arguments: [\"" + strings.Repeat("${a}", 100_000) + "\"]", `the text grows larger than 1 MiB`},
		{"bomb of texts", base + "vars: {a: \"" + strings.Repeat("x", 400_000) + "\"}\nkernel-arguments: [" + strings.Repeat("\"x${a}\",", 50_000) + "]", `the recipe grows larger than 8 MiB`},
		{"bomb of lists", base + "vars: {a: [" + strings.Repeat("x,", 40_000) + "]}\nkernel-arguments: [" + strings.Repeat("\"${a}\",", 40_000) + "]", `the recipe grows larger than 8 MiB`},
		{"two documents", base + "---\na: b", `a second document`},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := project(t, map[string]string{"baselines/web.yaml": c.recipe, "baselines/cycle.yaml": "extends: web", "baselines/parts/web.yaml": base})
			_, err := baseline.Load(context.Background(), src, "web", "amd64")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %.2000v\nwant %s", err, c.want)
			}
			if fault.KindOf(err) != fault.Input {
				t.Errorf("kind %d", fault.KindOf(err))
			}
		})
	}
}

func TestUnknownBaselineSuggestsTheNearest(t *testing.T) {
	src := project(t, map[string]string{"baselines/shop.yaml": base})
	for name, want := range map[string]string{"shpo": `did you mean "shop"?`, "debian12": `did you mean "debian-12"?`, "../x": "there is no baseline"} {
		_, err := baseline.Load(context.Background(), src, name, "amd64")
		if err == nil || !strings.Contains(err.Error(), want) || fault.KindOf(err) != fault.Input {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// family is three generations in two folders.
var family = map[string]string{
	"baselines/shop.yaml": `
extends: ./parts/web.yaml
vars:
  port: 8080
  hosts: [a.example, b.example]
packages: [php-fpm]
remove:
  packages: [nano, "linux-image-cloud-${arch}"]
  resources:
    files: [/etc/motd]
    services: {nginx: [state]}
  boot:
    packages: [qemu-guest-agent]
resources:
  files:
    /etc/site: {content: "hosts ${hosts} port ${port} raw $${port}"}
  services:
    nginx: {state: masked}
outputs:
  container: {cmd: [c]}
run:
  - name: index
    env: {PORT: "${port}"}
`,
	"baselines/parts/web.yaml": `
extends: plain
vars:
  port: {type: int, default: 80, description: where it listens}
packages: [nginx, "grub-pc-bin [amd64]", "not-here [!amd64]", nano, "linux-image-cloud-${arch}"]
resources:
  files:
    /etc/motd: {content: hi}
    /etc/site: {mode: "0600"}
  services:
    nginx: {state: enabled}
outputs:
  container: {entrypoint: [a, b], cmd: [x, y], ports: ["${port}"]}
run:
  - name: index
    script: echo ${PORT}
    inputs: [data]
`,
	"baselines/parts/data/one": "1",
	"baselines/plain.yaml":     base + "name: plain\ndescription: the base\npriorities: [required]\npackages: [tzdata]\nboot: {packages: [qemu-guest-agent, systemd]}\n",
}

func TestExtendsMergesGenerations(t *testing.T) {
	r := load(t, project(t, family), "shop")
	want := []baseline.Generation{
		{Name: "plain", File: "baselines/plain.yaml", Packages: []string{"tzdata"}, BootPackages: []string{"systemd"}, Priorities: []string{"required"}},
		{Name: "web", File: "baselines/parts/web.yaml", Packages: []string{"grub-pc-bin", "nginx"}},
		{Name: "shop", File: "baselines/shop.yaml", Packages: []string{"php-fpm"}},
	}
	if diff := cmp.Diff(want, r.Chain()); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"tzdata", "nginx", "grub-pc-bin", "php-fpm"}, r.Packages); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	if r.Description != "" || r.Name != "shop" {
		t.Errorf("name %q and description %q come from an ancestor", r.Name, r.Description)
	}
	c := r.Outputs.Container
	if diff := cmp.Diff([][]string{{"a", "b"}, {"c"}, {"8080/tcp"}}, [][]string{c.Entrypoint, c.Cmd, {string(c.Ports[0])}}); diff != "" {
		t.Errorf("container (-want +got):\n%s", diff)
	}
	if s := r.Run[0]; s.Script != "echo ${PORT}" || s.Env["PORT"] != "8080" || len(s.Inputs[0].Entries) != 1 {
		t.Errorf("script %+v", s)
	}
	site := r.Resources.Get("files").Get("/etc/site")
	if got := site.Get("content").Text; got != "hosts a.example b.example port 8080 raw ${port}" || site.Get("mode").Text != "0600" {
		t.Errorf("resource: %q", got)
	}
	if r.Resources.Get("files").Get("/etc/motd") != nil || r.Resources.Get("services").Get("nginx").Get("state").Text != "masked" {
		t.Errorf("removed or replaced resources are there: %s", node.Canonical(r.Resources))
	}
}

func TestResolvedRecipeNamesTheOriginOfEachLine(t *testing.T) {
	var got []string
	for _, l := range load(t, project(t, family), "shop").Lines() {
		got = append(got, l.Text+" # "+l.Origin.String())
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"  - tzdata # baselines/plain.yaml:6:12",
		"  - nginx # baselines/parts/web.yaml:5:12",
		"  - php-fpm # baselines/shop.yaml:6:12",
		"      state: masked # baselines/shop.yaml:18:13",
		`      mode: "0600" # baselines/parts/web.yaml:9:17`,
		"    default: 8080 # baselines/shop.yaml:4:3",
		"    description: where it listens # baselines/parts/web.yaml:4:34",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
}

// TestResolvedShippedRecipesReadBack writes every shipped recipe resolved and
// reads it again: the same recipe.
func TestResolvedShippedRecipesReadBack(t *testing.T) {
	src := project(t, nil)
	list, err := src.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
		if l.Origin != "shipped" {
			t.Errorf("%+v", l)
		}
	}
	if diff := cmp.Diff([]string{"debian-12", "debian-12-apache", "debian-12-nginx", "debian-13", "debian-13-nginx"}, names); diff != "" {
		t.Errorf("shipped (-want +got):\n%s", diff)
	}
	for _, name := range names {
		for _, arch := range []string{"amd64", "arm64"} {
			r, err := baseline.Load(context.Background(), src, name, arch)
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, l := range r.Lines() {
				text.WriteString(l.Text + "\n")
			}
			again, err := node.Parse(name+".yaml", baselines.FS(), name+".yaml", []byte(text.String()))
			if err != nil {
				t.Fatalf("%v\n%s", err, text.String())
			}
			var lines strings.Builder
			for _, l := range node.Lines(again) {
				lines.WriteString(l.Text + "\n")
			}
			if diff := cmp.Diff(text.String(), lines.String()); diff != "" {
				t.Errorf("%s for %s changes when it is read again:\n%s", name, arch, diff)
			}
			if !strings.Contains(strings.Join(r.Boot.Packages, " "), "linux-image-cloud-"+arch) {
				t.Errorf("%s for %s boots %v", name, arch, r.Boot.Packages)
			}
		}
	}
}

func TestCanonicalIgnoresHowItWasWritten(t *testing.T) {
	encode := func(files map[string]string) string {
		data, err := load(t, project(t, files), "web").Canonical()
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	recipe := base + "description: x\npackages: [nginx, curl]\nrun:\n  - name: a\n    from: s.sh\nresources: {files: {/a: {content: \"x\\n\"}}}\n"
	same := "# other\nresources:\n  files:\n    /a:\n      content: |\n        x\nrun: [{from: lib/t.sh, name: a}]\npackages:\n- curl # first\n- 'nginx'\n" + base
	a := encode(map[string]string{"baselines/web.yaml": recipe, "baselines/s.sh": "true"})
	if diff := cmp.Diff(a, encode(map[string]string{"baselines/web.yaml": same, "baselines/lib/t.sh": "true"})); diff != "" {
		t.Errorf("two ways to write the same differ:\n%s", diff)
	}
	if a == encode(map[string]string{"baselines/web.yaml": recipe, "baselines/s.sh": "false"}) {
		t.Error("a changed script changes nothing")
	}
	if a == encode(map[string]string{"baselines/web.yaml": strings.Replace(recipe, "curl", "wget", 1), "baselines/s.sh": "true"}) {
		t.Error("a changed package changes nothing")
	}
}

func TestProjectRecipesComeBeforeShippedOnes(t *testing.T) {
	src := project(t, map[string]string{"baselines/debian-12.yaml": base + "description: mine\n"})
	if r := load(t, src, "debian-12"); r.Description != "mine" {
		t.Errorf("description %q", r.Description)
	}
	if r := load(t, src, "debian-12-nginx"); r.Chain()[0].File != "baselines/debian-12.yaml" {
		t.Errorf("chain %+v", r.Chain())
	}
}

func TestArchitectureIsChosen(t *testing.T) {
	src := project(t, nil)
	if r, err := baseline.Load(context.Background(), src, "debian-12", ""); err != nil || r.Architecture != "amd64" {
		t.Errorf("default: %v", err)
	}
	if _, err := baseline.Load(context.Background(), src, "debian-12", "s390x"); fault.KindOf(err) != fault.Input {
		t.Errorf("unknown architecture: %v", err)
	}
	src = project(t, map[string]string{"baselines/web.arm64.yaml": base})
	if _, err := baseline.Load(context.Background(), src, "web.arm64", ""); fault.KindOf(err) != fault.Input {
		t.Errorf("a name like a lock's: %v", err)
	}
	src = project(t, map[string]string{"baselines/arm.yaml": "extends: debian-12\nremove:\n  architectures: [amd64]\n"})
	if r, err := baseline.Load(context.Background(), src, "arm", ""); err != nil || r.Architecture != "arm64" || r.Typed() != "arm" {
		t.Errorf("a removed architecture: %v", err)
	}
	if _, err := baseline.Load(context.Background(), src, "arm", "amd64"); fault.KindOf(err) != fault.Input {
		t.Errorf("a removed architecture, named: %v", err)
	}
}

func TestARecipeIsNamedAsTyped(t *testing.T) {
	src := project(t, nil)
	for arch, want := range map[string]string{"": "debian-12-nginx", "amd64": "debian-12-nginx", "arm64": "debian-12-nginx --arch arm64"} {
		r, err := baseline.Load(context.Background(), src, "debian-12-nginx", arch)
		if err != nil || r.Typed() != want {
			t.Errorf("%q: %q, %v; want %q", arch, r.Typed(), err, want)
		}
	}
}

func TestLinksOutOfTheProjectAreNotFollowed(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "baselines"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "baselines", "link")); err != nil {
		t.Fatal(err)
	}
	recipe := base + "run: [{name: a, script: x, inputs: [link]}]"
	if err := os.WriteFile(filepath.Join(dir, "baselines", "web.yaml"), []byte(recipe), 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := baseline.NewSource(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := baseline.Load(context.Background(), src, "web", "amd64"); err == nil || !strings.Contains(err.Error(), `cannot read "link"`) {
		t.Errorf("got %v", err)
	}
}

func TestLocalPackageIsHeldToItsDigest(t *testing.T) {
	const sum = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" // of "x"
	for digest, want := range map[string]string{sum: "", strings.Repeat("0", 64): "debs/app.deb has the digest " + sum} {
		src := project(t, map[string]string{
			"baselines/web.yaml": base + "sources: {app: {deb: ../debs/app.deb, sha256: \"" + digest + "\"}}", "debs/app.deb": "x",
		})
		_, err := baseline.Load(context.Background(), src, "web", "amd64")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", digest, err)
		}
	}
}

// TestControlsAreChosenByProfile has a project with controls of its own.
func TestControlsAreChosenByProfile(t *testing.T) {
	own := map[string]string{
		"controls/own.yaml": `
motd: {title: m, severity: low, rationale: r, resources: {files: {/etc/motd: {mode: "0644"}}}}
issue: {title: i, severity: low, rationale: r, outputs: [vm], resources: {files: {/etc/issue: {mode: "0644"}}}}
hosts: {title: h, severity: low, rationale: r, resources: {files: {/etc/hosts: {mode: "0644"}}}}
`,
		"controls/benchmarks/own.yaml": "{title: own, version: '1', sections: {1.1.1: {level: 1, controls: [motd, issue]}, 1.1.2: {level: 2, controls: [hosts]}}}",
		"controls/profiles.yaml":       "own-l1: {description: d, level: 1, benchmarks: [own]}\nown-l2: {description: d, level: 2, benchmarks: [own]}\n",
		"baselines/web.yaml":           base + "controls: {profiles: [own-l2], except: [motd]}\n",
		"baselines/accepts.yaml":       base + "controls: {waive: {motd: {reason: r, owner: ops, expires: 2027-03-31}}}\n",
		"baselines/accepting.yaml":     "extends: accepts\ncontrols: {waive: {issue: {reason: r, owner: o, expires: 2027-03-31}}}\n",
		"baselines/child.yaml":         "extends: web\nremove: {controls: {profiles: [own-l2]}}\ncontrols: {profiles: [own-l1]}\n",
		"baselines/plain.yaml":         base,
		"baselines/wrong.yaml":         base + "controls: {profiles: [own-l3], except: [mod], waive: {isue: {reason: r, owner: o, expires: 2027-03-31}}}\n",
	}
	src := project(t, own)
	ids := func(name string, output control.Output) string {
		var list []string
		for _, c := range load(t, src, name).Hardening(output) {
			list = append(list, c.ID)
		}
		return strings.Join(list, " ")
	}
	for _, c := range []struct {
		name   string
		output control.Output
		want   string
	}{
		{"web", control.Machine, "hosts issue"}, {"web", control.Container, "hosts"},
		{"child", control.Machine, "issue"}, {"child", control.Container, ""}, {"plain", control.Machine, ""},
	} {
		if got := ids(c.name, c.output); got != c.want {
			t.Errorf("%s on %s: %q, want %q", c.name, c.output, got, c.want)
		}
	}
	accepted := load(t, src, "accepting").Controls.Waivers()
	if len(accepted) != 2 || accepted[0].Control != "issue" || accepted[1].Control != "motd" || accepted[1].Owner != "ops" {
		t.Errorf("a child accepts %v", accepted)
	}
	_, err := baseline.Load(context.Background(), src, "wrong", "amd64")
	for _, want := range []string{
		`baselines/wrong.yaml:3:23: unknown profile "own-l3"; did you mean "own-l1"?`,
		`baselines/wrong.yaml:3:41: unknown control "mod"; did you mean "motd"?`,
		`baselines/wrong.yaml:3:55: unknown control "isue"; did you mean "issue"?`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestTheGateAboutCVEs: a severity is short for a map, and both come back from what
// is signed.
func TestTheGateAboutCVEs(t *testing.T) {
	for text, want := range map[string]baseline.CVEs{
		"high":                {Severity: control.High},
		"{severity: high}":    {Severity: control.High},
		"{exploited: refuse}": {Exploited: baseline.Refuse},
		"\"${worst}\"":        {Severity: control.Low},
		"{severity: critical, unfixed: ignore, dismissed: ignore, exploited: ignore}": {
			Severity: control.Critical, Unfixed: baseline.Ignore, Dismissed: baseline.Ignore, Exploited: baseline.Ignore},
	} {
		recipe := load(t, project(t, map[string]string{"baselines/web.yaml": base + "vars: {worst: low}\ngates: {cves: " + text + "}\n"}), "web")
		data, err := recipe.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		terms, err := baseline.ReadTerms(data)
		if err != nil || recipe.Gates.CVEs == nil || *recipe.Gates.CVEs != want || terms.Gates.CVEs == nil || *terms.Gates.CVEs != want || !recipe.Scanned() {
			t.Errorf("%s: %+v, %+v, %v", text, recipe.Gates.CVEs, terms.Gates.CVEs, err)
		}
	}
}

// TestAChildAddsToTheGateAboutCVEs: a map adds to what its parent has, in whatever form
// that is, and the short form takes its place.
func TestAChildAddsToTheGateAboutCVEs(t *testing.T) {
	both := baseline.CVEs{Severity: control.High, Exploited: baseline.Refuse}
	for _, c := range []struct {
		parent, child string
		want          baseline.CVEs
	}{
		{"high", "{exploited: refuse}", both},
		{"{severity: high}", "{exploited: refuse}", both},
		{"{exploited: refuse}", "{severity: high}", both},
		{"high", "{unfixed: ignore}", baseline.CVEs{Severity: control.High, Unfixed: baseline.Ignore}},
		{"high", "{severity: low}", baseline.CVEs{Severity: control.Low}},
		{"high", "critical", baseline.CVEs{Severity: control.Critical}},
		{"{severity: low, exploited: refuse}", "high", baseline.CVEs{Severity: control.High}},
	} {
		recipe := load(t, project(t, map[string]string{
			"baselines/parent.yaml": base + "gates: {clean: true, cves: " + c.parent + "}\n",
			"baselines/web.yaml":    "name: web\nextends: parent\ngates: {cves: " + c.child + "}\n",
		}), "web")
		if got := recipe.Gates; got.CVEs == nil || *got.CVEs != c.want || !got.Clean {
			t.Errorf("%s over %s: %+v", c.child, c.parent, got.CVEs)
		}
	}
}

func TestCanonicalKeepsTheValuesOfVariables(t *testing.T) {
	recipe := base + "vars: {port: 8080, motd: \"a: #b\", on: true, hosts: [a, \"1\"]}\n"
	data, err := load(t, project(t, map[string]string{"baselines/web.yaml": recipe}), "web").Canonical()
	if err != nil {
		t.Fatal(err)
	}
	values, err := baseline.ReadValues(data)
	if err != nil {
		t.Fatal(err)
	}
	filled, err := values.Expand("${name} ${arch} ${suite} ${port} ${motd} ${on} ${hosts}", nil)
	if err != nil || filled != "web amd64 bookworm 8080 a: #b true a 1" {
		t.Errorf("%q, %v", filled, err)
	}
	if values, err := baseline.ReadValues([]byte(`{"gates":{}}`)); err != nil || values != nil {
		t.Errorf("a recipe of before: %v, %v", values, err)
	}
	if _, err := baseline.ReadValues([]byte(`{"values":{"a":{"x":"y"}}}`)); err == nil {
		t.Error("a map was read")
	}
}

// TestControlsKnowThePlatformsOfRecipes has a control for each platform of a
// recipe.
func TestControlsKnowThePlatformsOfRecipes(t *testing.T) {
	for _, suite := range []string{"bookworm", "trixie"} {
		r := load(t, project(t, map[string]string{"baselines/web.yaml": "suite: " + suite + "\narchitectures: [amd64]\n"}), "web")
		own := "{title: t, severity: low, rationale: r, platforms: [" + r.Platform() + "], resources: {packages: {x: present}}}"
		if _, err := project(t, map[string]string{"controls/x.yaml": "x: " + own}).Controls(); err != nil {
			t.Error(err)
		}
	}
}
