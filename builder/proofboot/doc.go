// Package proofboot holds tests alone: they bake the shipped baselines, and a
// child of one, with Debian's real packages, hold the disks to their evidence,
// boot and reboot them under every firmware, run the containers, and hold the
// running servers to what a user expects of them. It never holds code of the
// program. make boot-test runs it alone.
package proofboot
