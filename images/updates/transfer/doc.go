// Package transfer carries approved updates to machines without a network: locks,
// the package files that they name, and the records of the life of updates, in one
// signed bundle. Nothing of a bundle is to be seen before its signature and every
// digest in it are verified. It never trusts a key by itself, and resolves nothing.
package transfer
