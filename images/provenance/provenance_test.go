package provenance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"imgbuild/images/provenance"
	"imgbuild/images/signing"
	"imgbuild/images/updates"
)

var update = flag.Bool("update", false, "rewrite the golden file")

var started = time.Date(2026, 3, 1, 12, 0, 0, 500, time.FixedZone("CET", 3600))

func sum(c string) string { return strings.Repeat(c, 64) }

func testBake() *provenance.Bake {
	return &provenance.Bake{
		Subjects: []signing.Subject{
			{Name: "debian-12-nginx", Digest: "sha256:" + sum("a")},
			{Name: "debian-12-nginx/qcow2", Digest: "sha256:" + sum("b")},
		},
		Lock: &updates.Lock{
			Baseline: "debian-12-nginx", Architecture: "amd64", Suite: "bookworm", Epoch: 1772366400,
			Releases: []updates.Release{{Archive: "debian", Suite: "bookworm", Path: "dists/bookworm/InRelease", SHA256: sum("1")}},
			Packages: []updates.Package{
				{Name: "linux-image-cloud-amd64", Version: "6.1", Architecture: "amd64", SHA256: sum("2"), Set: updates.Boot},
				{Name: "nginx", Version: "1.22.1-9+deb12u1", Architecture: "amd64", Source: "nginx", SourceVersion: "1.22.1-9+deb12u1", Archive: "debian", SHA256: sum("3"), Set: updates.Root},
				{Name: "e2fsprogs", Version: "1.47", Architecture: "amd64", SHA256: sum("4"), Set: updates.Tools},
			},
		},
		LockSHA256:   sum("5"),
		Sets:         []updates.Set{updates.Root, updates.Tools},
		Recipe:       []provenance.Part{{Name: "files/site.conf", SHA256: sum("7")}, {Name: "debian-12-nginx", SHA256: sum("6")}},
		Distribution: "debian", DistributionVersion: "12",
		Stages:  []provenance.Stage{{Name: "debian-12", ID: sum("8")}, {Name: "seal", ID: sum("9")}},
		Builder: provenance.Builder{ID: "urn:imgbuild:builder:example", Version: map[string]string{"imgbuild": "1.0.0"}},
		Started: started, Finished: started.Add(time.Minute),
	}
}

func TestInTotoReadersAcceptIt(t *testing.T) {
	statement, err := testBake().Statement()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(statement)
	if err != nil {
		t.Fatal(err)
	}
	var read intoto.Statement
	if err := protojson.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	if err := read.Validate(); err != nil {
		t.Error(err)
	}
	if read.Subject[1].Digest["sha256"] != sum("b") || read.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("read back %v", &read)
	}
	var predicate slsa.Provenance
	if err := protojson.Unmarshal(statement.Predicate, &predicate); err != nil {
		t.Fatal(err)
	}
	if err := predicate.Validate(); err != nil {
		t.Error(err)
	}
	if got := predicate.RunDetails.Metadata.StartedOn.AsTime(); !got.Equal(started.Truncate(time.Second)) {
		t.Errorf("started on %v", got)
	}
	dependencies := predicate.BuildDefinition.ResolvedDependencies
	var got []string
	for _, d := range dependencies {
		got = append(got, d.Name+"="+d.Digest["sha256"][:1])
	}
	want := "debian-12-nginx=5 debian-12-nginx=6 files/site.conf=7 dists/bookworm/InRelease=1 nginx=3 e2fsprogs=4"
	if strings.Join(got, " ") != want {
		t.Errorf("inputs %v\nwant   %s", got, want)
	}
	if want := "pkg:deb/debian/nginx@1.22.1-9%2Bdeb12u1?arch=amd64&distro=debian-12"; dependencies[4].Uri != want {
		t.Errorf("got %s, want %s", dependencies[4].Uri, want)
	}
}

func TestItSurvivesSigningAndIsAFunctionOfItsInputs(t *testing.T) {
	ctx := context.Background()
	statement, err := testBake().Statement()
	if err != nil {
		t.Fatal(err)
	}
	shuffled := testBake()
	shuffled.Recipe[0], shuffled.Recipe[1] = shuffled.Recipe[1], shuffled.Recipe[0]
	again, err := shuffled.Statement()
	if err != nil || !bytes.Equal(statement.Predicate, again.Predicate) {
		t.Errorf("the order of the recipe's parts shows (%v)", err)
	}
	key, err := signing.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	trust, err := signing.NewTrust(signing.TrustedKey{Name: "release", Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := signing.SignStatement(ctx, statement, key)
	if err != nil {
		t.Fatal(err)
	}
	opened, signer, err := signing.VerifyStatement(ctx, envelope, signing.PredicateProvenance, "sha256:"+sum("b"), trust)
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 3, 1, 11, 1, 0, 0, time.UTC); !signer.At.Equal(want) {
		t.Errorf("signed at %v, want %v", signer.At, want)
	}
	p, err := provenance.Parse(opened.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Lists(sum("3")) || p.Lists(sum("2")) {
		t.Error("it lists the packages of other sets than those that took part")
	}
	lock, ok := p.Input(provenance.Lock, "debian-12-nginx")
	if !ok || lock.Digest["sha256"] != sum("5") {
		t.Errorf("the lock is %+v", lock)
	}
}

func TestGapsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*provenance.Bake){
		"package without digest": func(b *provenance.Bake) { b.Lock.Packages[1].SHA256 = "" },
		"release without digest": func(b *provenance.Bake) { b.Lock.Releases[0].SHA256 = "x" },
		"lock without digest":    func(b *provenance.Bake) { b.LockSHA256 = "" },
		"no recipe":              func(b *provenance.Bake) { b.Recipe = nil },
		"no sets":                func(b *provenance.Bake) { b.Sets = nil },
		"no builder":             func(b *provenance.Bake) { b.Builder.ID = "" },
		"no time":                func(b *provenance.Bake) { b.Started = time.Time{} },
		"ends before it begins":  func(b *provenance.Bake) { b.Finished = b.Started.Add(-time.Second) },
	} {
		bake := testBake()
		change(bake)
		if _, err := bake.Statement(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, text := range []string{"", "{}", `{"buildDefinition":{"buildType":"urn:imgbuild:bake:v1","resolvedDependencies":[{"name":"x","digest":{"sha1":"00"}}]}}`} {
		if _, err := provenance.Parse([]byte(text)); err == nil {
			t.Errorf("%q: accepted", text)
		}
	}
}

func TestGolden(t *testing.T) {
	statement, err := testBake().Statement()
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, statement.Predicate, "", "  "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	if *update {
		if err := os.WriteFile("testdata/predicate.json", pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/predicate.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(pretty.Bytes(), want) {
		t.Errorf("got\n%s", pretty.String())
	}
}
