// Package debian makes locks: from names of packages it resolves, on the
// signed indexes of today, the exact list of package files that a baseline
// bakes from, shares them out over layers, and tells what has moved since.
// It downloads no package and builds nothing.
package debian
