package msrc_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"imgbuild/images/advisory"
	"imgbuild/images/advisory/ecosystem/buildversion"
	"imgbuild/images/advisory/msrc"
)

// shared reads the documents of fifteen months that are not part of this
// project, August 2024 to November 2025 without October, as of July 2026.
var shared = sync.OnceValues(func() ([]*msrc.Document, error) {
	names, err := filepath.Glob("../../../../shared/data/msrc/*.xml.zst")
	if err != nil {
		return nil, err
	}
	documents := make([]*msrc.Document, len(names))
	var g errgroup.Group
	for i, name := range names {
		g.Go(func() error {
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			defer f.Close()
			z, err := zstd.NewReader(f)
			if err != nil {
				return err
			}
			defer z.Close()
			if documents[i], err = msrc.Read(z); err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(name), err)
			}
			return nil
		})
	}
	return documents, g.Wait()
})

func sharedHistory(t *testing.T) (*msrc.History, []*msrc.Document) {
	t.Helper()
	documents, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	if len(documents) == 0 {
		t.Skip("the documents are not here")
	}
	h, err := msrc.NewHistory(documents)
	if err != nil {
		t.Fatal(err)
	}
	return h, documents
}

const (
	server2022 = "Windows Server 2022"
	core2022   = "Windows Server 2022 (Server Core installation)"
)

// months2022 are the updates for Windows Server 2022 of each month: the
// cumulative one with its build, and those of the recovery environment and of
// .NET Framework which are not replaced by then.
var months2022 = []struct {
	month            msrc.Month
	kb, build        string
	recovery, dotnet string
}{
	{"2024-08", "KB5041160", "10.0.20348.2655", "KB5042322", ""},
	{"2024-09", "KB5042881", "10.0.20348.2700", "KB5042322", ""},
	{"2024-10", "KB5044281", "10.0.20348.2762", "KB5046399", "KB5044099"},
	{"2024-11", "KB5046616", "10.0.20348.2849", "KB5046399", "KB5044099"},
	{"2024-12", "KB5048654", "10.0.20348.2966", "KB5046399", "KB5044099"},
	{"2025-01", "KB5049983", "10.0.20348.3091", "KB5046399", "KB5050187"},
	{"2025-02", "KB5051979", "10.0.20348.3207", "KB5046399", "KB5050187"},
	{"2025-03", "KB5053603", "10.0.20348.3328", "KB5046399", "KB5050187"},
	{"2025-04", "KB5055526", "10.0.20348.3453", "KB5046399", "KB5050187"},
	{"2025-05", "KB5058385", "10.0.20348.3692", "KB5046399", "KB5050187"},
	{"2025-06", "KB5060526", "10.0.20348.3807", "KB5046399", "KB5050187"},
	{"2025-07", "KB5062572", "10.0.20348.3932", "KB5046399", "KB5050187"},
	{"2025-08", "KB5063880", "10.0.20348.4052", "KB5046399", "KB5050187"},
	{"2025-09", "KB5065432", "10.0.20348.4171", "KB5046399", "KB5050187"},
	{"2025-11", "KB5068787", "10.0.20348.4405", "KB5046399", "KB5050187"},
}

