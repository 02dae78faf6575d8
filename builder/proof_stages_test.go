package builder_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder"
	"imgbuild/images/baseline"
	"imgbuild/images/integrity"
	"imgbuild/images/updates"
)

const goldenStages = "testdata/golden/stages"

// TestStageIDsAreTheSame holds the ids of every stage of one recipe and lock to
// those that were written down. When it fails, caches of users will not be hit
// and the images of every baseline get other digests: if that is meant, raise
// the format number of the stage whose output changes and write the file again
// with -update.
func TestStageIDsAreTheSame(t *testing.T) {
	plan := goldenPlan(t, nil, nil)
	var b strings.Builder
	for _, s := range plan.Steps() {
		fmt.Fprintf(&b, "%s %s format %d %s\n", s.ID(), s.Kind, s.Format, s.Name)
	}
	fmt.Fprintf(&b, "%s %s format %d %s\n", plan.Container.ID(), plan.Container.Kind, plan.Container.Format, plan.Container.Name)
	fmt.Fprintf(&b, "%s the image\n", plan.ImageID())
	if *update {
		if err := os.WriteFile(goldenStages, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenStages)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("stage ids changed (-written down +now):\n%s", diff)
	}
}

// TestInputsReachTheirStages changes one input of the lock at a time and says
// which stage must be the first that is made anew.
func TestInputsReachTheirStages(t *testing.T) {
	pkg := func(l *updates.Lock, set updates.Set, name string) *updates.Package {
		for i := range l.Packages {
			if l.Packages[i].Name == name && l.Packages[i].Set == set {
				return &l.Packages[i]
			}
		}
		t.Fatalf("the lock has no %s", name)
		return nil
	}
	other := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name string
		edit func(*updates.Lock)
		// first is the first stage with another id; "" means none.
		first string
	}{
		{"digest of a package", func(l *updates.Lock) { pkg(l, updates.Root, "libc6").SHA256 = other }, "web"},
		{"version of a leaf", func(l *updates.Lock) { pkg(l, updates.Root, "nginx").Version = "2" }, "web-leaf"},
		{"who asked for a package", func(l *updates.Lock) { pkg(l, updates.Root, "nginx").Auto = true }, "web-leaf"},
		{"a tool", func(l *updates.Lock) { pkg(l, updates.Tools, "e2fsprogs").SHA256 = other }, "tools"},
		{"a boot package", func(l *updates.Lock) { pkg(l, updates.Boot, "systemd-sysv").SHA256 = other }, "boot"},
		{"number of an account", func(l *updates.Lock) { n := 500; l.Accounts[0].UID = &n }, "boot"},
		{"date of the suite", func(l *updates.Lock) { l.Releases[0].Date = "2025-05-18T09:50:10Z" }, "web"},
		{"path on the mirror", func(l *updates.Lock) { pkg(l, updates.Root, "nginx").Path = "pool/x.deb" }, ""},
		{"digest of a release", func(l *updates.Lock) { l.Releases[1].SHA256 = other }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, after := goldenPlan(t, nil, nil).Steps(), goldenPlan(t, nil, c.edit).Steps()
			first := ""
			for i := range before {
				if before[i].ID() != after[i].ID() {
					first = before[i].Name
					break
				}
			}
			if first != c.first {
				t.Errorf("the first stage that changes: got %q, want %q", first, c.first)
			}
		})
	}
}

