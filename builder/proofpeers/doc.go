// Package proofpeers holds tests alone: they bake a web server with Debian's
// real packages and hand the finished versions to the programs that others
// use (skopeo, podman, umoci, crun, cosign, a registry), and damage what is
// attached to them to see that it is named. It never holds code of the
// program.
package proofpeers
