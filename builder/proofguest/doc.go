// Package proofguest has no code of its own: its tests build imgbuild-guest for
// machines that this one is not, and run it as those do. Windows is Wine, another
// processor is QEMU's user mode, both of Debian 13, for Debian 12's know too
// little. They are unpacked into a root of the test's own and run in a sandbox,
// and never installed.
package proofguest
