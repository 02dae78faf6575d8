package provenance_test

import (
	"os"
	"testing"

	"imgbuild/images/provenance"
)

func FuzzParse(f *testing.F) {
	predicate, err := os.ReadFile("testdata/predicate.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(predicate)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := provenance.Parse(data)
		if err != nil {
			return
		}
		p.Lists("")
		for _, r := range p.BuildDefinition.ResolvedDependencies {
			if r.Digest["sha256"] == "" {
				t.Errorf("the input %q has no digest", r.Name)
			}
		}
	})
}
