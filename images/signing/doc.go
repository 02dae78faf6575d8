// Package signing makes and checks the signatures of images, evidence and
// records: keys encrypted at rest, DSSE envelopes, in-toto statements, cosign's
// image signatures, and the trust that says whose signatures count. Every
// check takes that trust as an argument and refuses whatever it does not
// name. The package never reads a file, a terminal or a registry.
package signing
