package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline/node"
	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/provisioners"
	"imgbuild/provisioners/agent"
	"imgbuild/provisioners/system"
)

var update = flag.Bool("update", false, "write the golden question again")

const definitions = `motd-text:
  title: the message of the day is ours
  severity: low
  rationale: people know where they are
  resources:
    files:
      /etc/motd: {from: files/motd, mode: "0644"}
banner:
  title: the banner names the site
  severity: medium
  rationale: people know where they are
  resources:
    files:
      /etc/issue: {from: files/issue, template: true, mode: "0644"}
`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a set of controls that name files and variables.
func house(t *testing.T) ([]*control.Control, node.Vars) {
	t.Helper()
	set, err := control.Load(control.Source{Name: "shop/controls", Files: fstest.MapFS{
		"house.yaml":  {Data: []byte(definitions)},
		"files/motd":  {Data: []byte("welcome\n"), Mode: 0o644},
		"files/issue": {Data: []byte("this is ${site}, port ${port}\n"), Mode: 0o755},
	}})
	must(t, err)
	vars, err := node.Parse("vars", nil, "vars", []byte("site: shop\nport: 80\n"))
	must(t, err)
	return []*control.Control{set.Controls["banner"], set.Controls["motd-text"]}, node.Vars{"site": vars.Get("site"), "port": vars.Get("port")}
}

