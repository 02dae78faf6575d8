// Package pipeline keeps images up to date with what is published about them: it
// says which vulnerabilities concern the versions of the catalog that are in use,
// which of that is news, and why in words; and it takes what mends them from a
// candidate lock to a version that is offered.
//
// [Images] says which versions are in use, [Stock] remembers on this machine what
// they consist of, and [Question] holds that against the index of advisories that
// package feeds makes. [Repositories] tells of newer versions before an advisory
// does. What cannot be told is a [Gap], and never reads as nothing.
//
// [Affected] makes jobs of advisories and of what suites of security updates have newer
// ([Signal]), and [Rebuild] does them by the steps of a
// [Bench]: a candidate lock, its [Trial], what the policy says of it, the lock, the
// bake. A [Journal] has each step before it begins. Nothing here decides what may be
// locked (images/updates/policy does), and no version is released: that is for people.
package pipeline
