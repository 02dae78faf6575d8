// Package deb reads Debian binary packages (deb(5)) as what they are: foreign
// bytes. It refuses a package that is truncated, oversized, doubly described
// or that names a path outside the root, and it keeps packages unpacked so
// that their decompression is paid once. It never writes into a root and never
// runs a package's scripts.
package deb
