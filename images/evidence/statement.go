package evidence

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"imgbuild/images/catalog"
	"imgbuild/images/fault"
	"imgbuild/images/signing"
)

// Statement is a signed statement about a version, verified.
type Statement struct {
	signing.Statement
	// By is the trusted key that signed it.
	By signing.Signer

	document *catalog.Evidence
}

// candidate is a statement as it was found: verified, or with the reason why
// not.
type candidate struct {
	predicateType string
	statement     Statement
	err           error
}

// candidates reads every statement attached to a version. With an error come
// those that could be read.
func candidates(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust) ([]candidate, error) {
	attached, lost := c.Evidence(ctx, v, signing.EnvelopeMediaType)
	var found []candidate
	for _, e := range attached {
		one := candidate{predicateType: e.Annotations[predicateAnnotation], statement: Statement{document: e}}
		envelope, err := e.Read(ctx)
		if err == nil {
			one.statement.Statement, one.statement.By, err = signing.VerifyStatement(ctx, envelope, one.predicateType, v.Index.Digest.String(), trust)
		}
		if err == nil {
			err = coversOutputs(one.statement.Statement, v)
		}
		one.err = err
		found = append(found, one)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return found, lost
}

// predicateAnnotation names a statement's predicate type on its manifest; the
// statement must then be of that type.
const predicateAnnotation = "in-toto.io/predicate-type"

// output is one of the things that a version consists of.
type output struct{ name, digest string }

func outputsOf(v *catalog.Version) []output {
	var outputs []output
	if v.Container != nil {
		outputs = append(outputs, output{"container", v.Container.Digest.String()})
	}
	for _, d := range v.Disks {
		outputs = append(outputs, output{d.Format + " disk", d.Manifest.Digest.String()})
	}
	return outputs
}

// spokenOfBy reports whether a statement has an output among its subjects.
func (o output) spokenOfBy(s signing.Statement) bool {
	return slices.ContainsFunc(s.Subjects, func(subject signing.Subject) bool { return subject.Digest == o.digest })
}

// ofOneRoot reports whether statements of a type describe one root file system,
// that of some outputs, and not the whole version.
func ofOneRoot(predicateType string) bool {
	return predicateType != signing.PredicateProvenance && predicateType != signing.PredicateRecipe && predicateType != signing.PredicateControls
}

// coversOutputs refuses a statement that does not speak of every output, or,
// where it is of one root file system, of any.
func coversOutputs(s signing.Statement, v *catalog.Version) error {
	outputs := outputsOf(v)
	if ofOneRoot(s.PredicateType) && slices.ContainsFunc(outputs, func(o output) bool { return o.spokenOfBy(s) }) {
		return nil
	}
	for _, o := range outputs {
		if !o.spokenOfBy(s) {
			return fault.Worldf("the statement does not speak of the %s, %s", o.name, o.digest)
		}
	}
	return nil
}

// undescribed lists the outputs of which no believable statement of a type
// speaks. Whoever keeps the catalog may have taken one away.
func undescribed(statements []Statement, v *catalog.Version) []output {
	return slices.DeleteFunc(outputsOf(v), func(o output) bool {
		return slices.ContainsFunc(statements, func(s Statement) bool { return o.spokenOfBy(s.Statement) })
	})
}

// Statements returns the verified statements of one predicate type. An
// attached one that cannot be believed is an error.
func Statements(ctx context.Context, c *catalog.Catalog, v *catalog.Version, trust signing.Trust, predicateType string) ([]Statement, error) {
	found, err := candidates(ctx, c, v, trust)
	if err != nil {
		return nil, err
	}
	var statements []Statement
	for _, one := range found {
		if one.predicateType != predicateType {
			continue
		}
		if one.err != nil {
			return nil, fmt.Errorf("reading %s of %s: %w", Name(predicateType), v.Ref(), one.err)
		}
		statements = append(statements, one.statement)
	}
	return statements, nil
}

// Name is what people call statements of a predicate type.
func Name(predicateType string) string {
	switch predicateType {
	case signing.PredicateProvenance:
		return "provenance"
	case signing.PredicateRecipe:
		return "recipe"
	case signing.PredicateCycloneDX:
		return "CycloneDX"
	case signing.PredicateSPDX:
		return "SPDX"
	case signing.PredicateIntegrity:
		return "integrity manifest"
	case signing.PredicateControls:
		return "definitions of controls"
	case signing.PredicateScan:
		return "scan report"
	}
	return predicateType
}

// integrityOf reads the predicate that binds an integrity manifest.
func integrityOf(s Statement) (signing.IntegrityPredicate, error) {
	var p signing.IntegrityPredicate
	if err := json.Unmarshal(s.Predicate, &p); err != nil {
		return p, fault.Worldf("reading the statement of an integrity manifest").Because(err)
	}
	return p, nil
}
