// Package trial runs a version of the catalog on this machine to try it: it
// exports the container or the disk to a directory of its own, launches it,
// asks what its recipe promises and tells where it answers. Nothing is left
// when it is closed. It changes nothing in the catalog.
package trial
