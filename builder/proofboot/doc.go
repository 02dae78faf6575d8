// Package proofboot holds tests alone: they bake the shipped baselines with
// Debian's real packages, boot the disks under every firmware, run the
// containers, and hold the running servers to what a user expects of them. It
// never holds code of the program. Emulated machines take long, so its tests
// have the build tag boot: make boot-test runs them.
package proofboot
