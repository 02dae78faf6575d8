// Package advisory is what is published about vulnerabilities, and which of the
// packages of an image they concern.
//
// Feeds differ in form and not in kind, so all are read into one [Record]: an
// advisory by its id, the vulnerabilities that it is about, and for each
// package of each release of a distribution the versions that have them. The
// packages below read them: osv, debian, msrc, csaf and others. An [Index] is
// written once from all records and lies on disk; it finds the advisories of a
// package, and the packages of an advisory, without reading all of it. Matching
// holds the packages of an image, as package installed lists them, against an
// index, and says of every vulnerability that is known of a package whether it
// is affected, and why in words.
//
// Nothing here downloads anything, looks at a clock or decides what is to be
// done. What cannot be judged (an ecosystem without a known order of versions,
// a version that is none) is said to be so: it never reads as "not affected".
package advisory
