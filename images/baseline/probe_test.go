package baseline_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"imgbuild/images/baseline"
)

// TestTermsOfATrial reads what a boot trial goes by out of a recipe's canonical
// form, as it hangs on a version.
func TestTermsOfATrial(t *testing.T) {
	r := load(t, project(t, map[string]string{"baselines/web.yaml": base + `
outputs: {container: {ports: [80]}, vm: {ports: [443, 53/udp]}}
probes:
  any: {http: {port: 443, tls: {}}}
  own: {http: {port: 443, tls: {name: www.example.com, self-signed: true, valid-for: 720h}}}
gates: {boot-trial: true}
`}), "web")
	if !r.Scanned() {
		t.Error("an image that is tried is not scanned")
	}
	canonical, err := r.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := baseline.ReadTerms(canonical)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r.Terms(), terms); d != "" {
		t.Errorf("(-recipe +read again):\n%s", d)
	}
	if d := cmp.Diff([]baseline.Port{"443/tcp", "53/udp"}, terms.Outputs.VM.Ports); d != "" || !terms.Gates.BootTrial {
		t.Errorf("%s, gates %+v", d, terms.Gates)
	}
	want := &baseline.TLSProbe{Name: "www.example.com", SelfSigned: true, ValidFor: baseline.Duration(720 * time.Hour)}
	if d := cmp.Diff(want, terms.Probes["own"].HTTP.TLS); d != "" || terms.Probes["any"].HTTP.TLS == nil {
		t.Errorf("%s, any: %+v", d, terms.Probes["any"].HTTP)
	}
}
