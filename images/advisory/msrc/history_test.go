package msrc_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem/buildversion"
	"imgbuild/images/advisory/msrc"
)

// everything asks all that can be asked of documents.
func everything(t *testing.T, documents ...*msrc.Document) {
	t.Helper()
	h, err := msrc.NewHistory(documents)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Records(func(r *advisory.Record) error { return r.Check() }); err != nil {
		t.Error(err)
	}
	for _, p := range documents[0].Products {
		for _, month := range append(h.Months(), "") {
			if n, err := h.Needs(msrc.System{Product: p.Name, Build: "10.0.90000.1"}, month); err == nil {
				for _, u := range n.Updates {
					if len(u.Fixes) == 0 || slices.Contains(u.Replaces, u.KB) {
						t.Errorf("%s fixes %v and replaces %v", u.KB, u.Fixes, u.Replaces)
					}
				}
			}
		}
	}
}

// The system of the tests, and what is mended by itself on it.
const (
	server  = "90001"
	dotnet  = "50001-90001"
	product = "Windows Server 2099"
	release = "10.0.90000."
)

// month makes a document. Each fix is "CVE KB kind build [supersedes]", where a
// build of one number is of the server and any other of .NET on it; a KB "-" is
// none.
func month(id string, fixes ...string) *msrc.Document {
	stamp := map[string]string{"Jan": "01", "Feb": "02", "Mar": "03", "Apr": "04", "Jun": "06"}[id[5:8]]
	d := &msrc.Document{ID: id, Month: msrc.Month(id[:5] + stamp), Products: []msrc.Product{
		{ID: server, Name: product, Family: "Windows"}, {ID: dotnet, Name: ".NET on " + product, Family: "Developer Tools"}, {ID: "1", Name: "A Phone", Family: "Device"},
	}}
	for _, text := range fixes {
		part := append(strings.Fields(text), "")
		v := msrc.Vulnerability{ID: "CVE-2030-" + part[0], Affected: []string{server}, Ratings: []msrc.Statement{{Text: "Important", Products: []string{server}}}}
		if i := slices.IndexFunc(d.Vulnerabilities, func(o msrc.Vulnerability) bool { return o.ID == v.ID }); i >= 0 {
			v = d.Vulnerabilities[i]
			d.Vulnerabilities = slices.Delete(d.Vulnerabilities, i, i+1)
		}
		if part[1] != "" && part[1] != "none" {
			f := msrc.Fix{KB: "KB900000" + part[1], Kind: msrc.SecurityUpdate, Build: release + part[3], Restart: "Yes", Products: []string{server}}
			switch part[2] {
			case "hot":
				f.Kind = msrc.Hotpatch
			case "winre":
				f.Restart = "Maybe"
			case "only":
				f.Kind = msrc.SecurityOnly
			}
			if strings.Contains(part[3], ".") {
				f.Build, f.Restart, f.Products, v.Affected = part[3], "Maybe", []string{dotnet}, []string{dotnet}
			}
			if part[1] == "-" {
				f.KB, f.Text, f.Build = "", "Release Notes", ""
			}
			for _, s := range strings.FieldsFunc(part[4], func(c rune) bool { return c == ',' }) {
				f.Supersedes = append(f.Supersedes, "KB900000"+s)
			}
			v.Fixes = append(v.Fixes, f)
		}
		d.Vulnerabilities = append(d.Vulnerabilities, v)
	}
	return d
}