func TestTheFormOfAQuestionIsKept(t *testing.T) {
	q, err := agent.Ask(house(t))
	must(t, err)
	q.Rules = integrity.Rules{{Pattern: "var/log/**", Class: integrity.Variable}}
	got, err := json.MarshalIndent(q, "", "  ")
	must(t, err)
	golden := filepath.Join("testdata", "question.json")
	if *update {
		must(t, os.WriteFile(golden, append(got, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("the form changed; raise agent.Format (-golden +now):\n%s", diff)
	}
	read, err := agent.ReadQuestion(bytes.NewReader(got))
	must(t, err)
	if diff := cmp.Diff(q, read); diff != "" {
		t.Errorf("read back (-written +read):\n%s", diff)
	}
}

// TestTheServerSaysWhatAScanSays holds the same controls against the same
// system here and by way of a question.
func TestTheServerSaysWhatAScanSays(t *testing.T) {
	controls, vars := house(t)
	q, err := agent.Ask(controls, vars)
	must(t, err)
	s := system.NewMemory()
	must(t, system.MkdirAll(s, "/etc"))
	must(t, s.WriteFile("/etc/issue", strings.NewReader("nothing\n"), system.Attr{Mode: 0o666}))
	decoded, err := provisioners.DecodeControls(controls, vars)
	must(t, err)
	compare := func(result control.Result) {
		t.Helper()
		var want []control.Finding
		for _, c := range decoded {
			f, err := c.Check(context.Background(), s)
			must(t, err)
			want = append(want, f)
		}
		a, err := agent.Check(context.Background(), s, q)
		must(t, err)
		if diff := cmp.Diff(want, a.Findings); diff != "" {
			t.Errorf("(-scan +agent):\n%s", diff)
		}
		for _, f := range a.Findings {
			if f.Result != result {
				t.Errorf("%s: %s, want %s: %s", f.Control, f.Result, result, f.Why)
			}
		}
	}
	compare(control.Fail)
	for _, want := range []int{2, 0} {
		a, err := agent.Apply(context.Background(), s, q)
		must(t, err)
		if len(a.Changed) != want {
			t.Errorf("changed %v, want %d", a.Changed, want)
		}
	}
	compare(control.Pass)
	text, err := system.ReadFile(s, "/etc/issue", 100)
	must(t, err)
	if string(text) != "this is shop, port 80\n" {
		t.Errorf("/etc/issue: %q", text)
	}
}

func TestAManifestComesBackWhole(t *testing.T) {
	s := system.NewMemory()
	for _, name := range []string{"/etc/motd", "/var/log/syslog", "/etc/we\xffird"} {
		must(t, system.MkdirAll(s, filepath.Dir(name)))
		must(t, s.WriteFile(name, strings.NewReader("x"), system.Attr{Mode: 0o644}))
	}
	a, err := agent.Manifest(context.Background(), s, &agent.Question{Format: agent.Format, Rules: integrity.DefaultRules()})
	must(t, err)
	data, err := json.Marshal(a)
	must(t, err)
	read, err := agent.ReadAnswer(bytes.NewReader(data))
	must(t, err)
	m, err := integrity.ReadMtree(strings.NewReader(read.Manifest))
	must(t, err)
	for path, want := range map[string]bool{"etc/motd": true, "etc/we\xffird": true, "var/log": true, "var/log/syslog": false} {
		if _, ok := m.Find(path); ok != want {
			t.Errorf("%q is listed: %v", path, ok)
		}
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                                 "EOF",
		`{"format":2}`:                     "format 2",
		`{"format":1,"shell":"rm"}`:        "unknown field",
		`{"format":1} {}`:                  "something follows",
		`{"format":1,"controls":["nope"]}`: "",
		`{"format":1,"controls":[` + strings.Repeat(`"",`, 2<<20) + `""]}`: "more than 2097152 values",
	} {
		q, err := agent.ReadQuestion(strings.NewReader(text))
		if want == "" {
			must(t, err)
			_, err = agent.Check(context.Background(), system.NewMemory(), q)
			want = `no definition of the control "nope"`
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	for _, path := range []string{"../etc/passwd", "/abs", ".", "a//b", "dir/"} {
		q := &agent.Question{Format: 1, Sources: []agent.Source{{Name: "x", Files: []agent.File{{Path: path}}}}}
		if _, err := agent.Check(context.Background(), system.NewMemory(), q); err == nil || !strings.Contains(err.Error(), "cannot be") {
			t.Errorf("%q: got %v", path, err)
		}
	}
	if _, err := agent.ReadAnswer(strings.NewReader(`{"format":1,"error":"no disk"}`)); err == nil || err.Error() != "no disk" {
		t.Errorf("got %v", err)
	}
}

// TestAServerSaysOnlyWhatItCanKnow has answers of one that somebody else rules.
func TestAServerSaysOnlyWhatItCanKnow(t *testing.T) {
	for text, want := range map[string]string{
		`{"format":1,"findings":[{"control":"a","result":"waived"}]}`:                                              `it is "waived"`,
		`{"format":1,"findings":[{"control":"a","result":"fine"}]}`:                                                `it is "fine"`,
		`{"format":1,"findings":[{"control":"a"}]}`:                                                                `it is ""`,
		`{"format":1,"findings":[{"control":"a","result":"fail","waiver":"w"}]}`:                                   "not a server's to say",
		`{"format":1,"findings":[{"control":"a","result":"pass","asked":true}]}`:                                   "not a server's to say",
		`{"format":1,"findings":[{"control":"a","result":"fail","waived_before":"2099-01-01T00:00:00Z"}]}`:         "not a server's to say",
		`{"format":1,"findings":[{"control":"a","result":"pass","references":[{"benchmark":"b","section":"1"}]}]}`: "not a server's to say",
		`{"format":1,"findings":[` + strings.Repeat(`{},`, 1<<20) + `{}]}`:                                         "more than 2097152 values",
	} {
		if _, err := agent.ReadAnswer(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got %v", text, err)
		}
	}
	long := `{"format":1,"error":"` + strings.Repeat("x", 1<<20) + `"}`
	if _, err := agent.ReadAnswer(strings.NewReader(long)); err == nil || len(err.Error()) > 8<<10 {
		t.Errorf("an error of %d bytes is taken over", len(err.Error()))
	}
	// Commas in text are no values; a mark of the byte order is none either.
	a, err := agent.ReadAnswer(strings.NewReader("\xef\xbb\xbf" + `{"format":1,"manifest":"` + strings.Repeat(`,[{\"`, 1<<20) + `"}`))
	if err != nil || len(a.Manifest) != 4<<20 {
		t.Errorf("text is counted: %v", err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`{"format":1,"findings":[{"control":"a","result":"fail","differences":[{"subject":"/x","have":"a","want":"b"}]}]}`))
	f.Add([]byte(`{"format":1,"manifest":"#mtree v2.0\n#class immutable\n. type=dir mode=755 uid=0 gid=0 time=1.000000000\n"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := agent.ReadAnswer(bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, found := range a.Findings {
			if found.Waiver != "" || found.Result == control.Waived || found.Result == control.Manual {
				t.Errorf("taken over: %+v", found)
			}
		}
		m, err := integrity.ReadMtree(strings.NewReader(a.Manifest))
		if err == nil && len(m) > 0 {
			if _, ok := m.Find("."); !ok {
				t.Error("a manifest without its root")
			}
		}
	})
}

// TestAllControlsLookAtOneWalk counts how often the files and the packages of a
// system are read for several controls.
func TestAllControlsLookAtOneWalk(t *testing.T) {
	const of = `%s:
  title: x
  severity: low
  rationale: y
  resources:
    %s
`
	set, err := control.Load(control.Source{Name: "shop/controls", Files: fstest.MapFS{"many.yaml": {Data: fmt.Appendf(nil, of+of+of+of,
		"open", "sweeps: {world-writable: {}}", "sticky", "sweeps: {sticky: {}}", "cron", "packages: {cron: present}", "nginx", "packages: {nginx: absent}")}}})
	must(t, err)
	q, err := agent.Ask([]*control.Control{set.Controls["open"], set.Controls["sticky"], set.Controls["cron"], set.Controls["nginx"]}, nil)
	must(t, err)
	s := system.NewMemory()
	must(t, system.MkdirAll(s, "/var/lib/dpkg"))
	must(t, s.WriteFile("/var/lib/dpkg/status", strings.NewReader(""), system.Attr{Mode: 0o644}))
	counted := &counting{Memory: s}
	a, err := agent.Check(context.Background(), counted, q)
	must(t, err)
	if len(a.Findings) != 4 || counted.walks != 1 || counted.statuses != 1 {
		t.Errorf("%d findings by %d walks and %d lists of packages", len(a.Findings), counted.walks, counted.statuses)
	}
}

// counting counts how often its root directory and its dpkg database are read.
type counting struct {
	*system.Memory
	walks, statuses int
}

func (c *counting) ReadDir(name string) ([]string, error) {
	if name == "/" {
		c.walks++
	}
	return c.Memory.ReadDir(name)
}

func (c *counting) Open(name string) (io.ReadCloser, error) {
	if name == "/var/lib/dpkg/status" {
		c.statuses++
	}
	return c.Memory.Open(name)
}

func FuzzReadQuestion(f *testing.F) {
	f.Add([]byte(`{"format":1,"sources":[{"name":"a","files":[{"path":"x.yaml","content":"YTogMQo="}]}],"controls":["a"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := agent.ReadQuestion(bytes.NewReader(data))
		if err != nil {
			return
		}
		a, err := agent.Check(context.Background(), system.NewMemory(), q)
		if err == nil && len(a.Findings) != len(q.Controls) {
			t.Errorf("%d findings of %d controls", len(a.Findings), len(q.Controls))
		}
	})
}
