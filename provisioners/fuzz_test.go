package provisioners_test

import (
	"context"
	"testing"

	"imgbuild/images/baseline/node"
	"imgbuild/images/fault"
	"imgbuild/provisioners"
	"imgbuild/provisioners/system"
)

// FuzzApply decodes anything as resources and applies them to a system: no
// input harms the program, and what was applied needs no second time.
func FuzzApply(f *testing.F) {
	for _, c := range cases() {
		f.Add([]byte(c.recipe))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := node.Parse("baselines/test.yaml", project(), "baselines/test.yaml", data)
		if err != nil {
			return
		}
		resources, err := provisioners.Decode(n, nil)
		if err != nil {
			if fault.KindOf(err) != fault.Input {
				t.Fatalf("not a fault of the input: %v", err)
			}
			return
		}
		ctx := context.Background()
		s := system.NewMemory()
		before(t, s)
		for _, r := range resources {
			if _, err := provisioners.Canonical(r); err != nil {
				t.Fatal(err)
			}
			// Resources may undo one another; each for itself is settled at once.
			if _, err := r.Apply(ctx, s); err != nil {
				continue
			}
			if again, err := r.Apply(ctx, s); again || err != nil {
				t.Fatalf("%s a second time: %v, %v", r.Identity(), again, err)
			}
		}
	})
}