// needs writes what is needed in short: "1(0001 0002)>0 2?(…)", the last digit of
// each update, what it fixes and replaces; later and open after a bar.
func needs(t *testing.T, h *msrc.History, s msrc.System, month msrc.Month) (string, []string) {
	t.Helper()
	s.Product = product
	n, err := h.Needs(s, month)
	if err != nil {
		t.Fatal(err)
	}
	short := func(kb string) string { return strings.TrimPrefix(kb, "KB900000") }
	ids := func(list []string) string {
		return "(" + strings.ReplaceAll(strings.Join(list, " "), "CVE-2030-", "") + ")"
	}
	var parts []string
	for _, u := range n.Updates {
		text := short(u.KB)
		if u.Unproven != "" {
			text += "?"
		}
		text += ids(u.Fixes)
		for _, kb := range u.Replaces {
			text += ">" + short(kb)
		}
		parts = append(parts, text)
	}
	for _, l := range n.Later {
		parts = append(parts, "| later "+short(l.KB)+ids(l.Fixes))
	}
	for _, o := range n.Open {
		parts = append(parts, "| open "+strings.TrimPrefix(o.Vulnerability, "CVE-2030-"))
	}
	return strings.Join(parts, " "), n.Notes
}

func TestNeeds(t *testing.T) {
	plain := []*msrc.Document{
		month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100"),
		month("2030-Feb", "0003 2 lcu 200 1", "0004 2 lcu 200"),
		month("2030-Mar", "0005 3 lcu 300 2", "0006 3 lcu 300 2"),
	}
	for name, c := range map[string]struct {
		documents []*msrc.Document
		system    msrc.System
		month     msrc.Month
		want      string
		notes     []string
	}{
		"the newest replaces the others": {plain, msrc.System{Build: release + "1"}, "2030-03", "3(0001 0002 0003 0004 0005 0006)>1>2", nil},
		"of a month in between":          {plain, msrc.System{Build: release + "1"}, "2030-02", "2(0001 0002 0003 0004)>1", nil},
		"of a month after the last":      {plain, msrc.System{Build: release + "1"}, "2031-01", "3(0001 0002 0003 0004 0005 0006)>1>2", nil},
		"from a build in between":        {plain, msrc.System{Build: release + "200"}, "", "3(0005 0006)", nil},
		"from a build between two":       {plain, msrc.System{Build: release + "150"}, "", "3(0003 0004 0005 0006)>2", nil},
		"nothing is needed":              {plain, msrc.System{Build: release + "300"}, "", "", nil},
		"what is installed counts":       {plain, msrc.System{Build: release + "1", Installed: []string{"KB9000002"}}, "", "3(0005 0006)", nil},
		"documents come in any order":    {[]*msrc.Document{plain[2], plain[0], plain[1]}, msrc.System{Build: release + "1"}, "2030-02", "2(0001 0002 0003 0004)>1", nil},
		"nothing stated at all": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100"), month("2030-Feb", "0002 2 lcu 200")}, msrc.System{Build: release + "1"}, "", "2(0001 0002)>1",
			[]string{"no document says that KB9000002 replaces KB9000001; its build 10.0.90000.200 is higher, and it is taken to"},
		},
		"a hole in what is stated": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100"), month("2030-Mar", "0003 3 lcu 300 2")}, msrc.System{Build: release + "1"}, "", "3(0001 0003)>1",
			[]string{
				"no document says that KB9000003 replaces KB9000001, only that it replaces KB9000002, of which none speaks; its build 10.0.90000.300 is higher, and it is taken to",
				"there is no document of 2030-02: what was published then is not known here",
			},
		},
		"updates that replace one another": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100 2"), month("2030-Feb", "0002 2 lcu 200 1")}, msrc.System{Build: release + "1"}, "", "2(0001 0002)>1",
			[]string{"the documents say that KB9000002 and KB9000001 replace one another; KB9000002 has the higher build 10.0.90000.200 and is taken to be the later"},
		},
		"an update that replaces itself": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100 1"), month("2030-Feb", "0002 2 lcu 200 1")}, msrc.System{Build: release + "1"}, "", "2(0001 0002)>1", nil,
		},
		"a slip in a build": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100", "0003 1 lcu 900"), month("2030-Feb", "0004 2 lcu 200 1")}, msrc.System{Build: release + "1"}, "", "2(0001 0002 0003 0004)>1",
			[]string{"the documents name several builds of KB9000001: 10.0.90000.100, 10.0.90000.900; 10.0.90000.100, which most name, is taken"},
		},
		"mended late, as of then": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100", "0007 3 lcu 300 2"), plain[1], plain[2]}, msrc.System{Build: release + "1"}, "2030-02",
			"2(0001 0002 0003 0004)>1 | later 3(0007)", nil,
		},
		"mended late, as of now": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100", "0007 3 lcu 300 2"), plain[1], plain[2]}, msrc.System{Build: release + "1"}, "",
			"3(0001 0002 0003 0004 0005 0006 0007)>1>2", nil,
		},
		"a build of its own": {
			// 8 and 9 are of the recovery environment: their builds are not the system's.
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100", "0008 8 winre 50 7"), month("2030-Feb", "0003 2 lcu 200 1", "0009 9 winre 150 8")},
			msrc.System{Build: release + "200"}, "", "9?(0008 0009)>8", nil,
		},
		"a build of its own, with a restart": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0002 1 lcu 100", "0008 8 lcu 50 7"), month("2030-Feb", "0003 2 lcu 200 1", "0004 2 lcu 200", "0009 9 lcu 150 8")},
			msrc.System{Build: release + "200"}, "", "9?(0008 0009)>8", nil,
		},
		"a build of its own, installed": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0008 8 winre 50 7"), month("2030-Feb", "0003 2 lcu 200 1", "0009 9 winre 150 8")},
			msrc.System{Build: release + "200", Installed: []string{"KB9000009"}}, "", "", nil,
		},
		"builds of their own that replace one another": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0008 8 winre 50 9"), month("2030-Feb", "0003 2 lcu 200 1", "0009 9 winre 150 8")},
			msrc.System{Build: release + "200"}, "", "8?(0008) 9?(0009)",
			[]string{
				"the documents say that KB9000008 replaces itself by way of others: which of them is the last cannot be told, and each is listed that mends something",
				"the documents say that KB9000009 replaces itself by way of others: which of them is the last cannot be told, and each is listed that mends something",
			},
		},
		"a component": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0005 5 net 4.8.04762.02"), month("2030-Feb", "0003 2 lcu 200 1", "0006 6 net 4.8.04775.01")},
			msrc.System{Build: release + "200"}, "", "6?(0005 0006)>5",
			[]string{"no document says that KB9000006 replaces KB9000005; its build 4.8.04775.01 is higher, and it is taken to"},
		},
		"a component, installed": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0005 5 net 4.8.04762.02"), month("2030-Feb", "0003 2 lcu 200 1", "0006 6 net 4.8.04775.01")},
			msrc.System{Build: release + "200", Installed: []string{"KB9000005"}}, "", "6?(0006)",
			[]string{"no document says that KB9000006 replaces KB9000005; its build 4.8.04775.01 is higher, and it is taken to"},
		},
		"a hotpatch is not asked for": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100"), month("2030-Feb", "0002 2 lcu 200 1", "0002 4 hot 140")}, msrc.System{Build: release + "100"}, "", "2(0002)", nil,
		},
		"a hotpatch counts": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100"), month("2030-Feb", "0002 2 lcu 200 1", "0002 4 hot 140"), month("2030-Mar", "0003 3 lcu 300 2", "0003 6 hot 190 4")},
			msrc.System{Build: release + "140"}, "", "3(0003)>2", nil,
		},
		"a later hotpatch counts": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100"), month("2030-Feb", "0002 2 lcu 200 1", "0002 4 hot 140"), month("2030-Mar", "0003 3 lcu 300 2", "0003 6 hot 190 4")},
			msrc.System{Build: release + "190"}, "", "", nil,
		},
		"the fixes of one month alone": {
			[]*msrc.Document{month("2030-Jan", "0001 1 only 100", "0009 8 lcu 100"), month("2030-Feb", "0002 2 only 200", "0009 9 lcu 200 8", "0002 9 lcu 200")},
			msrc.System{Build: release + "1"}, "", "9(0002 0009)>8 1?(0001)", nil,
		},
		"no update": {
			[]*msrc.Document{month("2030-Jan", "0001 1 lcu 100", "0002", "0003 - none x")}, msrc.System{Build: release + "100"}, "", "| open 0002 | open 0003", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := msrc.NewHistory(c.documents)
			if err != nil {
				t.Fatal(err)
			}
			got, notes := needs(t, h, c.system, c.month)
			if got != c.want {
				t.Errorf("it needs %s, not %s", got, c.want)
			}
			if diff := cmp.Diff(c.notes, notes); diff != "" {
				t.Error(diff)
			}
			everything(t, c.documents...)
		})
	}
}

