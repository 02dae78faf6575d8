package stage_test

import (
	"math/rand/v2"
	"testing"

	"imgbuild/builder/stage"
)

// The ids below are in the caches of users: when they change, every cache is
// made anew.
func TestGoldenIDs(t *testing.T) {
	cases := []struct {
		def  stage.Definition
		want stage.ID
	}{
		{stage.Definition{}, "6b8ee50317869395530f119e3585321b62276e7ce2b20bce7d5f99aad2d8a154"},
		{stage.Definition{Name: "debian-12", Kind: "packages", Format: 1, Inputs: stage.Inputs{
			{Name: "epoch", Value: "1757400000"},
			{Name: "package base-files", Value: "12.4+deb12u12 sha256:0011"},
		}}, "47cad95357595cbbabb04bcf06a680a39667ff3339d8fe90caeb6f316e9bc813"},
		{stage.Definition{Name: "provision", Kind: "provision", Format: 3, Parent: "00ff", Inputs: stage.Inputs{
			{Name: "file /etc/motd", Value: "grüß Gott\n"},
			{Name: "file /etc/motd", Value: ""},
		}}, "3a4c101b1c95b038160db8f7b3025ac86c12c5d6fc62e5ac2112ea6c696dde0e"},
	}
	for _, c := range cases {
		if got := c.def.ID(); got != c.want {
			t.Errorf("%q: got %s, want %s", c.def.Name, got, c.want)
		}
	}
}

// TestEveryFieldCounts moves bytes between neighbouring fields and changes
// each of them: no two definitions may share an id.
func TestEveryFieldCounts(t *testing.T) {
	seen := map[stage.ID]stage.Definition{}
	add := func(d stage.Definition) {
		t.Helper()
		if other, ok := seen[d.ID()]; ok {
			t.Errorf("%+v and %+v share an id", d, other)
		}
		seen[d.ID()] = d
	}
	in := func(texts ...string) (inputs stage.Inputs) {
		for i := 0; i < len(texts); i += 2 {
			inputs.Add(texts[i], texts[i+1])
		}
		return inputs
	}
	add(stage.Definition{})
	add(stage.Definition{Name: "ab"})
	add(stage.Definition{Kind: "ab"})
	add(stage.Definition{Name: "a", Kind: "b"})
	add(stage.Definition{Parent: "ab"})
	add(stage.Definition{Format: 1})
	add(stage.Definition{Format: -1})
	add(stage.Definition{Inputs: in("", "")})
	add(stage.Definition{Inputs: in("a", "b")})
	add(stage.Definition{Inputs: in("ab", "")})
	add(stage.Definition{Inputs: in("", "ab")})
	add(stage.Definition{Inputs: in("a", "", "b", "")})
	add(stage.Definition{Inputs: in("a", "", "", "b")})
	add(stage.Definition{Inputs: in("b", "", "a", "")})
}

func TestIDsOfRandomDefinitionsDiffer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := make([]byte, r.IntN(4))
		for i := range b {
			b[i] = "a\x00\x01"[r.IntN(3)]
		}
		return string(b)
	}
	type key struct{ text string }
	seen := map[stage.ID]key{}
	for range 20000 {
		d := stage.Definition{Name: text(), Kind: text(), Format: r.IntN(3), Parent: stage.ID(text())}
		for range r.IntN(3) {
			d.Inputs.Add(text(), text())
		}
		k := key{text: quote(d)}
		if other, ok := seen[d.ID()]; ok && other != k {
			t.Fatalf("%s and %s share an id", other.text, k.text)
		}
		seen[d.ID()] = k
	}
}
