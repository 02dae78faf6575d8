package apache_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/peertest"
	"imgbuild/provisioners/system"
)

// TestModulesAreThoseOfA2enmod compares the links after every change with what
// a2enmod and a2dismod make of the same directory.
func TestModulesAreThoseOfA2enmod(t *testing.T) {
	tree := peertest.Unpack(t, packages...)
	ctx := context.Background()
	for _, steps := range [][]string{
		{"enabled ssl"}, {"enabled proxy_balancer"}, {"enabled auth_form"}, {"disabled status"}, {"disabled negotiation"},
		{"enabled headers", "disabled headers"}, {"disabled autoindex", "enabled autoindex"}, {"disabled userdir"}, {"enabled lbmethod_byrequests", "disabled lbmethod_byrequests"},
	} {
		sys := stock(t)
		dir := t.TempDir()
		export(t, sys, dir)
		// The copy has files where the system has links.
		if err := os.RemoveAll(dir + "/etc/apache2/mods-enabled"); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir+"/etc/apache2/mods-enabled", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, target := range links(t, sys) {
			if err := os.Symlink(target, filepath.Join(dir, "/etc/apache2/mods-enabled", name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(dir+"/state", 0o755); err != nil {
			t.Fatal(err)
		}
		for _, step := range steps {
			to, name, _ := strings.Cut(step, " ")
			if _, err := module(t, name, to).Apply(ctx, sys); err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			if again, err := module(t, name, to).Apply(ctx, sys); again || err != nil {
				t.Fatalf("%s a second time: %v, %v", step, again, err)
			}
			tool := map[string]string{"enabled": "usr/sbin/a2enmod", "disabled": "usr/sbin/a2dismod"}[to]
			cmd := tree.Command(tool, "-f", "-q", name)
			cmd.Env = append(cmd.Env, "APACHE_CONFDIR="+dir+"/etc/apache2", "APACHE_STATE_DIRECTORY="+dir+"/state")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", step, err, out)
			}
			host, err := system.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			want := links(t, host)
			note := to + "_by_admin/" + name
			if _, err := host.Lstat("/state/module/" + note); err == nil {
				if _, err := sys.Lstat("/var/lib/apache2/module/" + note); err != nil {
					t.Errorf("%s: a2enmod notes %s: %v", step, note, err)
				}
			}
			host.Close()
			if diff := cmp.Diff(want, links(t, sys)); diff != "" {
				t.Errorf("%s: -a2enmod +here:\n%s", step, diff)
			}
		}
	}
}

func links(t *testing.T, r system.Reader) map[string]string {
	t.Helper()
	names, err := r.ReadDir("/etc/apache2/mods-enabled")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range names {
		if out[name], err = r.Readlink("/etc/apache2/mods-enabled/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestModulesThatCannotBe(t *testing.T) {
	sys := system.NewMemory()
	put(t, sys, map[string]string{
		"/etc/apache2/mods-available/status.load":     "LoadModule status_module x.so\n",
		"/etc/apache2/mods-available/mpm_event.load":  "# Conflicts: mpm_worker\n",
		"/etc/apache2/mods-enabled/mpm_worker.load":   "-> ../mods-available/mpm_worker.load",
		"/etc/apache2/mods-available/mpm_worker.load": "# Conflicts: mpm_event\n",
		"/etc/apache2/mods-available/bad.load":        "# Depends: ../../etc/passwd\n",
		"/etc/apache2/mods-available/one.load":        "# Depends: two\n",
		"/etc/apache2/mods-available/two.load":        "# Depends: one\n",
	})
	for name, want := range map[string]string{
		"statu": `did you mean "status"`, "mpm_event": "conflicts with mpm_worker", "bad": "not the name of a module",
	} {
		if _, err := module(t, name, "enabled").Apply(context.Background(), sys); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	if _, err := module(t, "so", "disabled").Apply(context.Background(), sys); err == nil || !strings.Contains(err.Error(), "built into") {
		t.Errorf("a module that is built in: %v", err)
	}
	if changed, err := module(t, "one", "enabled").Apply(context.Background(), sys); err != nil || !changed {
		t.Errorf("modules that depend on each other: %v, %v", changed, err)
	}
}
