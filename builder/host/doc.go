// Package host knows the machine imgbuild runs on: where its own apt fetches
// from, what is missing for a bake and the command that mends it, and whether
// KVM really works here. It reads and probes; it never changes the machine.
package host