// TestRecipesReachTheImage changes one thing of the recipe at a time.
func TestRecipesReachTheImage(t *testing.T) {
	before := goldenPlan(t, nil, nil)
	for _, c := range []struct {
		name string
		edit func(*baseline.Recipe)
		// root and image say whether the sealed root and the image are others.
		root, image bool
	}{
		{"description", func(r *baseline.Recipe) { r.Description = "other" }, false, true},
		{"command of the container", func(r *baseline.Recipe) { r.Outputs.Container.Cmd = []string{"/bin/true"} }, false, true},
		{"compression", func(r *baseline.Recipe) { r.Outputs.Container.Compression = "gzip" }, false, true},
		{"no disk", func(r *baseline.Recipe) { r.Outputs.VM = nil }, false, true},
		{"formats", func(r *baseline.Recipe) { r.Outputs.VM.Formats = []string{"raw"} }, false, true},
		{"size of the disk", func(r *baseline.Recipe) { r.Outputs.VM.Size *= 2 }, false, true},
		{"kernel arguments", func(r *baseline.Recipe) { r.KernelArguments = nil }, false, true},
		{"path-exclude", func(r *baseline.Recipe) { r.PathExclude = nil }, true, true},
		{"path-include", func(r *baseline.Recipe) { r.PathInclude = nil }, true, true},
		{"resources", func(r *baseline.Recipe) { r.Resources = nil }, true, true},
		{"script", func(r *baseline.Recipe) { r.Run[0].Script += "x" }, true, true},
		{"environment of a script", func(r *baseline.Recipe) { r.Run[0].Env["LEVEL"] = "3" }, true, true},
		{"name", func(r *baseline.Recipe) { r.Name = "web2" }, true, true},
		{"probes", func(r *baseline.Recipe) { r.Probes = map[string]baseline.Probe{"p": {}} }, false, true},
		{"gates", func(r *baseline.Recipe) { r.Gates.ForbidPackages = []string{"telnet"} }, false, true},
		{"mutable paths", func(r *baseline.Recipe) { r.Mutable = mutable("/opt/app", integrity.Variable) }, false, true},
		{"architectures", func(r *baseline.Recipe) { r.Architectures = append(r.Architectures, "riscv64") }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			after := goldenPlan(t, c.edit, nil)
			if changed := after.RootStage() != before.RootStage(); changed != c.root {
				t.Errorf("root: changed %v, want %v", changed, c.root)
			}
			if changed := after.ImageID() != before.ImageID(); changed != c.image {
				t.Errorf("image: changed %v, want %v", changed, c.image)
			}
		})
	}
}

func mutable(pattern string, class integrity.Class) baseline.Mutables {
	return baseline.Mutables{pattern: {Class: class, Owner: "ops", Reason: "data"}}
}

// TestMutablePathsReachWhatWritesThemDown: a server is called by its seal, and held
// to the classes of its own image.
func TestMutablePathsReachWhatWritesThemDown(t *testing.T) {
	plans := map[string]*builder.Plan{}
	for name, m := range map[string]baseline.Mutables{"none": nil, "variable": mutable("/opt/app", integrity.Variable), "seeded": mutable("/opt/app", integrity.Seeded)} {
		plans[name] = goldenPlan(t, func(r *baseline.Recipe) { r.Mutable = m }, bootsWithAIDE)
	}
	ids := map[string]string{}
	for name, plan := range plans {
		for _, s := range plan.Steps() {
			what := s.Kind + " " + s.Name
			if s.Kind == "aide" || s.Kind == "evidence" || s.Name == "seal-boot" {
				what += " of " + name // no two plans share one
			}
			id := string(s.ID())
			if was, seen := ids[what]; seen && was != id && s.Kind != "disk" {
				t.Errorf("%s depends on mutable paths", what)
			}
			ids[what] = id
		}
	}
	for _, what := range []string{"aide aide", "evidence evidence-container", "evidence evidence-disk", "seal seal-boot"} {
		distinct := map[string]bool{}
		for name := range plans {
			distinct[ids[what+" of "+name]] = true
		}
		if len(distinct) != len(plans) || distinct[""] {
			t.Errorf("%s does not depend on mutable paths: %v", what, distinct)
		}
	}
}

func goldenPlan(t *testing.T, edit func(*baseline.Recipe), editLock func(*updates.Lock)) *builder.Plan {
	t.Helper()
	source, err := baseline.NewSource("testdata/golden", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { source.Close() })
	recipe, err := baseline.Load(t.Context(), source, "web", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := updates.ReadLock("testdata/golden/locks/web.lock")
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(recipe)
	}
	if editLock != nil {
		editLock(lock)
	}
	plan, err := builder.NewPlan(recipe, lock)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
