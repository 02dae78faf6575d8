// Package provenance states what an image was made from: every input by
// digest, the stages and parameters of the bake, and who ran it, as an in-toto
// statement with SLSA's provenance predicate version 1. But for the bake's
// beginning and end it depends on the inputs and outputs alone. It never signs
// and never gathers: the caller tells it all.
package provenance
