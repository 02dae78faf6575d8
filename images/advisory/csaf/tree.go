package csaf

import (
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"imgbuild/images/advisory"
)

// Limits on a product tree.
const (
	maxProducts = 300_000
	maxBranches = 32
	// maxNesting is how many relationships may lie between a component and its
	// platform: of a package in a module in a repository there are two.
	maxNesting = 8
)

// tree is the products of a document.
type tree struct {
	products map[string]*rawProduct
	parts    map[string]*rawRelationship
	groups   map[string][]string
	// resolved are the packages that products are.
	resolved map[string]resolution
}

type resolution struct {
	pkg *pkg
	err error
}

// pkg is a package of a distribution.
type pkg struct {
	ecosystem, name string
	// version is empty of a product that is all versions.
	version string
	// module is the stream that it belongs to, such as "nodejs:20"; packages of
	// several streams have one name.
	module string
}

func (raw *rawDocument) tree() (*tree, error) {
	t := &tree{products: map[string]*rawProduct{}, parts: map[string]*rawRelationship{}, groups: map[string][]string{}, resolved: map[string]resolution{}}
	add := func(p *rawProduct) error {
		switch {
		case p.ID == "" || len(p.ID) > 4*advisory.MaxName:
			return fmt.Errorf("the id of a product has %d bytes, the limits are 1 and %d", len(p.ID), 4*advisory.MaxName)
		case t.products[p.ID] != nil:
			return fmt.Errorf("product %.100q is defined twice", p.ID)
		case len(t.products) == maxProducts:
			return fmt.Errorf("it has more than %d products", maxProducts)
		}
		t.products[p.ID] = p
		return nil
	}
	var walk func(list []rawBranch, depth int) error
	walk = func(list []rawBranch, depth int) error {
		if depth > maxBranches {
			return fmt.Errorf("its product tree is deeper than %d", maxBranches)
		}
		for i := range list {
			if p := list[i].Product; p != nil {
				if err := add(p); err != nil {
					return err
				}
			}
			if err := walk(list[i].Branches, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(raw.Tree.Branches, 1); err != nil {
		return nil, err
	}
	for i := range raw.Tree.Products {
		if err := add(&raw.Tree.Products[i]); err != nil {
			return nil, err
		}
	}
	for i := range raw.Tree.Relationships {
		r := &raw.Tree.Relationships[i]
		if err := add(&r.Product); err != nil {
			return nil, err
		}
		t.parts[r.Product.ID] = r
	}
	for _, g := range raw.Tree.Groups {
		t.groups[g.ID] = g.Products
	}
	return t, nil
}

// pkg is the package that a product is: a component of a platform. It is nil for
// one that is no rpm package of Red Hat's.
func (t *tree) pkg(id string) (*pkg, error) {
	if r, ok := t.resolved[id]; ok {
		return r.pkg, r.err
	}
	p, err := t.resolve(id)
	t.resolved[id] = resolution{p, err}
	return p, err
}

func (t *tree) resolve(id string) (*pkg, error) {
	if t.products[id] == nil {
		return nil, fmt.Errorf("product %.100q is not defined", id)
	}
	part := t.parts[id]
	if part == nil {
		return nil, nil
	}
	component, ok := t.products[part.Component]
	if !ok {
		return nil, fmt.Errorf("product %.100q is a component %.100q, which is not defined", id, part.Component)
	}
	p, err := readPackage(component.Helper.PURL)
	if p == nil || err != nil {
		return nil, err
	}
	platform := part.Platform
	for range maxNesting {
		at := t.products[platform]
		if at == nil {
			return nil, fmt.Errorf("product %.100q is of %.100q, which is not defined", id, platform)
		}
		above := t.parts[platform]
		if above == nil {
			if p.ecosystem = ecosystemOf(at.Helper.CPE); p.ecosystem == "" {
				return nil, nil
			}
			return p, nil
		}
		// Between a package and its repository there may be a module.
		if module, ok := t.products[above.Component]; ok && strings.HasPrefix(module.Helper.PURL, "pkg:rpmmod/") {
			p.module = stream(module.Helper.PURL)
		}
		platform = above.Platform
	}
	return nil, fmt.Errorf("product %.100q is more than %d relationships away from its platform", id, maxNesting)
}

// readPackage reads a package URL (https://github.com/package-url/purl-spec) of
// an rpm package; it is nil for one of another type.
func readPackage(text string) (*pkg, error) {
	if !strings.HasPrefix(text, "pkg:rpm/") {
		return nil, nil
	}
	u, err := packageurl.FromString(text)
	if err != nil || u.Name == "" {
		return nil, fmt.Errorf("the package URL %.200q cannot be read", text)
	}
	if u.Namespace != "redhat" {
		return nil, nil
	}
	p := &pkg{name: u.Name, version: u.Version}
	q := u.Qualifiers.Map()
	if epoch := q["epoch"]; epoch != "" && epoch != "0" && p.version != "" {
		p.version = epoch + ":" + p.version
	}
	if module := q["rpmmod"]; module != "" {
		p.module = firstTwo(module)
	} else if strings.Contains(p.version, ".module") {
		p.module = "a stream that is not named"
	}
	return p, nil
}

// stream is the name and stream of a module's package URL.
func stream(text string) string {
	u, err := packageurl.FromString(text)
	if err != nil {
		return "a stream that cannot be read"
	}
	return firstTwo(u.Name + ":" + u.Version)
}

// firstTwo is "python36:3.6" of "python36:3.6:8040020241213073301:9bf6f064".
func firstTwo(text string) string {
	parts := strings.Split(text, ":")
	return strings.Join(parts[:min(2, len(parts))], ":")
}

// ecosystemOf is OSV's name for a platform of Red Hat's, by its CPE 2.2 or 2.3
// name (https://nvlpubs.nist.gov/nistpubs/Legacy/IR/nistir7695.pdf): vendor and
// what is behind it, "Red Hat:enterprise_linux:9::baseos". It is empty for
// others' platforms.
func ecosystemOf(cpe string) string {
	rest, ok := strings.CutPrefix(cpe, "cpe:/")
	if !ok {
		if rest, ok = strings.CutPrefix(cpe, "cpe:2.3:"); !ok {
			return ""
		}
		rest = strings.ReplaceAll(rest, "*", "")
	}
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 3 || parts[1] != "redhat" {
		return ""
	}
	name := strings.TrimRight(parts[2], ":")
	if name == "" {
		return ""
	}
	return "Red Hat:" + name
}
