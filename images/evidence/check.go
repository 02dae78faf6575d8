package evidence

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"imgbuild/images/catalog"
	"imgbuild/images/signing"
)

// Check is one thing that was looked at.
type Check struct {
	// Name says what, such as "signature of the container".
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says who signed it or how much was read, or what is wrong.
	Detail string `json:"detail"`
}

// Report is the outcome of Verify.
type Report struct {
	Image  string  `json:"image"`
	Digest string  `json:"digest"`
	Checks []Check `json:"checks"`
	// Revocation is the signed record that the version must not be used, nil
	// without one. It is no fault of the evidence.
	Revocation *catalog.Revocation `json:"revocation,omitempty"`
	// Verdict is the signed record of what its gates said last, nil where they
	// never said no. It is no fault of the evidence either.
	Verdict *catalog.Verdict `json:"verdict,omitempty"`
}

// Problems returns the checks that did not hold.
func (r *Report) Problems() []Check {
	var problems []Check
	for _, c := range r.Checks {
		if !c.OK {
			problems = append(problems, c)
		}
	}
	return problems
}

func (r *Report) add(name string, err error, detail string) {
	if err != nil {
		detail = err.Error()
	}
	r.Checks = append(r.Checks, Check{Name: name, OK: err == nil, Detail: detail})
}

// required are the kinds of statement that every version has.
func required() []string {
	return []string{signing.PredicateCycloneDX, signing.PredicateSPDX, signing.PredicateProvenance, signing.PredicateRecipe, signing.PredicateIntegrity}
}

// Verify checks all of a version: every blob that it and its evidence reach
// against its digest, cosign's signatures of the index and the container,
// every signed statement, that no required one is missing, and that each
// integrity manifest is the one signed for. What is wrong is in the report; an
// error means that the check itself could not be made.
func Verify(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) (*Report, error) {
	r := &Report{Image: v.Ref(), Digest: v.Index.Digest.String()}

	// 1. Every byte against its digest.
	read, err := c.Verify(ctx, v)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.add("digests", err, fmt.Sprintf("%d blobs, %d bytes", read.Blobs, read.Bytes))

	// 2. Who signed the version itself, and its container for tools that pull it.
	signed := [][2]string{{"signature of the index", v.Index.Digest.String()}}
	if v.Container != nil {
		signed = append(signed, [2]string{"signature of the container", v.Container.Digest.String()})
	}
	for _, s := range signed {
		by, err := signedBy(ctx, c, v, s[1], trust)
		r.add(s[0], err, describe(by))
	}

	// 3. What was said about it, and by whom.
	found, err := candidates(ctx, c, v, trust)
	if err != nil {
		r.add("statements", err, "")
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Compare(slices.Index(required(), a.predicateType), slices.Index(required(), b.predicateType))
	})
	believed, doubtful := map[string][]Statement{}, map[string]bool{}
	for _, one := range found {
		if one.err != nil {
			doubtful[one.predicateType] = true
		} else {
			believed[one.predicateType] = append(believed[one.predicateType], one.statement)
		}
		name := Name(one.predicateType)
		if one.err == nil && one.predicateType == signing.PredicateIntegrity {
			r.checkManifest(ctx, c, v, one.statement)
			continue
		}
		r.add(name, one.err, describe(one.statement.By))
	}
	for _, predicateType := range required() {
		if doubtful[predicateType] {
			continue // which is told already
		}
		for _, o := range undescribed(believed[predicateType], v) {
			r.Checks = append(r.Checks, Check{Name: Name(predicateType), Detail: "there is none of the " + o.name})
		}
	}

	// 4. Whether it may be used at all.
	if r.Revocation, err = c.Revocation(ctx, v); err != nil {
		r.add("revocation", err, "")
	}
	if r.Verdict, err = c.Verdict(ctx, v, ""); err != nil {
		r.add("verdict", err, "")
	}
	return r, ctx.Err()
}

func (r *Report) checkManifest(ctx context.Context, c *catalog.Catalog, v *catalog.Version, s Statement) {
	p, err := integrityOf(s)
	if err != nil {
		r.add(Name(signing.PredicateIntegrity), err, "")
		return
	}
	manifest, err := readManifest(ctx, c, v, p)
	r.add(Name(signing.PredicateIntegrity)+" of the "+p.Output, err, fmt.Sprintf("%d paths, %s", len(manifest), describe(s.By)))
}

// signedBy finds cosign's signatures of a digest and verifies them.
func signedBy(ctx context.Context, c *catalog.Catalog, v *catalog.Version, digest string, trust signing.Trust) (signing.Signer, error) {
	tag, err := signing.SignatureTag(digest)
	if err != nil {
		return signing.Signer{}, err
	}
	manifest, fetch, err := c.Tagged(ctx, v, tag)
	if err != nil {
		return signing.Signer{}, err
	}
	var signatures []signing.ImageSignature
	if manifest != nil {
		if signatures, err = signing.ParseSignatureManifest(manifest, fetch); err != nil {
			return signing.Signer{}, err
		}
	}
	return signing.VerifyImage(ctx, digest, signatures, trust)
}

func describe(by signing.Signer) string {
	text := fmt.Sprintf("signed by %q", by.Name)
	if !by.At.IsZero() {
		text += " on " + by.At.UTC().Format(time.DateOnly)
	}
	return text
}
