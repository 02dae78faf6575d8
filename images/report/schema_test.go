package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/net/html"

	"imgbuild/images/control"
	"imgbuild/images/integrity"
	"imgbuild/images/report"
)

// reports are one of everything in hostile words, one of hundreds of rules, one of
// a server, and one of nothing.
func reports(t *testing.T) map[string]*report.Report {
	t.Helper()
	server := found(t, "0666")
	server.Live, server.Compared, server.Unseen = true, false, []string{"/srv: permission denied"}
	nothing := found(t, "x")
	nothing.Report = &control.Report{Platform: "debian-13", Output: control.Container, Findings: []control.Finding{}, Manual: []control.ToLookAt{}, Scores: []control.Score{}}
	nothing.Drift, nothing.Strays = nothing.Drift[:0], nothing.Strays[:0]
	many := found(t, "0666")
	for n := range 2000 {
		many.Drift = append(many.Drift, integrity.Difference{Path: fmt.Sprint("usr/", n), Kind: integrity.Removed, Class: integrity.Immutable})
	}
	unsafe := found(t, hostile)
	advise(unsafe, hostile)
	none := found(t, "x")
	none.Advised, none.Vulnerabilities, none.Checks = &report.Advised{Feeds: []report.Feed{}}, []report.Vulnerability{}, []report.Check{report.CVEs}
	return map[string]*report.Report{"unsafe": unsafe, "not one vulnerability": none, "many": many, "hostile": found(t, hostile), "whole": whole(t), "server": server, "nothing": nothing}
}

func written(t *testing.T, write func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestJSONIsOfItsSchema(t *testing.T) {
	text, err := report.Schema()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("report.json", parsed); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text []byte) error {
		t.Helper()
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(document)
	}
	for name, r := range reports(t) {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for was, becomes := range map[string]string{`"target"`: `"targets"`, `"at":"2026-11-28T`: `"at":"28.11.2026 `, `"platform":"`: `"platform":7,"x":"`} {
			if validate(bytes.Replace(text, []byte(was), []byte(becomes), 1)) == nil {
				t.Errorf("%s: the schema has nothing against %s", name, becomes)
			}
		}
	}
}

// TestSARIFIsOfItsSchema reads what is written as SARIF's types and holds these
// against OASIS' schema: nothing may be lost on the way.
func TestSARIFIsOfItsSchema(t *testing.T) {
	for name, r := range reports(t) {
		text := written(t, func(w io.Writer) error { return report.SARIF(w, r, "v1") })
		read, err := sarif.FromBytes(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := read.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again := written(t, read.Write)
		var was, is any
		if err := json.Unmarshal(text, &was); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(again, &is); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(was, is) {
			t.Errorf("%s: SARIF's types do not hold all that is written:\n%.2000s\n%.2000s", name, text, again)
		}
		read.Runs[0].Results[0].Kind = "perhaps"
		if read.Validate() == nil {
			t.Errorf("%s: the schema has nothing against a kind that there is not", name)
		}
	}
}

// TestJUnitIsOfItsSchema asks xmllint(1); nobody has standardised the format, the
// schema is what build servers read.
func TestJUnitIsOfItsSchema(t *testing.T) {
	program, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("xmllint is not installed")
	}
	validate := func(text []byte) error {
		file := filepath.Join(t.TempDir(), "report.xml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "--nonet", "--noout", "--schema", "testdata/junit.xsd", file).CombinedOutput()
		if err != nil {
			t.Log(string(out))
		}
		return err
	}
	for name, r := range reports(t) {
		text := written(t, func(w io.Writer) error { return report.JUnit(w, r) })
		if err := validate(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(string(text), "\x1b") {
			t.Errorf("%s: an escape of a terminal is in it", name)
		}
		if broken := bytes.Replace(text, []byte("classname="), []byte("class="), 1); validate(broken) == nil {
			t.Errorf("%s: the schema has nothing against an attribute that there is not", name)
		}
	}
}

// TestThePageIsWellFormed holds tags, attributes and ids against what the HTML
// Standard (12.1, 3.2.6) says of them.
func TestThePageIsWellFormed(t *testing.T) {
	void := []string{"meta", "br", "input", "link", "img", "hr"}
	for name, r := range reports(t) {
		text := written(t, func(w io.Writer) error { return report.Page(w, r, r) })
		tokens := html.NewTokenizer(bytes.NewReader(text))
		var open []string
		ids := map[string]bool{}
		for tokens.Next() != html.ErrorToken {
			token := tokens.Token()
			seen := map[string]bool{}
			for _, a := range token.Attr {
				if seen[a.Key] || a.Key == "id" && ids[a.Val] {
					t.Errorf("%s: %s has the attribute %s twice", name, token.Data, a.Key)
				}
				seen[a.Key] = true
				ids[a.Val] = ids[a.Val] || a.Key == "id"
			}
			switch {
			case token.Type == html.StartTagToken && !slices.Contains(void, token.Data):
				open = append(open, token.Data)
			case token.Type == html.EndTagToken:
				if len(open) == 0 || open[len(open)-1] != token.Data {
					t.Fatalf("%s: </%s> closes %v", name, token.Data, open)
				}
				open = open[:len(open)-1]
			}
		}
		if err := tokens.Err(); !errors.Is(err, io.EOF) || len(open) > 0 {
			t.Errorf("%s: %v, open: %v", name, err, open)
		}
		if len(text) > 2<<20 {
			t.Errorf("%s: the page has %d bytes", name, len(text))
		}
	}
}
