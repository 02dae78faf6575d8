// Package publish makes repositories that apt installs from: a snapshot has the
// packages of one lock and nothing else, and is signed. The same lock and key
// give the same bytes. It never resolves, never downloads, and refuses what is
// damaged or missing rather than leave it out.
//
// The formats are those of https://wiki.debian.org/DebianRepository/Format and
// deb822(5).
package publish
