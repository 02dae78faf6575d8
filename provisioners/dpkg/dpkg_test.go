package dpkg_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners/dpkg"
	"imgbuild/provisioners/system"
)

func decode(t testing.TB, name, value string) *dpkg.Package {
	t.Helper()
	n, err := node.Parse("test.yaml", nil, "test.yaml", []byte("x: "+value))
	if err != nil {
		t.Fatal(err)
	}
	d, err := dpkg.New(node.Entry{Key: name, Value: n.Get("x")})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func memory(t testing.TB, files map[string]string) *system.Memory {
	t.Helper()
	s := system.NewMemory()
	for name, text := range files {
		if err := system.MkdirAll(s, path.Dir(name)); err != nil {
			t.Fatal(err)
		}
		if err := s.WriteFile(name, strings.NewReader(text), system.Attr{Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const status = "/var/lib/dpkg/status"

// paragraph is one package's in the database.
func paragraph(name, state string) string {
	return fmt.Sprintf("Package: %s\nStatus: install %s\nArchitecture: amd64\nVersion: 1\nMaintainer: nobody <n@example.org>\nDescription: x\n Status: install ok installed\n .\n Package: y\n\n", name, state)
}

func TestStates(t *testing.T) {
	for _, c := range []struct{ name, state, database, want string }{
		{"present", "present", paragraph("chrony", "ok installed"), ""},
		{"waiting for a trigger", "present", paragraph("chrony", "ok triggers-pending"), ""},
		{"not there", "present", paragraph("chronyd", "ok installed"), "package chrony is not installed, should be installed"},
		{"its configuration", "present", paragraph("chrony", "ok config-files"), "package chrony is ok config-files, should be installed"},
		{"not configured", "present", paragraph("chrony", "ok unpacked"), "package chrony is ok unpacked, should be installed"},
		{"broken", "present", paragraph("chrony", "reinstreq installed"), "package chrony is reinstreq installed, should be installed"},
		{"another", "{present: true, or: [ntpsec, systemd-timesyncd]}", paragraph("systemd-timesyncd", "ok installed"), ""},
		{"no other", "{present: true, or: [ntpsec]}", paragraph("ntpsec", "ok half-installed"), "package chrony is not installed, should be installed, or ntpsec"},
		{"absent", "absent", "", ""},
		{"absent but for its configuration", "{absent: true}", paragraph("chrony", "ok config-files"), ""},
		{"not absent", "absent", paragraph("chrony", "ok installed"), "package chrony is ok installed, should be not installed"},
		{"half absent", "absent", paragraph("chrony", "ok half-installed"), "package chrony is ok half-installed, should be not installed"},
		{"of another architecture", "absent", paragraph("chrony", "ok config-files") + strings.Replace(paragraph("chrony", "ok installed"), "amd64", "i386", 1), "package chrony is ok installed, should be not installed"},
		{"a state nobody knows", "absent", paragraph("x", "ok fine"), "error: reading dpkg's database: /var/lib/dpkg/status: paragraph at line 1: package x: dpkg knows no state \"fine\""},
		{"no status", "absent", "Package: x\n", "error: reading dpkg's database: /var/lib/dpkg/status: paragraph at line 1: package x: the status \"\" is not three words"},
		{"no name", "absent", "\n\nStatus: install ok installed\n", "error: reading dpkg's database: /var/lib/dpkg/status: paragraph at line 3: no field Package"},
		{"twice", "absent", "Package: x\nStatus: a ok installed\nStatus: a ok config-files\n", "error: reading dpkg's database: /var/lib/dpkg/status: line 3 gives the field status again"},
		{"continued from nothing", "absent", " x\n", "error: reading dpkg's database: /var/lib/dpkg/status: line 1 continues no field"},
		{"no field", "absent", "x\n", "error: reading dpkg's database: /var/lib/dpkg/status: line 1 is not field: value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decode(t, "chrony", c.state)
			s := memory(t, map[string]string{status: c.database})
			differences, err := d.Check(context.Background(), s)
			got := ""
			switch {
			case err != nil:
				got = "error: " + err.Error()
			case len(differences) > 0:
				got = differences[0].String()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			changed, err := d.Apply(context.Background(), s)
			if changed || (err != nil) != (c.want != "") {
				t.Errorf("applied: %v, %v", changed, err)
			}
			if err != nil && !strings.HasPrefix(got, "error") && (fault.KindOf(err) != fault.Input || !strings.Contains(fault.HintOf(err), "packages:")) {
				t.Errorf("the error says not what to change: %v; %s", err, fault.HintOf(err))
			}
		})
	}
}

func TestNoDatabaseIsAnError(t *testing.T) {
	if d, err := decode(t, "chrony", "absent").Check(context.Background(), system.NewMemory()); err == nil {
		t.Errorf("no error but %v", d)
	}
}

// TestJournal has what an interrupted dpkg leaves.
func TestJournal(t *testing.T) {
	s := memory(t, map[string]string{
		status: paragraph("chrony", "ok unpacked"), "/var/lib/dpkg/updates/0000": paragraph("chrony", "ok half-configured"),
		"/var/lib/dpkg/updates/0001": paragraph("chrony", "ok installed"), "/var/lib/dpkg/updates/tmp.i": "unfinished",
	})
	if d, err := decode(t, "chrony", "present").Check(context.Background(), s); len(d) > 0 || err != nil {
		t.Errorf("%v, %v", d, err)
	}
}

// TestStatesAreThoseOfDpkg compares with what dpkg-query reads of the same
// database.
func TestStatesAreThoseOfDpkg(t *testing.T) {
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		t.Skip("dpkg-query is not installed")
	}
	random := rand.New(rand.NewPCG(1, 2))
	states := []string{"ok installed", "ok config-files", "ok unpacked", "ok half-configured", "ok half-installed", "ok triggers-pending", "ok not-installed", "reinstreq half-installed"}
	var database strings.Builder
	for i := range 60 {
		state := states[random.IntN(len(states))]
		text := paragraph(fmt.Sprintf("p%d", i), state)
		if strings.HasSuffix(state, "triggers-pending") {
			text = strings.Replace(text, "Version:", "Triggers-Pending: x\nVersion:", 1)
		}
		if strings.HasSuffix(state, "config-files") {
			text = strings.Replace(text, "Version:", "Config-Version: 1\nVersion:", 1)
		}
		database.WriteString(text)
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "var/lib/dpkg")
	for _, d := range []string{"updates", "info", "triggers"} {
		if err := os.MkdirAll(filepath.Join(at, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(at, "status"), []byte(database.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(query, "--admindir="+at, "--show", "-f", "${Package} ${db:Status-Eflag} ${db:Status-Status}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), " ")
		of[name] = state
	}
	r, err := system.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(of) < 40 {
		t.Fatalf("dpkg-query lists %d packages", len(of))
	}
	for i := range 60 {
		name := fmt.Sprintf("p%d", i)
		present := of[name] == "ok installed" || of[name] == "ok triggers-pending"
		absent := of[name] == "" || of[name] == "ok not-installed" || of[name] == "ok config-files"
		for state, want := range map[string]bool{"present": present, "absent": absent} {
			d, err := decode(t, name, state).Check(context.Background(), r)
			if err != nil || (len(d) == 0) != want {
				t.Errorf("%s %s: dpkg-query says %q; %v, %v", name, state, of[name], d, err)
			}
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add(paragraph("chrony", "ok installed"))
	f.Fuzz(func(t *testing.T, text string) {
		s := memory(t, map[string]string{status: text})
		present, err := (&dpkg.Package{Name: "chrony", Present: true}).Check(context.Background(), s)
		if err != nil {
			return
		}
		absent, err := (&dpkg.Package{Name: "chrony", Absent: true}).Check(context.Background(), s)
		if err != nil || len(present) == 0 && len(absent) == 0 {
			t.Fatalf("both present and absent, or %v", err)
		}
	})
}

// wrapped is a reader around another, as scans have them.
type wrapped struct{ system.Reader }

func (w wrapped) Unwrap() system.Reader { return w.Reader }

func TestADatabaseIsReadOnce(t *testing.T) {
	s := memory(t, map[string]string{status: paragraph("chrony", "ok installed")})
	kept := wrapped{dpkg.Remember(wrapped{s})}
	d := decode(t, "chrony", "present")
	if found, err := d.Check(t.Context(), kept); err != nil || len(found) > 0 {
		t.Fatalf("%v, %v", found, err)
	}
	if err := s.WriteFile(status, strings.NewReader(""), system.Attr{Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if found, err := d.Check(t.Context(), kept); err != nil || len(found) > 0 {
		t.Errorf("it was read again: %v, %v", found, err)
	}
	if found, err := d.Check(t.Context(), wrapped{s}); err != nil || len(found) != 1 {
		t.Errorf("what does not remember: %v, %v", found, err)
	}
}
