package provenance

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"imgbuild/images/fault"
)

// BuildType names what the parameters below mean.
const BuildType = "urn:imgbuild:bake:v1"

// maxPredicate is the largest predicate in bytes that Parse takes.
const maxPredicate = 64 << 20

// Predicate is SLSA's provenance (slsa.dev/spec/v1.0/provenance), as far as a
// bake fills it in.
type Predicate struct {
	BuildDefinition Definition `json:"buildDefinition"`
	RunDetails      Run        `json:"runDetails"`
}

// Definition is what was asked for and what it was made from.
type Definition struct {
	BuildType            string     `json:"buildType"`
	ExternalParameters   External   `json:"externalParameters"`
	InternalParameters   Internal   `json:"internalParameters"`
	ResolvedDependencies []Resource `json:"resolvedDependencies"`
}

// External are the parameters that the person who bakes controls.
type External struct {
	Baseline     string `json:"baseline"`
	Architecture string `json:"architecture"`
	// Epoch is the lock's, in seconds since 1970: no file is newer.
	Epoch int64 `json:"epoch"`
	// Settings are further parameters by name.
	Settings map[string]string `json:"settings,omitempty"`
}

// Internal are the parameters that follow from the others.
type Internal struct {
	// Stages are those of the bake in the order they ran.
	Stages []Stage `json:"stages"`
}

// Stage is one step of the bake by its id, the digest of all its inputs.
type Stage struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Resource is one input.
type Resource struct {
	Name string `json:"name"`
	// URI is a package's purl; empty for other inputs.
	URI string `json:"uri,omitempty"`
	// Digest maps the algorithm, always sha256, to hex digits.
	Digest map[string]string `json:"digest"`
	// Annotations say what the input is for: kind, and a package's set.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Run is who baked, and when.
type Run struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
}

// Builder is the program and place that baked.
type Builder struct {
	// ID is a URI that stands for who answers for the place.
	ID string `json:"id"`
	// Version maps a component's name to its version.
	Version map[string]string `json:"version,omitempty"`
}

// Metadata holds what differs from bake to bake.
type Metadata struct {
	StartedOn  time.Time `json:"startedOn"`
	FinishedOn time.Time `json:"finishedOn"`
}

// Parse reads a predicate and refuses one of another build type or with an
// input that has no SHA-256.
func Parse(predicate []byte) (*Predicate, error) {
	if len(predicate) > maxPredicate {
		return nil, fault.Worldf("reading provenance: it has %d bytes, the limit is %d", len(predicate), maxPredicate)
	}
	var p Predicate
	if err := json.Unmarshal(predicate, &p); err != nil {
		return nil, fault.Worldf("reading provenance").Because(err)
	}
	if p.BuildDefinition.BuildType != BuildType {
		return nil, fault.Worldf("reading provenance: its build type is %q, expected %q", p.BuildDefinition.BuildType, BuildType)
	}
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		if err := r.check(); err != nil {
			return nil, fault.Worldf("reading provenance").Because(err)
		}
	}
	return &p, nil
}

// Lists reports whether an input has this SHA-256, in lower-case hex.
func (p *Predicate) Lists(sum string) bool {
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		if r.Digest["sha256"] == sum {
			return true
		}
	}
	return false
}

// Inputs returns the inputs of a kind.
func (p *Predicate) Inputs(kind Kind) []Resource {
	var out []Resource
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		if r.Annotations[kindAnnotation] == string(kind) {
			out = append(out, r)
		}
	}
	return out
}

// Input returns the input of a kind and name.
func (p *Predicate) Input(kind Kind, name string) (Resource, bool) {
	for _, r := range p.BuildDefinition.ResolvedDependencies {
		if r.Name == name && r.Annotations[kindAnnotation] == string(kind) {
			return r, true
		}
	}
	return Resource{}, false
}

func (r Resource) check() error {
	sum, err := hex.DecodeString(r.Digest["sha256"])
	if err != nil || len(sum) != 32 {
		return fmt.Errorf("the input %q has no SHA-256", r.Name)
	}
	return nil
}
