package signing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"imgbuild/images/fault"
)

// StatementMediaType is the DSSE payload type of an in-toto statement.
const StatementMediaType = "application/vnd.in-toto+json"

// statementType names version 1 of the in-toto statement.
const statementType = "https://in-toto.io/Statement/v1"

// signedAtAnnotation is the subject annotation that carries the signed date:
// the one place where a statement of any predicate type has room for it.
const signedAtAnnotation = "imgbuild.signed-at"

// The predicate types of an image's evidence.
const (
	PredicateProvenance = "https://slsa.dev/provenance/v1"
	PredicateCycloneDX  = "https://cyclonedx.org/bom"
	PredicateSPDX       = "https://spdx.dev/Document"
	// PredicateRecipe holds the recipe, merged with its ancestors, in its
	// canonical form.
	PredicateRecipe = "urn:imgbuild:predicate:recipe:v1"
	// PredicateIntegrity holds an IntegrityPredicate.
	PredicateIntegrity = "urn:imgbuild:predicate:integrity:v1"
	// PredicateControls holds the controls that the image is held against, as
	// they were defined (images/control, Definitions).
	PredicateControls = "urn:imgbuild:predicate:controls:v1"
	// PredicateScan is the report of a scan of one output (images/report).
	PredicateScan = "urn:imgbuild:predicate:scan:v1"
)

// IntegrityPredicate binds an integrity manifest to its image.
type IntegrityPredicate struct {
	// MediaType is that of the manifest, "text/x-mtree".
	MediaType string `json:"mediaType"`
	// Digest and Size are those of the manifest's bytes.
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	// Output says which root filesystem it lists: "container" or "disk".
	Output string `json:"output"`
}

// Statement is an in-toto statement v1: something said of its subjects.
type Statement struct {
	Subjects      []Subject
	PredicateType string
	// Predicate is JSON.
	Predicate json.RawMessage
	// SignedAt is the date that the signer vouches for; kept in whole seconds.
	SignedAt time.Time
}

// Subject is one thing that a statement is about.
type Subject struct {
	Name string
	// Digest has the form "sha256:" + 64 hex digits.
	Digest string
}

type statementJSON struct {
	Type          string          `json:"_type"`
	Subject       []subjectJSON   `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

type subjectJSON struct {
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest"`
	Annotations map[string]any    `json:"annotations,omitempty"`
}

// MarshalJSON encodes the statement as in-toto's specification has it
// (github.com/in-toto/attestation, spec/v1/statement.md).
func (s Statement) MarshalJSON() ([]byte, error) {
	out := statementJSON{Type: statementType, PredicateType: s.PredicateType, Predicate: s.Predicate}
	for i, subject := range s.Subjects {
		hex, err := hexDigest(subject.Digest)
		if err != nil {
			return nil, fmt.Errorf("subject %q: %w", subject.Name, err)
		}
		o := subjectJSON{Name: subject.Name, Digest: map[string]string{"sha256": hex}}
		if i == 0 && !s.SignedAt.IsZero() {
			o.Annotations = map[string]any{signedAtAnnotation: s.SignedAt.UTC().Format(time.RFC3339)}
		}
		out.Subject = append(out.Subject, o)
	}
	return json.Marshal(out)
}

// UnmarshalJSON decodes a statement; subjects without a SHA-256 are refused.
func (s *Statement) UnmarshalJSON(data []byte) error {
	var in statementJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if in.Type != statementType {
		return fmt.Errorf("it is a %q, expected %q", in.Type, statementType)
	}
	*s = Statement{PredicateType: in.PredicateType, Predicate: in.Predicate}
	for i, subject := range in.Subject {
		digest := "sha256:" + subject.Digest["sha256"]
		if _, err := hexDigest(digest); err != nil {
			return fmt.Errorf("subject %q: %w", subject.Name, err)
		}
		s.Subjects = append(s.Subjects, Subject{Name: subject.Name, Digest: digest})
		if at, ok := subject.Annotations[signedAtAnnotation].(string); i == 0 && ok {
			t, err := time.Parse(time.RFC3339, at)
			if err != nil {
				return fmt.Errorf("annotation %s: %w", signedAtAnnotation, err)
			}
			s.SignedAt = t
		}
	}
	return nil
}

// SignStatement signs a statement in a DSSE envelope. It must name a subject,
// a predicate type and the date.
func SignStatement(ctx context.Context, s Statement, keys ...*Key) ([]byte, error) {
	switch {
	case len(s.Subjects) == 0:
		return nil, fmt.Errorf("signing %s: it has no subject", s.PredicateType)
	case s.PredicateType == "":
		return nil, fmt.Errorf("signing statement: it has no predicate type")
	case s.SignedAt.IsZero():
		return nil, fmt.Errorf("signing %s: it has no date", s.PredicateType)
	}
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", s.PredicateType, err)
	}
	return Sign(ctx, StatementMediaType, payload, keys...)
}

// VerifyStatement opens a signed statement: signed by a trusted key, of the
// predicate type given, about the subject of the digest given ("sha256:…").
func VerifyStatement(ctx context.Context, envelope []byte, predicateType, subject string, trust Trust) (Statement, Signer, error) {
	var s Statement
	dated := func(payload []byte) (time.Time, error) {
		err := json.Unmarshal(payload, &s)
		return s.SignedAt, err
	}
	_, signer, err := Verify(ctx, envelope, StatementMediaType, dated, trust)
	if err != nil {
		return Statement{}, Signer{}, err
	}
	if s.PredicateType != predicateType {
		return Statement{}, Signer{}, fault.Worldf("verifying statement: it is about %q, expected %q", s.PredicateType, predicateType)
	}
	for _, have := range s.Subjects {
		if have.Digest == subject {
			return s, signer, nil
		}
	}
	return Statement{}, Signer{}, fault.Worldf("verifying statement: it was signed for another image, not for %s", subject)
}
