package baseline_test

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"

	"imgbuild/images/baseline"
	"imgbuild/images/baselines"
	"imgbuild/images/fault"
)

// FuzzLoad loads anything as a recipe, alone and as a child of a shipped one:
// it ends with a recipe that can be encoded or with a fault of the input.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(base + family["baselines/parts/web.yaml"]))
	f.Add([]byte(family["baselines/shop.yaml"]))
	names, err := fs.Glob(baselines.FS(), "*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	shipped := fstest.MapFS{}
	for _, name := range names {
		data, err := fs.ReadFile(baselines.FS(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		shipped[name] = &fstest.MapFile{Data: data}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, parent := range []string{"", "extends: debian-12\n"} {
			files := fstest.MapFS{"x.yaml": {Data: append([]byte(parent), data...)}}
			for name, file := range shipped {
				files[name] = file
			}
			src, err := baseline.NewSource("", files)
			if err != nil {
				t.Fatal(err)
			}
			r, err := baseline.Load(context.Background(), src, "x", "")
			if err != nil {
				if fault.KindOf(err) != fault.Input {
					t.Fatalf("not a fault of the input: %v", err)
				}
				continue
			}
			if _, err := r.Canonical(); err != nil {
				t.Fatal(err)
			}
			if len(r.Lines()) == 0 || len(r.Chain()) == 0 {
				t.Fatal("a recipe of nothing")
			}
		}
	})
}
