package deb822_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/builder/debian/deb822"
)

const control = `
# a comment between
Package: nginx
Version: 1.22.1-9
Description: small, powerful
 Nginx is a server.
 .
 It has	modules.
# a comment inside
Multi-Arch:foreign


Package: last
Empty:`

func TestParagraphsAreReadInOrder(t *testing.T) {
	r := deb822.NewReader(strings.NewReader(control))
	var got [][]deb822.Field
	for {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, append([]deb822.Field(nil), p.Fields...))
	}
	want := [][]deb822.Field{
		{
			{Name: "Package", Value: "nginx"}, {Name: "Version", Value: "1.22.1-9"},
			{Name: "Description", Value: "small, powerful\n Nginx is a server.\n .\n It has\tmodules."},
			{Name: "Multi-Arch", Value: "foreign"},
		},
		{{Name: "Package", Value: "last"}, {Name: "Empty", Value: ""}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFieldsAreFoundInAnyCase(t *testing.T) {
	p, err := deb822.Parse("package: a\nSHA256:\n  1 2\n\t3 4\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Get("Package"); got != "a" {
		t.Errorf("Package: got %q", got)
	}
	if diff := cmp.Diff([]string{"1 2", "3 4"}, p.Lines("sha256")); diff != "" {
		t.Error(diff)
	}
	if got := p.Get("Absent"); got != "" {
		t.Errorf("Absent: got %q", got)
	}
}

func TestWhatIsNoParagraphIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":           "\n \n",
		"no colon":          "Package nginx\n",
		"continuation only": " continued\n",
		"empty name":        ": value\n",
		"hyphen first":      "-Field: value\n",
		"space in name":     "A field: value\n",
		"a second one":      "A: 1\n\nB: 2\n",
		"only a comment":    "# nothing\n",
	} {
		if _, err := deb822.Parse(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLimitsHold(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("A: "), zeros{})
	if _, err := deb822.NewReader(endless).Next(); !errors.Is(err, deb822.ErrTooLarge) {
		t.Errorf("endless paragraph: got %v", err)
	}
	many := strings.Repeat("A: 1\n", deb822.MaxFields+1)
	if _, err := deb822.Parse(many); !errors.Is(err, deb822.ErrTooLarge) {
		t.Errorf("too many fields: got %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func FuzzParagraph(f *testing.F) {
	f.Add(control)
	f.Add("A: 1\r\n\r\nB: 2\n")
	f.Add("#\n\nA:\n x\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := deb822.NewReader(strings.NewReader(text))
		for {
			p, err := r.Next()
			if err != nil {
				return
			}
			if len(p.Fields) == 0 || len(p.Fields) > deb822.MaxFields {
				t.Fatalf("%d fields", len(p.Fields))
			}
			var again strings.Builder
			for _, field := range p.Fields {
				again.WriteString(field.Name + ": " + field.Value + "\n")
			}
			q, err := deb822.Parse(again.String())
			if err != nil {
				t.Fatalf("%q: %v", again.String(), err)
			}
			if diff := cmp.Diff(p.Fields, q.Fields); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}
