package builder_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestARejectedParentIsPassedOver has two versions of one recipe's packages, the
// newer of which its gates refuse.
func TestARejectedParentIsPassedOver(t *testing.T) {
	t.Parallel()
	s := newShop(t, inMemory(t), "proof-all")
	accepted := s.bake(t)
	recipe, err := os.ReadFile(s.recipeFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.recipeFile(), append(recipe, "gates: {max-size: {container: 1KiB}}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	s.mustFail(t, 3)
	// The gates are inherited: the child is rejected too, by its own.
	child := s.as(t, "proof-child")
	child.mustFail(t, 3)
	out, err := child.run(t.Context(), "images", "show", "proof-child", "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Parent   string
		Rejected bool
	}
	if err := json.Unmarshal(out, &shown); err != nil || !shown.Rejected || !strings.HasSuffix(shown.Parent, accepted.Digest) {
		t.Errorf("got %+v, %v; want the parent %s", shown, err, accepted.Digest)
	}
}
