package proofguest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/provisioners/agent"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// guest runs imgbuild-guest with its arguments on another machine.
type guest func(stdin string, args ...string) said

// answer asks for all controls of a text, with files beside them, and expects an
// exit code.
func (g guest) answer(t *testing.T, code int, definitions string, files map[string]string, args ...string) *agent.Answer {
	t.Helper()
	folder := fstest.MapFS{"c.yaml": {Data: []byte(definitions)}}
	for name, content := range files {
		folder[name] = &fstest.MapFile{Data: []byte(content)}
	}
	set, err := control.Load(control.Source{Name: "c", Files: folder})
	must(t, err)
	var chosen []*control.Control
	for _, id := range set.IDs() {
		chosen = append(chosen, set.Controls[id])
	}
	question, err := agent.Ask(chosen, nil)
	must(t, err)
	return g.ask(t, code, question, args...)
}

// ask gives a question as imgbuild does, and reads the answer as it does.
func (g guest) ask(t *testing.T, code int, question *agent.Question, args ...string) *agent.Answer {
	t.Helper()
	data, err := json.Marshal(question)
	must(t, err)
	s := g(string(data), args...)
	answer, err := agent.ReadAnswer(strings.NewReader(s.stdout))
	if s.code != code || answer == nil || (err == nil) != (code == 0) {
		t.Fatalf("%v: exit %d, want %d: %v\n%s\n%s", args, s.code, code, err, s.stdout, s.stderr)
	}
	return answer
}

// manifest asks for a manifest without rules.
func (g guest) manifest(t *testing.T, args ...string) integrity.Manifest {
	t.Helper()
	a := g.ask(t, 0, &agent.Question{Format: agent.Format}, append([]string{"manifest"}, args...)...)
	m, err := integrity.ReadMtree(strings.NewReader(a.Manifest))
	must(t, err)
	return m
}
