// Package proofboot holds tests alone: they bake the shipped baselines, and
// children of them, with Debian's real packages, hold the disks to their evidence,
// boot them under every firmware, run the containers, and hold the running servers
// to what a user expects of them: one of them, by all that can judge it, both
// after its first start and after a reboot. It never holds code of the program.
// make boot-test runs it alone; make lynis has Lynis audit a server besides.
package proofboot
