// Package install installs one layer of Debian packages into a root directory
// with the outcome that apt and dpkg would have: the same files, owners,
// diversions, alternatives, accounts and package database. Files are unpacked
// by this package, many packages at once; the packages' own scripts are run by
// the root's own dpkg in a sandbox. It never resolves dependencies and never
// uses the network.
package install