// TestServer2022MonthByMonth asks from each of these builds, and from those just
// before and after, what is needed in each of these months.
func TestServer2022MonthByMonth(t *testing.T) {
	h, _ := sharedHistory(t)
	builds := []string{"10.0.20348.1", "10.0.20348.2527", "10.0.20348.5020", "10.0.20348.99999"}
	for _, m := range months2022 {
		branch, last := buildversion.Branch(m.build), 0
		if _, err := fmt.Sscanf(strings.TrimPrefix(m.build, branch+"."), "%d", &last); err != nil {
			t.Fatal(err)
		}
		builds = append(builds, m.build, fmt.Sprintf("%s.%d", branch, last-1), fmt.Sprintf("%s.%d", branch, last+1))
	}
	for _, build := range builds {
		for _, m := range months2022 {
			n, err := h.Needs(msrc.System{Product: server2022, Build: build}, m.month)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, u := range n.Updates {
				got = append(got, u.KB)
			}
			if buildversion.Compare(build, m.build) < 0 {
				want = append(want, m.kb)
			}
			want = append(want, m.recovery)
			if m.dotnet != "" {
				want = append(want, m.dotnet)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("from %s as of %s: %s", build, m.month, diff)
			}
			if len(n.Open) > 0 {
				t.Errorf("from %s as of %s: nothing mends %v", build, m.month, n.Open)
			}
		}
	}
	// With all that is known, late fixes of earlier months are in.
	n, err := h.Needs(msrc.System{Product: server2022, Build: "10.0.20348.4405", Installed: []string{"KB5046399", "KB5050187"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []msrc.Need{{
		KB: "KB5082142", Products: []string{server2022}, Kind: msrc.SecurityUpdate, Build: "10.0.20348.5020",
		Fixes: []string{"CVE-2025-64720", "CVE-2025-65018", "CVE-2025-6965"}, Replaces: []string{"KB5073457"},
	}}
	if diff := cmp.Diff(want, n.Updates); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"no document says that KB5073457 replaces KB5068787, only that it replaces KB5071547, of which none speaks; its build 10.0.20348.4648 is higher, and it is taken to",
		"no document says that KB5082142 replaces KB5073457, only that it replaces KB5078766, of which none speaks; its build 10.0.20348.5020 is higher, and it is taken to",
		"there is no document of 2025-10: what was published then is not known here",
	}, n.Notes); diff != "" {
		t.Error(diff)
	}
}

// TestNeedsMendAll holds what is said to be needed against the documents
// themselves, for every release of Windows Server: with those updates and no
// fewer every vulnerability is mended which any update that was out mends.
func TestNeedsMendAll(t *testing.T) {
	h, documents := sharedHistory(t)
	all := builds(documents)
	for _, name := range []string{server2022, core2022, "Windows Server 2016", "Windows Server 2019 (Server Core installation)", "Windows Server 2025", "Windows Server 2012 R2"} {
		var id string
		for _, d := range documents {
			for _, p := range d.Products {
				if p.Name == name {
					id = p.ID
				}
			}
		}
		start := "10.0.1"
		for _, d := range documents {
			for _, v := range d.Vulnerabilities {
				for _, f := range v.Fixes {
					if slices.Contains(f.Products, id) && f.Kind == msrc.SecurityUpdate && f.Restart == "Yes" || slices.Contains(f.Products, id) && f.Kind == msrc.MonthlyRollup {
						start = buildversion.Branch(f.Build) + ".1"
					}
				}
			}
		}
		for _, month := range h.Months() {
			n, err := h.Needs(msrc.System{Product: name, Build: start}, month)
			if err != nil {
				t.Fatal(err)
			}
			needed, later := map[string]string{}, map[string]bool{}
			for _, u := range n.Updates {
				needed[u.KB] = u.Build
			}
			for _, l := range n.Later {
				for _, v := range l.Fixes {
					later[v] = true
				}
			}
			for _, d := range documents {
				if d.Month > month {
					continue
				}
				for _, v := range d.Vulnerabilities {
					if len(v.Fixes) > 0 && !mended(v.Fixes, id, needed, all) && !later[v.ID] {
						t.Errorf("%s as of %s: %v does not mend %s", name, month, needed, v.ID)
					}
				}
			}
			for kb := range needed {
				without := map[string]string{}
				for other, build := range needed {
					if other != kb {
						without[other] = build
					}
				}
				if !slices.ContainsFunc(documents, func(d *msrc.Document) bool {
					return d.Month <= month && slices.ContainsFunc(d.Vulnerabilities, func(v msrc.Vulnerability) bool {
						return len(v.Fixes) > 0 && mended(v.Fixes, id, needed, all) && !mended(v.Fixes, id, without, all)
					})
				}) {
					t.Errorf("%s as of %s: %s is not needed beside %v", name, month, kb, without)
				}
			}
		}
	}
}

// builds are those of all updates, by number and product.
func builds(documents []*msrc.Document) map[string]string {
	all := map[string]string{}
	for _, d := range documents {
		for _, v := range d.Vulnerabilities {
			for _, f := range v.Fixes {
				for _, p := range f.Products {
					all[f.KB+" "+p] = f.Build
				}
			}
		}
	}
	return all
}

// mended tells whether one of the fixes for a product, or an update of the same
// sort with a higher build, is among some updates, for the product and each of
// its components.
func mended(fixes []msrc.Fix, id string, updates map[string]string, builds map[string]string) bool {
	missing := map[string]bool{}
	for _, f := range fixes {
		for _, p := range f.Products {
			if p == id || strings.HasSuffix(p, "-"+id) {
				missing[p] = true
			}
		}
	}
	for p := range missing {
		for _, f := range fixes {
			if !slices.Contains(f.Products, p) {
				continue
			}
			for kb := range updates {
				of := p
				if builds[kb+" "+id] != "" && builds[f.KB+" "+id] != "" {
					of = id // both are of the system, whatever component one is listed for
				}
				whole := f.Restart == "Yes" || of != id || of != p
				if kb == f.KB || whole && buildversion.Valid(builds[kb+" "+of]) && buildversion.Compare(builds[kb+" "+of], builds[f.KB+" "+of]) >= 0 {
					missing[p] = false
				}
			}
			// The updates of the recovery environment of these months are two.
			if _, ok := updates["KB5046399"]; ok && f.KB == "KB5042322" {
				missing[p] = false
			}
		}
	}
	for _, is := range missing {
		if is {
			return false
		}
	}
	return true
}

func TestSharedRecords(t *testing.T) {
	h, _ := sharedHistory(t)
	b, err := advisory.NewBuilder()
	if err != nil {
		t.Fatal(err)
	}
	vulnerabilities, updates, affected, undetermined := 0, 0, 0, 0
	if err := h.Records(func(r *advisory.Record) error {
		if strings.HasPrefix(r.ID, "KB") {
			updates++
		} else {
			vulnerabilities++
		}
		affected += len(r.Affected)
		for _, a := range r.Affected {
			if a.Status == advisory.StatusUndetermined {
				undetermined++
			}
		}
		return b.Add(r)
	}); err != nil {
		t.Fatal(err)
	}
	if vulnerabilities < 1_000 || updates < 500 || undetermined*100 > affected {
		t.Errorf("%d vulnerabilities, %d updates; %d of %d statements are undetermined", vulnerabilities, updates, undetermined, affected)
	}
	t.Logf("%d vulnerabilities, %d updates; %d of %d statements are undetermined", vulnerabilities, updates, undetermined, affected)
}