func TestAskingWrongly(t *testing.T) {
	h, err := msrc.NewHistory([]*msrc.Document{month("2030-Feb", "0001 1 lcu 100")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		system msrc.System
		month  msrc.Month
		says   string
	}{
		{msrc.System{Product: "Windows Server 2098", Build: release + "1"}, "", `no document lists a product "Windows Server 2098": the names are Microsoft's, such as "Windows Server 2099"`},
		{msrc.System{Product: product, Build: "90000"}, "", "build 90000 is not of it: its updates have builds 10.0.90000.*"},
		{msrc.System{Product: product, Build: "10.0.1.7"}, "", "build 10.0.1.7 is not of it"},
		{msrc.System{Product: product, Build: "tip"}, "", `"tip" is no build number`},
		{msrc.System{Product: product, Build: release + "1"}, "2030-01", "the first document is of 2030-02"},
		{msrc.System{Product: "A Phone", Build: "1.0"}, "", "no document names a cumulative update for it"},
	} {
		if _, err := h.Needs(c.system, c.month); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v does not say %q", err, c.says)
		}
	}
	if _, err := msrc.NewHistory(nil); err == nil {
		t.Error("no document is no error")
	}
	var many []string
	for i := range 1_001 {
		many = append(many, fmt.Sprintf("%04d %04d lcu %d", i, i, i))
	}
	if _, err := msrc.NewHistory([]*msrc.Document{month("2030-Feb", many...)}); err == nil || !strings.Contains(err.Error(), "more than 1000 updates") {
		t.Errorf("1001 updates: %v", err)
	}
	d := month("2030-Feb", "0001 1 lcu 100")
	if _, err := msrc.NewHistory([]*msrc.Document{d, d}); err == nil || !strings.Contains(err.Error(), "there twice") {
		t.Errorf("the same document twice: %v", err)
	}
}

