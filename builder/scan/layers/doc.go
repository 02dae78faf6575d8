// Package layers opens a finished container image read-only and gives the tree
// that a container started from it would see as a system.Reader. Every blob is
// held to its digest and every layer to its diff id while they are read; a
// layer that leads out of the root, contradicts itself or is larger than the
// limits is refused, with its digest and the entry's name. The package starts
// nothing, writes no file of an image to a path of this machine and never
// judges what it finds.
package layers
