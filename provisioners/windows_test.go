package provisioners_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"imgbuild/images/control"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// windows is a system that says it is Windows, with no mode or owner of a file,
// as those there; what really is one is tried in builder/proofguest.
type windows struct{ *system.Memory }

func (windows) OS() system.OS { return system.Windows }

func (w windows) Lstat(name string) (system.Info, error) { return plain(w.Memory.Lstat(name)) }
func (w windows) Stat(name string) (system.Info, error)  { return plain(w.Memory.Stat(name)) }

func plain(info system.Info, err error) (system.Info, error) {
	info.Mode, info.UID, info.GID = info.Mode.Type(), 0, 0
	return info, err
}

func (windows) Chmod(name string, _ fs.FileMode) error {
	return &fs.PathError{Op: "chmod", Path: name, Err: fs.ErrInvalid}
}

// TestWhatIsOfLinuxNeverPassesOnWindows holds every type against a system of
// Windows that has all their files in the wanted state.
func TestWhatIsOfLinuxNeverPassesOnWindows(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range cases() {
		resources, err := decode(t, c.recipe)
		if err != nil {
			t.Fatal(err)
		}
		m := system.NewMemory()
		before(t, m)
		if _, err := provisioners.Apply(context.Background(), m, resources); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		w := windows{m}
		for _, r := range resources {
			kind := strings.Fields(r.Identity())[0]
			tried[kind] = true
			given := "neither owner, group nor mode"
			differences, err := r.Check(context.Background(), w)
			changed, applyErr := r.Apply(context.Background(), w)
			switch kind {
			case "file", "directory", "line":
				stated := strings.Contains(c.recipe, "mode:") || strings.Contains(c.recipe, "owner:") || strings.Contains(c.recipe, "group:")
				if stated && (err == nil || !strings.Contains(err.Error(), given) || applyErr == nil) {
					t.Errorf("%s: what Windows has not is looked at: %v, %v", c.name, err, applyErr)
				}
				if !stated && (err != nil || len(differences) > 0 || applyErr != nil || changed) {
					t.Errorf("%s: %v %v; applied: %v %v", c.name, differences, err, changed, applyErr)
				}
			default:
				if err == nil || !strings.Contains(err.Error(), "describe Linux, and this system is Windows") || applyErr == nil || changed {
					t.Errorf("%s: %v %v; applied: %v %v", c.name, differences, err, changed, applyErr)
				}
			}
		}
	}
	if len(tried) < 20 {
		t.Errorf("only these were tried: %v", tried)
	}
}

func TestLinesOnWindowsEndAsTheFileDoes(t *testing.T) {
	const path = "/C:/app.ini"
	for have, want := range map[string]string{
		"a=0\r\nb=1\r\n": "a=1\r\nb=1\r\n",
		"b=1\r\na=2":     "b=1\r\na=1\r\n",
		"b=1\r\na=0\n":   "b=1\r\na=1\r\n",
		"b=1\n":          "b=1\na=1\n",
		"b=1\r\nc=2":     "b=1\r\nc=2\r\na=1\r\n",
		"\xff\xfea\x00":  "",
	} {
		w := windows{system.NewMemory()}
		if err := system.Replace(w, path, have, 0o644); err != nil {
			t.Fatal(err)
		}
		resources, err := decode(t, "lines:\n  a: {path: '"+path+"', line: a=1, match: '^a=[0-9]$'}\n")
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []bool{false, true} {
			changed, err := resources[0].Apply(context.Background(), w)
			if (err == nil) != (want != "") || err == nil && changed == again {
				t.Errorf("%q: changed %v, %v", have, changed, err)
			}
		}
		if got, err := system.ReadFile(w, path, 100); err != nil || want != "" && string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", have, got, err, want)
		}
	}
}

func TestAControlIsOfItsOwnOperatingSystem(t *testing.T) {
	const text = `
everywhere: {title: x, severity: low, rationale: y, resources: {files: {/C:/a: {absent: true}}}}
linux: {title: x, severity: low, rationale: y, platforms: [debian-12], resources: {files: {/C:/a: {absent: true}}}}
windows: {title: x, severity: low, rationale: y, platforms: [windows-server-2022, debian-13], resources: {files: {/C:/a: {content: b}}}}
conditional: {title: x, severity: low, rationale: y, when: {sysctls: {a.b: "1"}}, resources: {files: {/C:/a: {absent: true}}}}
`
	memory := system.NewMemory()
	if err := system.MkdirAll(memory, "/C:"); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][2]control.Result{ // on Linux, on Windows
		"everywhere":  {control.Pass, control.Pass},
		"linux":       {control.Pass, control.NotApplicable},
		"windows":     {control.Fail, control.Fail},
		"conditional": {control.NotApplicable, control.Error},
	} {
		c := controls(t, text)[id]
		for i, r := range []system.System{memory, windows{memory}} {
			f, err := c.Check(context.Background(), r)
			if err != nil || f.Result != want[i] || f.Result == control.NotApplicable && f.Why == "" {
				t.Errorf("%s on %s: %+v, %v", id, system.OSOf(r), f, err)
			}
			if changed, err := c.Apply(context.Background(), r); f.Result == control.NotApplicable && (changed || err != nil) {
				t.Errorf("%s on %s: applied: %v, %v", id, system.OSOf(r), changed, err)
			}
			if err := memory.Remove("/C:/a"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