// TestDocumentsThatSayTooMuch weighs them before anything is made of them.
func TestDocumentsThatSayTooMuch(t *testing.T) {
	d := month("2030-Jan", "0001 1 lcu 100")
	v := d.Vulnerabilities[0]
	v.Affected = slices.Repeat([]string{server}, 100_000)
	d.Vulnerabilities = slices.Repeat([]msrc.Vulnerability{v}, msrc.MaxWeight/100_000)
	if _, err := msrc.NewHistory([]*msrc.Document{d}); err == nil || !strings.Contains(err.Error(), "refer to products more than 3000000 times") {
		t.Error(err)
	}
}

// TestProductsOfOneName: whatever Microsoft calls the same is one package.
func TestProductsOfOneName(t *testing.T) {
	d := month("2030-Jan", "0001 1 lcu 100")
	d.Products = append(d.Products, msrc.Product{ID: "777", Name: product, Family: "Windows"})
	d.Vulnerabilities[0].NotAffected = []string{"777"}
	h, err := msrc.NewHistory([]*msrc.Document{d})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Records(func(r *advisory.Record) error {
		for _, a := range r.Affected {
			if a.Status == advisory.StatusNotAffected {
				t.Errorf("%s is said not to be in %s", r.ID, a.Package)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestRecords(t *testing.T) {
	d, err := msrc.Read(bytes.NewReader(read(t, "testdata/2030-Jan.xml")))
	if err != nil {
		t.Fatal(err)
	}
	next := month("2030-Feb", "0003 2 lcu 200 1", "0003 4 hot 140", "0004 2 lcu 200 1", "0005", "0006 8 winre 50 7", "0007 - none x", "0008 5 net 4.8.04762.02")
	h, err := msrc.NewHistory([]*msrc.Document{d, next, month("2030-Mar", "0009 3 lcu 300 2", "0009 6 hot 190 4")})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := h.Records(func(r *advisory.Record) error {
		text := fmt.Sprintf("%s %s %s %v:", r.ID, r.Severity, r.Vector, r.Upstream)
		for _, a := range r.Affected {
			if a.Ecosystem != "Windows" {
				t.Errorf("%s is of %s", r.ID, a.Ecosystem)
			}
			text += fmt.Sprintf(" %s %s", a.Package, a.Status)
			for _, one := range a.Ranges {
				for _, e := range one.Events {
					text += fmt.Sprintf(" %s-%s", e.Introduced, e.Fixed)
				}
			}
			text += fmt.Sprintf(" %v %s;", a.Versions, a.Note)
		}
		got = append(got, text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`CVE-2030-0001 high  []: Windows Server 2099  0- -10.0.90000.100 [] mended by KB9000001;`,
		`CVE-2030-0002 medium CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H []: Windows Server 2099  0- -10.0.90000.100 [] mended by KB9000001;`,
		`CVE-2030-0003 high  []: Windows Server 2099  0- -10.0.90000.200 [] mended by KB9000002; Windows Server 2099 not-affected [10.0.90000.140 10.0.90000.190] these are builds of hotpatches: mended by KB9000004;`,
		`CVE-2030-0004 high  []: Windows Server 2099  0- -10.0.90000.200 [] mended by KB9000002;`,
		`CVE-2030-0005 high  []: Windows Server 2099  0- [] Microsoft names no update for it;`,
		`CVE-2030-0006 high  []: Windows Server 2099 undetermined [] mended by KB9000008, whose build 10.0.90000.50 is not that of Windows Server 2099;`,
		`CVE-2030-0007 high  []: Windows Server 2099 undetermined [] mended by "Release Notes", of which no build is named that could be compared;`,
		`CVE-2030-0008 high  []: .NET on Windows Server 2099  0- -4.8.04762.02 [] mended by KB9000005;`,
		`CVE-2030-0009 high  []: Windows Server 2099  0- -10.0.90000.300 [] mended by KB9000003; Windows Server 2099 not-affected [10.0.90000.190] these are builds of hotpatches: mended by KB9000006;`,
		`KB9000001 high  [CVE-2030-0001 CVE-2030-0002]: Windows Server 2099  0- -10.0.90000.100 [] ;`,
		`KB9000002 high  [CVE-2030-0003 CVE-2030-0004]: Windows Server 2099  0- -10.0.90000.200 [] ;`,
		`KB9000003 high  [CVE-2030-0009]: Windows Server 2099  0- -10.0.90000.300 [] ;`,
		`KB9000004 high  [CVE-2030-0003]: Windows Server 2099  0- -10.0.90000.140 [] ;`,
		`KB9000005 high  [CVE-2030-0008]: .NET on Windows Server 2099  0- -4.8.04762.02 [] ;`,
		`KB9000006 high  [CVE-2030-0009]: Windows Server 2099  0- -10.0.90000.190 [] ;`,
		`KB9000008 high  [CVE-2030-0006]: Windows Server 2099 undetermined [] mended by KB9000008, whose build 10.0.90000.50 is not that of Windows Server 2099;`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if buildversion.Compare("10.0.90000.140", "10.0.90000.190") >= 0 {
		t.Error("the hotpatches are not in order")
	}
}
