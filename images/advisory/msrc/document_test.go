package msrc_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory/msrc"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestRead reads one document in both of its forms.
func TestRead(t *testing.T) {
	want := &msrc.Document{
		ID: "2030-Jan", Month: "2030-01", Title: "January 2030 Security Updates",
		Released: time.Date(2030, 1, 8, 0, 0, 0, 0, time.UTC), Revised: time.Date(2030, 5, 1, 10, 20, 30, 0, time.UTC),
		Products: []msrc.Product{{ID: "90001", Name: "Windows Server 2099", Family: "Windows"}, {ID: "70001", Name: "A Linux of theirs", Family: "Mariner"}},
		Vulnerabilities: []msrc.Vulnerability{
			{
				ID: "CVE-2030-0001", Title: "The Spooler Trusts Its Printer", Exploited: true, Affected: []string{"90001"},
				Published: time.Date(2030, 1, 8, 8, 0, 0, 0, time.UTC), Revised: time.Date(2030, 2, 2, 8, 0, 0, 0, time.UTC),
				Ratings: []msrc.Statement{{Text: "Important", Products: []string{"90001"}}},
				Scores:  []msrc.Statement{{Text: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C", Products: []string{"90001"}}},
				Fixes: []msrc.Fix{{
					KB: "KB9000001", Text: "9000001", Kind: msrc.SecurityUpdate, Build: "10.0.90000.100", Supersedes: []string{"KB8999999"}, Restart: "Yes", Products: []string{"90001"},
				}},
			},
			{
				ID: "CVE-2030-0002", Title: "The Same, Once More", Affected: []string{"90001", "70001"},
				Scores: []msrc.Statement{{Text: "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H", Products: []string{"90001"}}},
				Fixes:  []msrc.Fix{{KB: "KB9000001", Text: "9000001", Kind: msrc.SecurityUpdate, Build: "10.0.90000.100", Restart: "Yes", Products: []string{"90001"}}},
			},
		},
	}
	for _, name := range []string{"testdata/2030-Jan.xml", "testdata/2030-Jan.json"} {
		got, err := msrc.Read(bytes.NewReader(read(t, name)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatIsNoDocument(t *testing.T) {
	inXML, inJSON := string(read(t, "testdata/2030-Jan.xml")), string(read(t, "testdata/2030-Jan.json"))
	swap := func(text, old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q to replace", old)
		}
		return strings.ReplaceAll(text, old, new)
	}
	for text, says := range map[string]string{
		"":                                  "it is empty",
		" \n":                               "it is empty",
		"hello":                             "neither XML nor JSON",
		"\xff\xfe<\x00":                     "byte order mark",
		"\xef\xbb\xbf" + inJSON:             "byte order mark",
		"{}":                                "not of the form",
		"<html></html>":                     `document of "html"`,
		"<cvrfdoc></cvrfdoc>":               "not of the form",
		inXML[:len(inXML)/2]:                "unexpected EOF",
		inXML[:len(inXML)-20]:               "EOF",
		inXML + "<cvrfdoc></cvrfdoc>":       "something follows",
		inJSON[:len(inJSON)/2]:              "EOF",
		inJSON + "{}":                       "after top-level value",
		swap(inXML, "2030-Jan", "Jan"):      "not of the form",
		swap(inXML, "2030-Jan", "2030-Jax"): "names no month",
		swap(inXML, "utf-8", "utf-16"):      "utf-16",
		swap(inXML, "2030-01-08T00:00:00", "yesterday"):                                                                 "cannot be read",
		swap(inXML, ">CVE-2030-0002<", "><"):                                                                            "cannot be one",
		swap(inXML, ">CVE-2030-0002<", ">../../etc<"):                                                                   "cannot be one",
		swap(inXML, "<vuln:ProductID>90001<", "<vuln:ProductID>9<"):                                                     "does not list",
		swap(inXML, `ProductID="90001"`, `ProductID=""`):                                                                "of a product cannot be one",
		swap(inXML, `>Windows Server 2099<`, `><`):                                                                      "has 0 bytes",
		swap(inXML, `<?xml version="1.0" encoding="utf-8"?>`, "<!DOCTYPE x [<!ENTITY a \"b\">]>"):                       "document type declaration",
		swap(inXML, "January", "&unknown;"):                                                                             "invalid character entity",
		swap(inXML, "January", "Jan\xffuary"):                                                                           "invalid UTF-8",
		swap(inXML, "<vuln:Threats />", strings.Repeat("<a>", 1_000_000)):                                               "deeper than 64",
		swap(inJSON, `"DocumentNotes": []`, `"x":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)):             "depth",
		swap(inJSON, `"Type": 3`, `"Type": []`):                                                                         "instead of a number",
		swap(inJSON, `"CVE": "CVE-2030-0002"`, `"CVE": 7`):                                                              "unmarshal JSON number",
		swap(inJSON, `"Ordinal": "2"`, `"CVE": "CVE-2030-0002"`):                                                        "duplicate",
		swap(inJSON, "January", "Jan\xffuary"):                                                                          "invalid UTF-8",
		inJSON[:strings.Index(inJSON, `"Vulnerability"`)] + `"Vulnerability": []}`:                                      "it says nothing",
		swap(inXML, "<vuln:Threats />", "<vuln:Threats>"+strings.Repeat("<vuln:Threat/>", 1_000_000)+"</vuln:Threats>"): "more than 1000000 elements",
		swap(inXML, "<vuln:Threats />", "<vuln:Threats "+strings.Repeat(`a="" `, 20_000)+"/>"):                          "a tag has more than 65536 bytes",
		swap(inJSON, `"Threats": []`, `"Threats": [`+strings.Repeat("null,", 1_000_000)+"null]"):                        "elements, the limit is 1000000",
		strings.Repeat(" ", 65<<20):                                                                                     "more than",
	} {
		if _, err := msrc.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60q: %v does not say %q", text, err, says)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"testdata/2030-Jan.xml", "testdata/2030-Jan.json"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := msrc.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		everything(t, d)
	})
}
