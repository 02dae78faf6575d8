// Package container makes an OCI container image from a sealed root directory
// and the list of its entries: it shares the tree out over layers by the lock
// alone, writes each layer as a deterministic tar, compresses it once and
// keeps the result, and writes configuration and manifest. It never changes
// the root, never decides what an image is called, and puts neither a version
// nor the time of the bake into a byte it writes.
package container
