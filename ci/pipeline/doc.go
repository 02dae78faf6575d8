// Package pipeline keeps images up to date with what is published about them: it
// says which vulnerabilities concern the versions of the catalog that are in use,
// which of that is news, and why in words.
//
// [Images] says which versions are in use, [Stock] remembers on this machine what
// they consist of, and [Question] holds that against the index of advisories that
// package feeds makes. [Repositories] tells of newer versions before an advisory
// does. Nothing here changes an image or decides what is done about a vulnerability,
// and nothing but [Repositories.Sync] reaches the network. What cannot be told is a
// [Gap], and never reads as nothing.
package pipeline
