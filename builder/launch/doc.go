// Package launch runs a finished image on this machine, to try it: a disk in
// QEMU over a copy-on-write overlay, or a container in podman, with its ports
// on loopback addresses. It uses the host's own programs, never changes the
// image, and leaves nothing behind: when the Close function returned, or the
// program died, no process of it runs. It never judges what it runs.
package launch
