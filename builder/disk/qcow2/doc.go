// Package qcow2 turns a raw disk image into a compressed, sparse qcow2 image
// (QEMU's docs/interop/qcow2.txt, version 3). Clusters are compressed in
// parallel, and the bytes written follow from the disk's contents and the
// options alone: never from the number of processors, from which parts of the
// raw file are holes, or from time. It never reads qcow2.
package qcow2
