// Package builder makes images. Plan says which stages a baseline and its lock
// come to, before anything runs; Bake makes those that no cache holds, writes
// the outputs, gathers the evidence, signs it and puts the version into the
// catalog. The package itself resolves nothing and fetches nothing that the
// lock does not name.
package builder
